"""Each feature beside what was expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from foreshock.plot import _style as style
from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Expectation, Scores


@style.plain_text()
def expected(
    windows: Windows,
    expectation: Expectation,
    scores: Scores | None = None,
    *,
    entity: str | None = None,
    features: Sequence[str] | None = None,
    units: dict[str, str] | None = None,
) -> Figure:
    """A panel for each feature: expected value with its band, and what was observed; outside the band in red.

    Parameters
    ----------
    windows
        The rows.
    expectation
        What ``detector.expect(windows)`` (a prediction) or ``detector.usual(windows)`` (that hour on a usual day)
        gave for the same rows.
    scores
        Their scores: rows at or above 1.0 are shaded.
    entity, features, units
        As in `timeline`.

    Raises
    ------
    DataError
        The expectation is of other rows, or the entity or feature does not exist.
    """
    panel = windows.to_panel()
    if expectation.expected.shape != panel.values.shape:
        raise DataError(
            f"the expectation is of {expectation.expected.shape[0]} rows and the windows have {panel.n_rows}: "
            "call detector.expect(windows) with the same windows"
        )
    entity = style.pick("entity", entity, panel.entities, style.worst(scores, panel.entities))
    shown = [style.pick("feature", name, panel.features, name) for name in features or panel.features]
    rows = style.rows_of(panel, entity)
    times = style.times_of(panel.timestamps[rows])
    figure, grid = plt.subplots(
        len(shown), 1, sharex=True, figsize=(10, 1.4 * len(shown) + 0.9), layout="constrained", squeeze=False
    )
    axes: list[Axes] = list(grid[:, 0])
    for axis, name in zip(axes, shown, strict=True):
        column = panel.features.index(name)
        low, middle, high = (
            values[rows, column] for values in (expectation.lower, expectation.expected, expectation.upper)
        )
        observed = panel.values[rows, column]
        axis.fill_between(times, low, high, color=style.GREY, alpha=0.25, lw=0, label="expected: band")
        axis.plot(times, middle, color=style.GREY, lw=1.2, label="expected")
        axis.plot(times, observed, color=style.BLUE, lw=0.9, label="observed")
        outside = (observed < low) | (observed > high)
        axis.plot(
            times, np.where(outside, observed, np.nan), color=style.RED, lw=1.6, marker=".", ms=2.5,
            label="outside the band",
        )  # fmt: skip
        style.side_label(axis, name, (units or {}).get(name, ""))
    if scores is not None:
        style.shade_scores(axes, scores, entity)
    axes[0].set_xlim(times[0], times[-1])
    return style.finish(figure, axes, f"observed and expected: {entity}")
