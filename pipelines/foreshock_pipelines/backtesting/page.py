"""The page of a backtest: which alerts would have fired, when, on what, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

if TYPE_CHECKING:
    from foreshock_pipelines.backtesting.report import BacktestReport

__all__ = ["render"]

BINS = 480


def render(report: BacktestReport) -> str:
    """One HTML page that needs nothing from outside.

    Its parts: a table of the policies side by side, a lane for each entity with its score, the known
    intervals and the alerts of each policy, and the list of alerts with their attributions.
    """
    env = Environment(
        loader=PackageLoader("foreshock_pipelines.backtesting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["share"] = lambda t: _share(t, report.start, report.end)
    env.filters["time"] = lambda t: f"{t:%Y-%m-%d %H:%M}"
    env.filters["span"] = _span
    lanes = [(entity, _heat(score)) for entity, score in report.timelines.items()]
    page: str = env.get_template("backtest.html.j2").render(report=report, lanes=lanes)
    return page


def _share(time: datetime, start: datetime, end: datetime) -> float:
    """Position of a time between start and end, in percent."""
    return round(100 * min(max((time - start) / (end - start), 0.0), 1.0), 3)


def _span(value: timedelta | None) -> str:
    if value is None:
        return "–"
    minutes = round(value.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _heat(score: NDArray[np.float64]) -> list[tuple[float, float, str]]:
    """Runs of equal colour along a lane: (left, width) in percent, and the colour class of the peak score."""
    n_bins = min(BINS, max(1, len(score)))
    bins = np.split(score, np.arange(1, n_bins) * len(score) // n_bins)  # of one length, to the row
    peaks = np.array([np.nanmax(b) if len(b) and not np.isnan(b).all() else np.nan for b in bins])
    level = np.select([np.isnan(peaks), peaks >= 2, peaks >= 1, peaks >= 0.7], [-1, 3, 2, 1], 0)
    edges = np.flatnonzero(np.r_[True, np.diff(level) != 0, True])
    names = {-1: "none", 0: "calm", 1: "near", 2: "over", 3: "far"}
    width = 100 / len(bins)
    return [
        (round(a * width, 3), round((b - a) * width, 3), names[int(level[a])])
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
