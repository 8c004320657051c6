"""Fields of the records that streaming kernels read and write, one record per entity.

Records are saved as rows of a float64 table, so the order of the fields is part of the saved format. `records`
gives the view of such a table in which fields have names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALERT_POLICY", "ANOMALOUS", "CALIBRATION", "CALIBRATION_SETTINGS", "CALM", "MAX_VOTES", "N_REPLACED", "OPENED",
    "PENDING", "QUIET", "RESOLVED", "RING_WIDTH", "records", "table_of", "widened",
]  # fmt: skip

MAX_VOTES = 32
"""Longest window of an N-of-M rule."""
N_REPLACED = 8
"""Alerts that ended whose rows are remembered, so that later rows are not judged by them."""
RING_WIDTH = 7 * 24 + 12 + 1 + 1
"""Seven days of hours, half a day around them, the current hour; and the number of the last hour."""
CALM, PENDING, OPENED, ANOMALOUS, QUIET, RESOLVED = range(6)
"""State of an alert policy after a row; see `foreshock_models.policy.EntityState`."""

CALIBRATION = np.dtype(
    [
        ("location", "f8"),  # of the raw score
        ("spread", "f8"),  # from the location to the upper quantile: "above 1" is about as rare for every entity
        ("threshold_shift", "f8"),  # this entity's tail threshold above the shared one, in spreads
        ("line", "f8"),  # the alert line, on the scale of training; the controller moves it
        ("n_rows", "f8"),  # rows seen
        ("alert_share", "f8"),  # share of rows over the line, over some days
        ("recent_location", "f8"),  # over some hours, alerting rows too: the new normal, if there is one
        ("recent_spread", "f8"),
        ("in_alert", "f8"),  # 1 while an alert is open, as far as the budget is concerned
        ("rows_below", "f8"),  # rows since the last one over the line
        ("peak", "f8"),  # highest score of the open alert
        ("slow_mean", "f8"),  # mean raw score over the last week, for scores that are relative to it
        ("training_mean", "f8"),  # the same in training
        ("votes", "f8", (MAX_VOTES,)),  # of the last rows, newest first
        ("usual_deviation", "f8"),  # values that deviate no more than this are usual
        ("rows_usual", "f8"),  # rows since the last one whose values were not usual
        ("first_vote_ms", "f8"),  # first and last row over the line of what is pending or open
        ("last_vote_ms", "f8"),
        ("trained", "f8"),  # 1 if it was there in training
        ("last_sample_ms", "f8"),
        ("rows_to_warm", "f8"),  # rows until what a gap left behind is over
        ("replaced_ms", "f8", (N_REPLACED, 2)),  # first and last row of the latest alerts that ended, newest first
    ]
)
"""Calibration of one entity, as it stands after the last row; tables of earlier versions have fewer columns."""

CALIBRATION_SETTINGS = np.dtype(
    [
        ("unit", "f8"),  # scale of the raw scores
        ("tail_threshold", "f8"),  # the generalised Pareto tail of all entities
        ("tail_rate", "f8"),
        ("tail_scale", "f8"),
        ("tail_shape", "f8"),
        ("log_budget", "f8"),  # log of the rate per row that the budget allows
        ("slow_rate", "f8"),  # weight of a row in the slow mean; 0 where scores are not relative to it
        ("young_rows", "f8"),  # rows until which an entity's location and spread are learnt
        ("regime_rate", "f8"),  # weight of a row in the share of rows over the line
        ("gain", "f8"),  # how far one alert that only just reached the line moves it
        ("votes_needed", "i8"),  # N of M rows over the line make an alert
        ("votes_of", "i8"),
        ("recurrence_days", "i8"),  # days that make a daily recurrence
        ("spread_floor", "f8"),
        ("step_ms", "f8"),
    ]
)
"""Parameters that all entities of a calibrator share."""

ALERT_POLICY = np.dtype(
    [
        ("votes", "f8"),  # of the last rows, as bits, newest lowest
        ("open", "f8"),  # 1 while an alert is open
        ("opened_ms", "f8"),
        ("last_vote_ms", "f8"),  # last row that kept the alert open
        ("peak", "f8"),  # highest score of the alert
        ("last_sample_ms", "f8"),
        ("since_ms", "f8"),  # when what is pending or open began
    ]
)
"""State of an alert policy for one entity."""


def records(table: NDArray[np.float64], fields: np.dtype[Any]) -> NDArray[Any]:
    """Return a view of the rows of a float64 table ``(n, n_columns)`` as records ``(n,)`` with named fields."""
    view: NDArray[Any] = table.view(fields)[:, 0]
    return view


def widened(table: NDArray[np.float64], fields: np.dtype[Any]) -> NDArray[np.float64]:
    """Return a table with all columns of `fields`; those that an earlier version did not have are 0."""
    missing = fields.itemsize // 8 - table.shape[1]
    return np.pad(table, ((0, 0), (0, missing))) if missing > 0 else table


def table_of(entities: NDArray[Any]) -> NDArray[np.float64]:
    """Return a view of records ``(n,)`` as a float64 table ``(n, n_columns)``."""
    return entities.view(np.float64).reshape(len(entities), entities.dtype.itemsize // 8)
