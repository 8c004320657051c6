"""The capacity table: what runs out, and when."""

from __future__ import annotations

import math

import pandas as pd

from foreshock_pipelines.forecasting.report import ForecastReport
from foreshock_pipelines.jobfile import Job

__all__ = ["alert_probabilities", "capacity"]


def capacity(report: ForecastReport, job: Job | None = None) -> pd.DataFrame:
    """Return one row per entity and feature whose query has ``exhaustion:``, in the order in which they run out.

    Columns: ``entity``, ``feature``, ``now`` (the last sample), ``limit``, ``hours`` until it is reached (median),
    ``lower_hours`` and ``upper_hours`` of the report's level (infinite: later than ``looked_hours``, as far as the
    forecast looks), ``probability`` of reaching it within ``within_hours``, ``chance``: the same in words, and
    ``alert``: whether it passes the line of the job file; of `job`, where it has changed since.
    """
    lines = report.lines if job is None else alert_probabilities(job)
    rows = []
    for item in report.exhaustion:
        rows.append(
            {
                "entity": item.entity,
                "feature": item.feature,
                "now": report.newest.get((item.entity, item.feature), math.nan),
                "limit": item.limit,
                "hours": _hours(item.seconds),
                "lower_hours": _hours(item.lower),
                "upper_hours": _hours(item.upper),
                "probability": item.probability,
                "within_hours": item.within / 3600,
                "chance": item.chance,
                "looked_hours": item.horizon / 3600,
                "alert": item.probability >= lines[item.feature],
            }
        )
    columns = [
        "entity",
        "feature",
        "now",
        "limit",
        "hours",
        "lower_hours",
        "upper_hours",
        "probability",
        "within_hours",
        "chance",
        "looked_hours",
        "alert",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(
        ["hours", "lower_hours", "probability", "entity"], ascending=[True, True, False, True], ignore_index=True
    )


def alert_probabilities(job: Job) -> dict[str, float]:
    """Return, of each feature with ``exhaustion:``, the probability from which on it alerts."""
    return {name: query.exhaustion.probability for name, query in job.queries.items() if query.exhaustion}


def _hours(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds / 3600
