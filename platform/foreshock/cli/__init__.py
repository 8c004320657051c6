"""The command line: ``foreshock demo | up | fetch | train | tune | score | ...``."""

from __future__ import annotations

import os

__all__ = ["main"]


def main() -> None:
    """Run the command line; its modules are imported here, so that Ctrl-C ends that quietly, too."""
    try:
        from foreshock.cli.app import main as run_command

        run_command()
    except KeyboardInterrupt:  # before the command has begun, which takes care of it from then on
        os.write(2, b"stopped\n")  # the console may not be there yet
        raise SystemExit(130) from None
