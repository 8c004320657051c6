"""Callbacks that report how far a job has come."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PartProgress", "ReportLine", "StepProgress", "ignore_line"]

ReportLine = Callable[[str], None]
"""Called with one line of text when a stage begins or ends."""
StepProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, its steps that are done, and all of its steps."""
PartProgress = Callable[[int, int], None]
"""Called with the parts that are done and all parts."""


def ignore_line(line: str) -> None:
    """Report nothing: the default `ReportLine`."""
