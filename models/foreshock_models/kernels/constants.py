"""Constants that compiled kernels and their references share."""

from __future__ import annotations

__all__ = [
    "DRIFT_LIMIT", "FLAT", "GAP_ROWS", "HALF_VOLATILITY", "HIGHEST_LINE", "HOURS_AROUND", "INPUT_LIMIT",
    "LOWEST_LINE", "MARGIN", "MAX_DISTANCE", "MAX_EXCESS", "MAX_HOURS", "MAX_PEAK", "MAX_RAW", "MEAN_SHARE",
    "MIN_BAND", "NEAR_LINE", "PEAK_DECAY", "QUIET_ROWS", "RECENT_ROWS", "RECURRENCE_WINDOW_DAYS",
    "REGIME_SHARE", "SCALED_LIMIT", "SMALLEST_DEVIATION", "SPREAD_RATE", "STEEP", "UPPER_SHARE", "USUAL_ROWS",
    "WAITING_SCORE", "WARM_UP_ROWS",
]  # fmt: skip

SCALED_LIMIT = 12.0
"""Scaled values are clipped here: one wild sample must not drown all others."""
DRIFT_LIMIT = 6.0
"""In a level of late, a row counts for at most so much: an incident must not look like drift."""
INPUT_LIMIT = 6.0
"""Scaled inputs of networks are clipped here: a network extrapolates badly."""
MAX_EXCESS = 30.0
"""The residual of a feature counts at most so many times its usual size."""
MAX_DISTANCE = 8.0
"""A row counts at most so many times for its distance, in units of the 99% quantile of the training rows."""

RECENT_ROWS = 8
"""Rows that a recent change shows in, the explained one the last."""
HALF_VOLATILITY = 8.0
"""A change of so many standard deviations of the rows before counts half."""

# -- calibration ---------------------------------------------------------------------------------------
MAX_RAW = 1e100
"""Raw scores are clipped here."""
WARM_UP_ROWS = 200
"""Rows after which an entity's own location and spread hold."""
GAP_ROWS = 5
"""After a gap of more rows than this, `QUIET_ROWS` rows are warm-up: a rate begins again, a process restarted."""
UPPER_SHARE = 0.05
"""Share of rows above location plus spread."""
SPREAD_RATE = 4.0
"""How fast the spread of a young entity follows, against its location."""
MEAN_SHARE = 0.3
"""Relative scores: share of the training mean that is added to the slow mean, so that it never vanishes."""
LOWEST_LINE, HIGHEST_LINE = 0.6, 1.6
"""Range in which the controller may move the line."""
QUIET_ROWS = 10
"""An alert ends after so many rows below the line; what comes earlier is the same alert."""
PEAK_DECAY = 4.0
"""An alert moves the line by its peak to minus this power: what is far over the line is hardly a false alert."""
NEAR_LINE = 0.5
"""Peaks closer to the line than this, or than twice its distance from 1, are measured from it; others from 1."""
WAITING_SCORE = 0.93
"""If the line is above 1, scores that training would put between this and the line are kept near this."""
STEEP, FLAT = 3.0, 0.1
"""Slope of a score on its way back to the scale of training, and where it is kept below the line."""
REGIME_SHARE = 0.7
"""Share of rows over the line, for days, that makes a new normal."""

# -- usual values --------------------------------------------------------------------------------------
MIN_BAND = 0.05
"""Width of the usual band of a feature, at least, as a share of its range."""
USUAL_ROWS = 2
"""So many rows with usual values in a row are no anomaly, whatever the rows before them were."""
SMALLEST_DEVIATION = 1e-3
"""Least deviation of a young entity; what is usual is learnt from it on."""

# -- daily recurrence ----------------------------------------------------------------------------------
RECURRENCE_WINDOW_DAYS = 7
"""Days that are remembered."""
HOURS_AROUND = 1
"""Hours before and after that count as the same time of day."""
MAX_HOURS = 8
"""Hours of a day over the line, at most: what lasts longer is an incident, or a new normal."""
MARGIN = 1.2
"""Height of the line above the recurring peak, as a multiple."""
MAX_PEAK = 1e6
"""Scores are recorded up to this."""
