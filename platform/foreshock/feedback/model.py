"""Feedback of people on alerts, as records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["VERDICTS", "Feedback", "describe_effect"]

VERDICTS = ("false", "true", "exclude")


@dataclass(frozen=True, slots=True)
class Feedback:
    """The verdict of a person on an alert.

    Parameters
    ----------
    verdict
        ``false``: a false alarm; ``true``: an anomaly; ``exclude``: rows that are not to be learnt from.
    start_ms, end_ms
        The rows that it is about, the last included.
    shift
        How far a false alarm raised the entity's line, in its spreads.
    undone_ms
        When it was taken back.
    """

    id: str
    alert: str
    job: str
    entity: str
    verdict: str
    start_ms: int
    end_ms: int
    who: str
    at_ms: int
    shift: float | None = None
    undone_ms: int | None = None
    note: str = ""


def describe_effect(feedback: Feedback) -> str:
    """Say in words what a feedback changes."""
    times = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (feedback.start_ms, feedback.end_ms))
    span = " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in times)
    effect = {
        "false": "the line of its entity is raised" if feedback.shift else "the line stays as it is",
        "true": f"an anomaly, {span} UTC",
        "exclude": f"rows from {span} UTC are not learnt from",
    }[feedback.verdict]
    return f"{effect}: {feedback.note}" if feedback.note else effect
