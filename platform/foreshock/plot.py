"""Figures for notebooks: labelled, in colours that colour-blind people can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import DataError, allowed
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Expectation, Scores

__all__ = ["timeline"]

# Okabe and Ito's palette: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"


def timeline(
    windows: Windows,
    scores: Scores | None = None,
    *,
    entity: str | None = None,
    features: Sequence[str] | None = None,
    expectation: Expectation | None = None,
    events: Sequence[Any] = (),
    units: dict[str, str] | None = None,
) -> Figure:
    """One entity over time: a panel for each feature, and one for the score with the alert line.

    Parameters
    ----------
    windows
        The rows; `scores` may cover all of them or only the later ones.
    scores
        What ``detector.score(windows)`` gave; rows at or above 1.0 are shaded.
    entity
        Which one; default: the one with the highest score.
    features
        Which ones; default all.
    expectation
        What ``detector.expect(windows)`` gave, for the band around each feature.
    events
        Known incidents, with ``entity``, ``start`` and ``end``: marked above the panels.
    units
        Feature name to unit, for the axes.
    """
    import matplotlib.dates as mdates
    import matplotlib.pyplot as plt

    panel = windows.to_panel()
    entity = entity if entity is not None else _worst(scores, panel.entities)
    if entity not in panel.entities:
        raise DataError(f"no entity {entity!r} in these windows; {allowed(entity, panel.entities)}")
    shown = tuple(features or panel.features)
    for name in shown:
        if name not in panel.features:
            raise DataError(f"no feature {name!r} in these windows; {allowed(name, panel.features)}")
    rows = dict(panel)[entity]
    times = panel.timestamps[rows].astype("datetime64[ms]")
    count = len(shown) + (scores is not None)
    figure, grid = plt.subplots(
        count, 1, sharex=True, figsize=(10, 1.3 * count + 0.8), layout="constrained", squeeze=False
    )
    axes: list[Axes] = list(grid[:, 0])
    for axis, name in zip(axes, shown, strict=False):
        column = panel.features.index(name)
        axis.plot(times, panel.values[rows, column], color=BLUE, lw=0.9, label="observed")
        if expectation is not None:
            axis.fill_between(
                times, expectation.lower[rows, column], expectation.upper[rows, column],
                color=ORANGE, alpha=0.25, lw=0, label="expected",
            )  # fmt: skip
        unit = (units or {}).get(name, "")
        axis.set_ylabel(f"{name}\n[{unit}]" if unit else name, rotation=0, ha="right", va="center")
    if scores is not None:
        _score_panel(axes, scores, entity)
    for event in events:
        if event.entity == entity:
            start, end = (np.datetime64(t.replace(tzinfo=None), "ms") for t in (event.start, event.end))
            axes[0].plot([start, end], [1.06, 1.06], color=GREEN, lw=4, clip_on=False,
                         transform=axes[0].get_xaxis_transform(), label="known incident")  # fmt: skip
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0)
        axis.grid(axis="y", alpha=0.25)
    locator = mdates.AutoDateLocator()
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes[-1].set_xlabel("time (UTC)")
    _legend(figure, axes)
    figure.suptitle(f"{windows.job or 'windows'}: {entity}", x=0.01, ha="left", fontsize="medium", weight="bold")
    return figure


def _worst(scores: Scores | None, entities: tuple[str, ...]) -> str:
    if scores is None or scores.panel.n_rows == 0:
        return entities[0]
    return scores.panel.entities[int(scores.panel.codes[int(np.argmax(scores.score))])]


def _score_panel(axes: list[Axes], scores: Scores, entity: str) -> None:
    rows = dict(scores.panel)[entity]
    times = scores.panel.timestamps[rows].astype("datetime64[ms]")
    values = scores.score[rows]
    axes[-1].plot(times, values, color=GREY, lw=0.9, label="score")
    axes[-1].axhline(1.0, color=RED, lw=1, ls="--", label="alert line")
    axes[-1].set_ylabel("score", rotation=0, ha="right", va="center")
    axes[-1].set_ylim(bottom=min(0.0, float(values.min())))
    step = np.timedelta64(round(scores.panel.step * 1000), "ms")
    for first, last in _runs(values >= 1):
        for axis in axes:
            axis.axvspan(times[first], times[last - 1] + step, color=RED, alpha=0.15, lw=0)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of true rows."""
    edges = np.diff(np.r_[0, mask.astype(int), 0])
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _legend(figure: Figure, axes: list[Axes]) -> None:
    entries: dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="upper right",
        ncols=len(entries),
        frameon=False,
        fontsize="small",
    )
