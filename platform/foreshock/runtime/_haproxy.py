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


def main() -> None:
    """Narrow and limit the file after ``-f``, and become HAProxy."""
    path = sys.argv[sys.argv.index("-f") + 1]
    with open(path) as file:
        config = limited(narrowed(file.read(), os.environ[HOST]))
    with open(path, "w") as file:
        file.write(config)
    binary = os.environ[BINARY]
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
