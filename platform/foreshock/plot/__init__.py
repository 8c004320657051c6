"""Figures for notebooks: one a file, labelled, in colours that colour-blind people can tell apart.

Each function makes a matplotlib figure and returns it.

=================  =====================================================================
`timeline`         one entity: its features, the score with the alert line, what drove it
`attributions`     what drove the score, over time
`expected`         each feature beside what the detector expected
`detectors`        the scores of several detectors, one under the other
`calibration`      the false alerts that were asked for, beside those that came
`backtest`         the alerts of a replay, a lane for each entity
`forecast`         history and forecast with its interval
`capacity`         what runs out first
=================  =====================================================================
"""

from __future__ import annotations

from foreshock.plot._attributions import attributions
from foreshock.plot._backtest import backtest
from foreshock.plot._calibration import calibration
from foreshock.plot._capacity import capacity
from foreshock.plot._detectors import detectors
from foreshock.plot._expected import expected
from foreshock.plot._forecast import forecast
from foreshock.plot._timeline import timeline

__all__ = [
    "attributions",
    "backtest",
    "calibration",
    "capacity",
    "detectors",
    "expected",
    "forecast",
    "timeline",
]
