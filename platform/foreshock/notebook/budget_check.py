"""Does the budget of false alerts hold? Asked of rows that a detector has not seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock_models.calibration.budget import Budget
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from foreshock_models.detectors import Detector

__all__ = ["check_budget"]

WEEK = 7 * 86400.0
AFTER = timedelta(hours=1)
"""So long after a known incident an alert may still be of it: detectors look back."""


def check_budget(
    detector: Detector,
    windows: Windows,
    budgets: Sequence[str] = ("1 per week", "1 per day", "4 per day"),
    *,
    since: int | datetime | None = None,
    events: Sequence[Any] = (),
) -> pd.DataFrame:
    """Score the same rows under several budgets, and count the alerts that no known incident explains.

    The detector itself is left as it is.

    Parameters
    ----------
    detector
        A fitted one.
    windows
        Rows that it was not fitted on, from `since` on; those before are context.
    budgets
        As in a job file.
    events
        Known incidents, with ``entity``, ``start`` and ``end``: alerts on them are not false.

    Returns
    -------
    DataFrame
        ``budget``; ``asked`` and ``got``, alerts per entity and week, with ``lower`` and ``upper``, the 80%
        interval that a Poisson count of so many leaves; ``alerts``, the count; ``entity_weeks``, the time in
        which there were samples.
    """
    import pandas as pd

    rows = []
    for text in budgets:
        budget = Budget.parse(text)
        scores = copy.deepcopy(detector).recalibrate(budget).score(windows, since=since)
        needed, of = budget.votes
        found = scores.anomalies(needed=needed, of=of)
        false = sum(not _known(alert, events) for alert in found.to_dict("records"))
        seen = ~np.isnan(scores.panel.values).all(axis=1)
        weeks = float(seen.sum()) * scores.panel.step / WEEK
        low, high = _poisson(false)
        rows.append(
            {
                "budget": text,
                "asked": budget.per_entity(scores.panel.n_entities).alerts_per_day * 7,
                "got": false / weeks,
                "lower": low / weeks,
                "upper": high / weeks,
                "alerts": false,
                "entity_weeks": weeks,
            }
        )
    return pd.DataFrame(rows)


def _known(alert: dict[Any, Any], events: Sequence[Any]) -> bool:
    return any(
        event.entity == alert["entity"] and alert["start"] <= event.end + AFTER and alert["end"] >= event.start
        for event in events
    )


def _poisson(count: int, level: float = 0.8) -> tuple[float, float]:
    """The exact interval of a rate, of which so many events came."""
    from scipy.stats import chi2

    tail = (1 - level) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * (count + 1))) / 2
