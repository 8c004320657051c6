"""One entity over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from foreshock.plot import _style as style
from foreshock.plot._attributions import stack
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Expectation, Scores
    from foreshock_models.explain.explanation import Explanation


@style.plain_text()
def timeline(
    windows: Windows,
    scores: Scores | None = None,
    *,
    entity: str | None = None,
    features: Sequence[str] | None = None,
    expectation: Expectation | None = None,
    explanation: Explanation | None = None,
    events: Sequence[Any] = (),
    units: dict[str, str] | None = None,
) -> Figure:
    """One entity over time: a panel for each feature, one for the score with the alert line, one for its causes.

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
        What ``detector.expect(windows)`` or ``detector.usual(windows)`` gave, for the band around each feature.
    explanation
        What ``detector.explain(...)`` gave for rows of that entity: a panel of what drove the score.
    events
        Known incidents, with ``entity``, ``start`` and ``end``: marked above the panels.
    units
        Feature name to unit, for the axes.
    """
    panel = windows.to_panel()
    entity = style.pick("entity", entity, panel.entities, style.worst(scores, panel.entities))
    shown = [style.pick("feature", name, panel.features, name) for name in features or panel.features]
    rows = style.rows_of(panel, entity)
    times = style.times_of(panel.timestamps[rows])
    tall = [1.0] * len(shown) + [1.4] * (scores is not None) + [1.4] * (explanation is not None)
    figure, grid = plt.subplots(
        len(tall), 1, sharex=True, figsize=(10, 1.1 * sum(tall) + 0.9), layout="constrained", squeeze=False,
        height_ratios=tall,
    )  # fmt: skip
    axes: list[Axes] = list(grid[:, 0])
    for axis, name in zip(axes, shown, strict=False):
        column = panel.features.index(name)
        if expectation is not None:
            axis.fill_between(
                times, expectation.lower[rows, column], expectation.upper[rows, column],
                color=style.GREY, alpha=0.25, lw=0, label="expected",
            )  # fmt: skip
        axis.plot(times, panel.values[rows, column], color=style.BLUE, lw=0.9, label="observed")
        style.side_label(axis, name, (units or {}).get(name, ""))
    below = iter(axes[len(shown) :])
    if scores is not None:
        axis = next(below)
        style.score_line(axis, scores, entity)
        style.side_label(axis, "score")
    if explanation is not None:
        axis = next(below)
        stack(axis, explanation, entity, panel.step)
        style.side_label(axis, "driven by\n[raw score]")
        axis.set_ylim(0, 1.3 * max(axis.get_ylim()[1], 1e-9))  # room for the names
        handles, labels = axis.get_legend_handles_labels()
        axis.legend(handles, labels, loc="upper left", fontsize="small", frameon=False, ncols=3)
    if scores is not None:
        style.shade_scores(axes, scores, entity)
    axes[0].set_xlim(times[0], times[-1])
    style.mark_events(axes[0], events, entity)
    return style.finish(
        figure, axes, f"{windows.job or 'windows'}: {entity}", listed=axes[:-1] if explanation else axes
    )
