"""Common parts of all figures: colours, the axis of time, shading, the legend, which entity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib.dates as mdates
import numpy as np
from matplotlib import rcParams
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from foreshock_models.errors import DataError, allowed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Scores
    from foreshock_models.panel import Panel

# Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
SHADE = 0.15
"""Opacity of rows over the alert line."""

TALL = 5.0
"""From this score on, the axis of scores is compressed."""

Times = NDArray[np.datetime64]


@contextmanager
def plain_text() -> Iterator[None]:
    """Decorate a function that draws a figure: names with dollar signs are not formulas.

    ``rc_context`` is not an option: the first figure loads the backend, which turns interactive mode on in a
    notebook, and leaving the context would turn it off again.
    """
    before = rcParams["text.parse_math"]
    rcParams["text.parse_math"] = False
    try:
        yield
    finally:
        rcParams["text.parse_math"] = before


def times_of(ms: NDArray[np.int64]) -> Times:
    """Milliseconds since the epoch as matplotlib takes times."""
    return ms.astype("datetime64[ms]")


def pick(kind: str, name: str | None, names: Sequence[str], default: str) -> str:
    """The name that was asked for, checked, or the default."""
    if name is None:
        return default
    if name not in names:
        raise DataError(f"no {kind} {name!r} in these windows; {allowed(name, names)}")
    return name


def worst(scores: Scores | None, entities: tuple[str, ...]) -> str:
    """The entity with the highest score."""
    if scores is None or scores.panel.n_rows == 0:
        return entities[0]
    return scores.panel.entities[int(scores.panel.codes[int(np.argmax(scores.score))])]


def rows_of(panel: Panel, entity: str) -> slice:
    """The rows of one entity."""
    for name, rows in panel:
        if name == entity:
            return rows
    raise DataError(f"no entity {entity!r} in these rows; {allowed(entity, panel.entities)}")


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of true rows."""
    edges = np.diff(np.r_[0, mask.astype(int), 0])
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def shade(axes: Iterable[Axes], times: Times, mask: NDArray[np.bool_], step: float) -> None:
    """Shade the rows where `mask` is true on every panel."""
    width = np.timedelta64(round(step * 1000), "ms")
    label = "over the line"
    for axis in axes:
        for first, last in runs(mask):
            axis.axvspan(times[first], times[last - 1] + width, color=RED, alpha=SHADE, lw=0, zorder=0, label=label)


def shade_scores(axes: Iterable[Axes], scores: Scores, entity: str) -> None:
    """Shade where one entity's score is at or over the line."""
    rows = rows_of(scores.panel, entity)
    times = times_of(scores.panel.timestamps[rows])
    shade(axes, times, scores.score[rows] >= 1, scores.panel.step)


def score_line(axis: Axes, scores: Scores, entity: str, *, color: str = GREY) -> None:
    """The score of one entity, and the alert line."""
    rows = rows_of(scores.panel, entity)
    values = scores.score[rows]
    axis.plot(times_of(scores.panel.timestamps[rows]), values, color=color, lw=0.9, label="score")
    axis.axhline(1.0, color=RED, lw=1, ls="--", label="alert line")
    low, high = min(0.0, float(values.min())), max(1.25, 1.08 * float(values.max()))
    if high > TALL:  # so that the line stays to be seen under a score that is far over it
        axis.set_yscale("asinh", linear_width=1.0)
        ticks = [0, 1, *(t for t in (3, 10, 30, 100, 300, 1000) if t < high)]
        axis.yaxis.set_major_locator(FixedLocator(ticks))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axis.set_ylim(low, high)


def mark_events(axis: Axes, events: Sequence[Any], entity: str) -> None:
    """Known incidents of one entity, as bars above a panel."""
    first, last = mdates.num2date(axis.get_xlim())
    for event in events:
        if event.entity == entity and event.end > first and event.start < last:
            span = [max(event.start, first), min(event.end, last)]
            axis.plot(
                np.array([t.replace(tzinfo=None) for t in span], "datetime64[ms]"), [1.06, 1.06],
                color=GREEN, lw=4, solid_capstyle="butt", clip_on=False,
                transform=axis.get_xaxis_transform(), label="known incident",
            )  # fmt: skip


def side_label(axis: Axes, name: str, unit: str = "") -> None:
    """The name of a panel beside it, to be read without turning the head."""
    axis.set_ylabel(f"{name}\n[{unit}]" if unit else name, rotation=0, ha="right", va="center")


def finish(figure: Figure, axes: Sequence[Axes], title: str, *, listed: Sequence[Axes] | None = None) -> Figure:
    """Panels over time: frames, the axis of time, one legend (of the panels `listed`, default all), the title."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
        axis.grid(axis="y", alpha=0.25)
        if axis.get_yscale() != "linear":
            continue
        axis.yaxis.set_major_locator(MaxNLocator(3))
        if max(abs(y) for y in axis.get_ylim()) >= 10_000:
            axis.yaxis.set_major_formatter(EngFormatter(sep=""))
    time_axis(axes[-1])
    legend(figure, axes if listed is None else listed)
    figure.suptitle(title, x=0.01, ha="left", fontsize="medium", weight="bold")
    return figure


def time_axis(axis: Axes) -> None:
    locator = mdates.AutoDateLocator(maxticks=9)
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axis.set_xlabel("time (UTC)")


def legend(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, each label once, in a line at the top."""
    entries: dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside upper right", ncols=min(len(entries), 7),
            frameon=False, fontsize="small", handlelength=1.4, columnspacing=1.2,
        )  # fmt: skip
