"""The newest score of each entity, for those who ask at ``/metrics``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_pipelines.scoring.scored_rows import ScoredRows

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector  # who only reads this need not load torch

__all__ = ["Latest"]


@dataclass(frozen=True)
class Latest:
    """``score`` ``(n_entities,)``; ``usual`` ``(3, n_entities, n_features)``: expected, lower, upper.

    ``members``: detector to score, as `score`.
    """

    entities: tuple[str, ...]
    features: tuple[str, ...]
    detector: str
    score: NDArray[np.float64]
    usual: NDArray[np.float64]
    members: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, scored: ScoredRows, detector: Detector) -> Latest:
        """The last rows of a pass, of the entities that have a sample there."""
        panel = scored.panel
        ends = panel.offsets[1:] - 1
        ends = ends[~np.isnan(panel.values[ends]).all(axis=1)]
        usual = np.zeros((3, 0, panel.n_features))
        if len(ends):
            last = np.zeros(panel.n_rows, np.bool_)
            last[ends] = True
            found = detector.usual(panel.take(last))
            usual = np.stack([found.expected, found.lower, found.upper])
        return cls(
            entities=tuple(panel.entities[i] for i in panel.codes[ends]),
            features=panel.features,
            detector=detector.name,
            score=scored.score[ends],
            usual=usual,
            members={name: values[ends] for name, values in scored.members.items()},
        )
