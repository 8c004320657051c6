"""Start HAProxy on loopback: run by Ray Serve in its place (``RAY_SERVE_HAPROXY_BINARY_PATH``).

Ray writes a configuration whose statistics listen on all interfaces, and whose control socket anybody may use.
This narrows both in the file, opens the port of the API on the address that FORESHOCK_HOST names, and becomes
HAProxy. Only the standard library is imported: it runs at each change of a replica.
"""

from __future__ import annotations

import os
import re
import sys

HOST = "FORESHOCK_PROXY_HOST"
BINARY = "FORESHOCK_PROXY_BINARY"


def narrowed(config: str, host: str) -> str:
    """The configuration with each listener where it belongs."""
    config = re.sub(r"^(\s*bind) (?:\*)?:(\d+)", r"\1 127.0.0.1:\2", config, flags=re.M)
    config = config.replace("mode 666 level admin", "mode 600 level admin")
    return re.sub(
        r"^(frontend http_frontend\n\s*bind) \S+:(\d+)",
        lambda found: f"{found[1]} {host}:{found[2]}",
        config,
        flags=re.M,
    )


def main() -> None:
    """Narrow the file after ``-f``, and become HAProxy."""
    path = sys.argv[sys.argv.index("-f") + 1]
    with open(path) as file:
        config = narrowed(file.read(), os.environ[HOST])
    with open(path, "w") as file:
        file.write(config)
    binary = os.environ[BINARY]
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
