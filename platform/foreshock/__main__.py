"""``python -m foreshock``: the command line, where its script is not on the PATH."""

from __future__ import annotations

from foreshock.cli import main

main()
