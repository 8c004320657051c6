"""The command line: ``foreshock demo | up | fetch | train | tune | score | ...``."""

from __future__ import annotations

from foreshock.cli.app import app, main

__all__ = ["app", "main"]
