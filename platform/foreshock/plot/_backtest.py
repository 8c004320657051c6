"""The alerts of a replay, a lane for each entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from foreshock.plot import _style as style
from foreshock_models.errors import DataError, allowed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_pipelines.backtesting.outcome import Outcome
    from foreshock_pipelines.backtesting.report import BacktestReport

HEAT = ("#F2F5F7", "#C9DDEC", "#F3D08A", style.RED)
EDGES = (0.0, 0.7, 1.0, 2.0, 1e9)
LEVELS = ("score < 0.7", "near the line", "over the line", "over 2")
BINS = 480


@style.plain_text()
def backtest(
    report: BacktestReport | Mapping[str, BacktestReport], *, entities: Sequence[str] | None = None
) -> Figure:
    """Plot the scores of a replay, and the alerts that it would have opened.

    Each entity is a lane: the score as colour, under it a bar for each alert of each policy, and known anomalies.

    Parameters
    ----------
    report
        What ``backtest(...)`` gave; or several by name, such as champion and challenger, over the same time: the
        colour is the score of the first.
    entities
        Which ones, in that order; default: those with an alert or a known anomaly.
    """
    reports = dict(report) if isinstance(report, Mapping) else {"": report}
    if not reports:
        raise DataError("no report to show")
    first = next(iter(reports.values()))
    outcomes = [(_name(key, o, len(r.policies)), o) for key, r in reports.items() for o in r.policies]
    shown = _entities(first, [outcome for _, outcome in outcomes], entities)
    height = 0.32 + 0.13 * (len(outcomes) + first.labelled)
    figure, axis = plt.subplots(figsize=(10, max(1.6, height * len(shown) + 1.2)), layout="constrained")
    cells = np.ma.masked_invalid([_peaks(first.timelines[name]) for name in shown])
    begin, end = (np.datetime64(_naive(t), "ms") for t in (first.start, first.end))
    columns = begin + (end - begin) * np.arange(cells.shape[1] + 1) // cells.shape[1]
    colors = ListedColormap(list(HEAT))
    for i, name in enumerate(shown):
        top = i * 1.0
        axis.pcolormesh(
            columns, [top, top + 0.42], cells[i : i + 1], cmap=colors, norm=BoundaryNorm(EDGES, len(HEAT))
        )
        _lanes(axis, first, name, outcomes, top + 0.47)
    axis.set_yticks(np.arange(len(shown)) + 0.45, shown)
    axis.set_ylim(len(shown), -0.1)
    axis.set_xlim(*mdates.date2num([begin, end]))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    style.time_axis(axis)
    handles = [Patch(color=c, label=label) for c, label in zip(HEAT, LEVELS, strict=True)]
    handles += [Patch(color=_color(k), label=f"alerts: {name}") for k, (name, _) in enumerate(outcomes)]
    if first.labelled:
        handles.append(Patch(color=style.GREEN, label="known anomaly"))
    figure.legend(handles=handles, loc="outside upper right", ncols=4, frameon=False, fontsize="small")
    figure.suptitle(f"backtest: {first.job}", x=0.01, ha="left", fontsize="medium", weight="bold")
    return figure


def _lanes(
    axis: Axes, report: BacktestReport, entity: str, outcomes: Sequence[tuple[str, Outcome]], top: float
) -> None:
    count = len(outcomes) + report.labelled
    height = 0.45 / max(count, 1)
    tick = (report.end - report.start) / 250  # a short alert is still to be seen
    for k, (_, outcome) in enumerate(outcomes):
        for alert in outcome.by_entity.get(entity, []):
            end = max(alert.resolved or report.end, alert.opened + tick)
            _bar(axis, alert.opened, end, top + k * height, height, _color(k))
    if report.labelled:
        for start, end in report.known.get(entity, ()):
            _bar(axis, start, max(end, start + tick), top + len(outcomes) * height, height, style.GREEN)


def _bar(axis: Axes, start: datetime, end: datetime, top: float, height: float, color: str) -> None:
    left, right = (np.datetime64(_naive(t), "ms") for t in (start, end))
    axis.fill_between([left, right], top, top + 0.8 * height, color=color, lw=0)


def _entities(report: BacktestReport, outcomes: Sequence[Outcome], entities: Sequence[str] | None) -> Sequence[str]:
    if entities is not None:
        for name in entities:
            if name not in report.timelines:
                raise DataError(f"no entity {name!r} in this report; {allowed(name, report.timelines)}")
        return entities
    busy = {name for outcome in outcomes for name in outcome.by_entity} | set(report.known)
    return [name for name in report.timelines if name in busy] or list(report.timelines)


def _name(key: str, outcome: Outcome, policies: int) -> str:
    """Of a policy in the legend."""
    return " ".join(filter(None, (key, outcome.name if policies > 1 or not key else "")))


def _color(k: int) -> str:
    return ("#222222", style.BLUE, style.PURPLE, style.SKY)[k % 4]


def _peaks(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest score of each of at most `BINS` stretches; NaN where there is no row."""
    parts = np.array_split(score, min(BINS, max(1, len(score))))
    return np.array([np.nanmax(p) if not np.isnan(p).all() else np.nan for p in parts])


def _naive(time: datetime) -> datetime:
    return time.replace(tzinfo=None)
