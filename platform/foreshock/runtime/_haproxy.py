"""Start HAProxy on loopback: run by Ray Serve in its place (``RAY_SERVE_HAPROXY_BINARY_PATH``).

Ray writes a configuration whose statistics listen on all interfaces, whose control socket anybody may use, and
which waits for a client as long as it likes. This narrows the first two in the file, opens the port of the API on
the address that FORESHOCK_HOST names, bounds the time of a client, and becomes HAProxy. Only the standard library
is imported: it runs at each change of a replica.
"""

from __future__ import annotations

import os
import re
import sys

HOST = "FORESHOCK_PROXY_HOST"
BINARY = "FORESHOCK_PROXY_BINARY"
HEADERS, SILENCE = 5, 30
SECRET = "FORESHOCK_PROXY_SECRET"
CLIENT = 'http-request set-header x-foreshock-client "{} %[src]"'
"""Tells the application the address of a client. A secret of this run says that it is the proxy who tells it."""
CERTIFICATE, OLDEST, HSTS = "FORESHOCK_PROXY_CERTIFICATE", "FORESHOCK_PROXY_TLS", "FORESHOCK_PROXY_HSTS"
CIPHERS = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for signature in ("ECDSA", "RSA")
)
"""Of TLS 1.2: with forward secrecy and authenticated encryption. TLS 1.3 has no others."""
CURVES = "X25519:P-256:P-384"


def narrowed(config: str, host: str) -> str:
    """The configuration with each listener where it belongs.

    Raises
    ------
    SystemExit
        It is not as expected: HAProxy would listen where nobody knows of it.
    """
    config, closed = re.subn(r"^(\s*bind) (?:\*)?:(\d+)", r"\1 127.0.0.1:\2", config, flags=re.M)
    config, private = re.subn("mode 666 level admin", "mode 600 level admin", config)
    config, opened = re.subn(
        r"^(frontend http_frontend\n([ \t]*)bind) \S+:(\d+)([^\n]*)$",
        lambda found: (
            f"{found[1]} {host}:{found[3]}{found[4]}\n{found[2]}{CLIENT.format(os.environ.get(SECRET, '-'))}"
        ),
        config,
        flags=re.M,
    )
    if (closed, private, opened) != (2, 1, 1):
        raise SystemExit("[ALERT] the proxy's listeners are not as expected: this version of Ray is not known")
    return config


def limited(config: str) -> str:
    """The configuration with limits on the time that a client may take.

    Headers have `HEADERS` seconds in all, however they are spread; a client that is to send or to take something
    has `SILENCE` seconds for each piece of it. The application bounds the time of a body as a whole.

    Raises
    ------
    SystemExit
        The configuration is not as expected: without its limits, HAProxy does not start.
    """
    config, silences = re.subn(r"^( +timeout client) \S+$", rf"\1 {SILENCE}s", config, flags=re.M)
    config, headers = re.subn(
        r"^(defaults\n( +)mode http\n)", rf"\1\2timeout http-request {HEADERS}s\n", config, flags=re.M
    )
    if (silences, headers) != (1, 1):
        raise SystemExit("[ALERT] the time limits of clients cannot be set: this version of Ray is not known")
    return config


def secured(config: str, certificate: str, oldest: str, hsts: str) -> str:
    """The configuration with TLS on the port of the API.

    Parameters
    ----------
    certificate
        File with chain and key.
    oldest
        Lowest version of TLS: ``1.2`` or ``1.3``.
    hsts
        Seconds for which browsers insist on HTTPS; ``0``: they are told nothing.

    Raises
    ------
    SystemExit
        The configuration is not as expected: without TLS, HAProxy does not start.
    """
    options = f"ssl crt {certificate} ssl-min-ver TLSv{oldest} ciphers {CIPHERS} curves {CURVES} alpn http/1.1"
    header = f'http-after-response set-header strict-transport-security "max-age={hsts}"'
    config, found = re.subn(
        r"^(frontend http_frontend\n([ \t]*)bind [^\n]*)$",
        lambda found: f"{found[1]} {options}" + (f"\n{found[2]}{header}" if hsts != "0" else ""),
        config,
        flags=re.M,
    )
    if found != 1:
        raise SystemExit("[ALERT] TLS cannot be set: this version of Ray is not known")
    return config


def main() -> None:
    """Narrow, limit and secure the file after ``-f``, and become HAProxy."""
    path = sys.argv[sys.argv.index("-f") + 1]
    with open(path) as file:
        config = limited(narrowed(file.read(), os.environ[HOST]))
    if os.environ.get(CERTIFICATE):
        config = secured(config, os.environ[CERTIFICATE], os.environ[OLDEST], os.environ[HSTS])
    with open(path, "w") as file:
        file.write(config)
    binary = os.environ[BINARY]
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
