"""The scores of several detectors, one under the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt

from foreshock.plot import _style as style
from foreshock_models.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from foreshock_models.detectors import Scores


@style.plain_text()
def detectors(
    scores: Mapping[str, Scores] | Scores, *, entity: str | None = None, events: Sequence[Any] = ()
) -> Figure:
    """A panel for each detector with its score of the same rows; all have the same alert line.

    Parameters
    ----------
    scores
        Name to scores; or the scores of an ensemble, which hold those of its members.
    entity
        Which one; default: the one with the highest score of the first detector.
    events
        Known incidents, with ``entity``, ``start`` and ``end``: marked above the panels.
    """
    several = dict(scores) if isinstance(scores, Mapping) else _of_ensemble(scores)
    if not several:
        raise DataError("no scores to compare: give {name: detector.score(windows), ...}")
    first = next(iter(several.values()))
    entity = style.pick("entity", entity, first.panel.entities, style.worst(first, first.panel.entities))
    figure, grid = plt.subplots(
        len(several), 1, sharex=True, figsize=(10, 1.3 * len(several) + 0.9), layout="constrained", squeeze=False
    )
    axes: list[Axes] = list(grid[:, 0])
    for axis, (name, found) in zip(axes, several.items(), strict=True):
        style.score_line(axis, found, entity)
        style.shade_scores([axis], found, entity)
        style.side_label(axis, name)
    times = style.times_of(first.panel.timestamps[style.rows_of(first.panel, entity)])
    axes[0].set_xlim(times[0], times[-1])
    style.mark_events(axes[0], events, entity)
    return style.finish(figure, axes, f"detectors: {entity}")


def _of_ensemble(scores: Scores) -> dict[str, Scores]:
    members = {name: replace(scores, score=values, members={}) for name, values in scores.members.items()}
    return {"ensemble" if members else "score": scores, **members}
