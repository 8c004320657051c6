"""One model for each entity, instead of one that all share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._holdout import MIN_ROWS
from foreshock_models.detectors._results import Expectation
from foreshock_models.detectors._scorer import Arrays, Scorer
from foreshock_models.detectors.registry import make
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

__all__ = ["PerEntity", "PerEntityScorer"]


class PerEntity(Detector):
    """A detector of the same type for each entity, for fleets whose members have little in common.

    Each model learns the pattern of its entity, at the price of memory and time for every entity, and of fewer
    rows to learn from. Entities that training did not know, or that had too few rows, are scored by one more
    model that is fitted on the rows of all.

    Parameters
    ----------
    of
        Name of the detector, as in a job file.
    params
        Its parameters.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> model = PerEntity("iforest", {"n_trees": 10}).fit(x, entities=["a"] * 300 + ["b"] * 300)
    >>> sorted(model.scorer_.own)
    ['a', 'b']
    """

    name = "per_entity"
    scorer_: PerEntityScorer

    def __init__(
        self,
        of: str = "iforest",
        params: Mapping[str, Any] | None = None,
        *,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.of = of
        self.params = params

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls("subspace", {"window": 16}),)

    def _fit_scorer(self, panel: Panel) -> PerEntityScorer:
        filled = np.asarray(~np.isnan(panel.values).all(axis=1))
        shared = self._new()._fit_scorer(panel)
        own = {
            entity: self._new()._fit_scorer(panel.rows(rows.start, rows.stop))
            for entity, rows in panel
            if filled[rows].sum() >= MIN_ROWS
        }
        return PerEntityScorer(shared, own)

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PerEntityScorer:
        scorers = []
        for i, saved in enumerate(values["models"]):
            prefix = f"{i}."
            part = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            scorers.append(self._new()._load_scorer(saved, part))
        return PerEntityScorer(scorers[0], dict(zip(values["entities"], scorers[1:], strict=True)))

    def _new(self) -> Detector:
        detector = make(self.of, **{"random_state": self.random_state, **(self.params or {})})
        detector._set_features(self.features_in_)
        return detector


class PerEntityScorer(Scorer):
    """A scorer for each entity, and a shared one for the others."""

    def __init__(self, shared: Scorer, own: Mapping[str, Scorer]) -> None:
        self.shared = shared
        self.own = dict(own)

    @property
    def context(self) -> int:
        return max(scorer.context for scorer in (self.shared, *self.own.values()))

    def fit_scale(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        self.shared.fit_scale(panel, held_back)
        for entity, rows in panel:
            if entity in self.own:
                self.own[entity].fit_scale(panel.rows(rows.start, rows.stop), held_back[rows])

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        rows = np.arange(panel.n_rows) if rows is None else rows
        parts = [scorer.score(part, own) for scorer, part, own in self._parts(panel, rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        found = [scorer.attribute(part, own) for scorer, part, own in self._parts(panel, rows)]
        return Explanation(
            panel.features,
            np.concatenate([e.attributions for e in found]),
            np.concatenate([e.base for e in found]),
            np.concatenate([e.raw for e in found]),
        )

    def expect(self, panel: Panel) -> Expectation | None:
        found = [self._scorer_of(entity).expect(panel.rows(rows.start, rows.stop)) for entity, rows in panel]
        known = [e for e in found if e is not None]
        if len(known) < len(found):
            return None
        return Expectation(
            np.concatenate([e.expected for e in known]),
            np.concatenate([e.lower for e in known]),
            np.concatenate([e.upper for e in known]),
        )

    def to_arrays(self) -> Arrays:
        packed = [scorer.to_arrays() for scorer in (self.shared, *self.own.values())]
        arrays = {f"{i}.{name}": array for i, (_, own) in enumerate(packed) for name, array in own.items()}
        return {"entities": list(self.own), "models": [values for values, _ in packed]}, arrays

    def _parts(self, panel: Panel, rows: NDArray[np.int64]) -> Iterator[tuple[Scorer, Panel, NDArray[np.int64]]]:
        """Yield the scorer, the rows, and the numbers in them, of each entity that has some of `rows`."""
        numbers = np.split(rows, np.searchsorted(rows, panel.offsets[1:-1]))
        for (entity, block), own in zip(panel, numbers, strict=True):
            if len(own):
                yield self._scorer_of(entity), panel.rows(block.start, block.stop), own - block.start

    def _scorer_of(self, entity: str) -> Scorer:
        return self.own.get(entity, self.shared)
