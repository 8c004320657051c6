"""Plot of attributions over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from foreshock.plot import _style as style
from foreshock_models.errors import DataError, allowed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Scores
    from foreshock_models.explain.explanation import Explanation

SHOWN = len(style.CYCLE)
"""So many features get a colour of their own; the rest are one grey."""


@style.plain_text()
def attributions(
    explanation: Explanation, scores: Scores | None = None, *, entity: str | None = None, step: float = 60.0
) -> Figure:
    """Plot how much each feature raised the raw score, stacked over time; under it the score with the alert line.

    Parameters
    ----------
    explanation
        What ``detector.explain(windows, rows)`` gave, for consecutive rows of one or more entities.
    scores
        Scores of the same entity, for the panel below.
    entity
        Which one; default the one whose score was raised most.
    step
        Seconds between rows: over a longer gap no area is drawn.
    """
    if explanation.entities is None or explanation.timestamps is None:
        raise DataError("this explanation does not know the times of its rows; make it with detector.explain(...)")
    names = tuple(dict.fromkeys(explanation.entities))
    peak = explanation.entities[int(np.argmax(explanation.raw - explanation.base))]
    entity = style.pick("entity", entity, names, peak)
    ratios = [2.0, 1.0] if scores is not None else [1.0]
    figure, grid = plt.subplots(
        len(ratios), 1, sharex=True, figsize=(10, 3.2 + 1.3 * (len(ratios) - 1)), layout="constrained",
        squeeze=False, height_ratios=ratios,
    )  # fmt: skip
    axes: list[Axes] = list(grid[:, 0])
    times = stack(axes[0], explanation, entity, step)
    axes[0].set_ylabel("attribution\n[raw score]")
    if scores is not None:
        style.score_line(axes[1], scores, entity)
        axes[1].set_ylabel("score")
        style.shade_scores(axes, scores, entity)
    axes[0].set_xlim(times[0], times[-1])
    return style.finish(figure, axes, f"what drove the score: {entity}")


def stack(axis: Axes, explanation: Explanation, entity: str, step: float) -> style.Times:
    """Areas of what raised the score, the largest feature at the bottom; gives the times of the rows."""
    if explanation.entities is None or explanation.timestamps is None:
        raise DataError("this explanation does not know the times of its rows; make it with detector.explain(...)")
    chosen = np.flatnonzero(np.array(explanation.entities, dtype=object) == entity)
    if len(chosen) == 0:
        raise DataError(f"no row of {entity!r} was explained; {allowed(entity, explanation.entities)}")
    chosen = chosen[np.argsort(explanation.timestamps[chosen], kind="stable")]
    times = explanation.timestamps[chosen]
    raised = np.maximum(explanation.attributions[chosen], 0.0)
    order = np.argsort(-raised.sum(axis=0), kind="stable")
    named, rest = order[:SHOWN], order[SHOWN:]
    parts = [raised[:, j] for j in named]
    labels = [explanation.features[j] for j in named]
    colors = list(style.CYCLE[: len(named)])
    if len(rest):
        parts.append(raised[:, rest].sum(axis=1))
        labels.append(f"{len(rest)} others")
        colors.append("#BBBBBB")
    gaps = np.flatnonzero(np.diff(times) > 1.5 * step * 1000) + 1
    for number, part in enumerate(np.split(np.arange(len(times)), gaps)):
        axis.stackplot(
            style.times_of(times[part]), [values[part] for values in parts], colors=colors, lw=0,
            labels=labels if number == 0 else (),
        )  # fmt: skip
    axis.set_ylim(bottom=0)
    return style.times_of(times)
