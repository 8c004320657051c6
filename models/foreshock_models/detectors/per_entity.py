"""One model for each entity, in place of one that all share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._base import MIN_ROWS, Detector, Expectation
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel

__all__ = ["PerEntity"]


class PerEntity(Detector):
    """A detector of the same kind for each entity, for fleets whose members have little in common.

    It learns each entity's own pattern, and pays for it with memory and time for every entity, and with fewer rows
    to learn from. Entities that training did not know, or that had too few rows, are scored by one more model that
    is fitted on the rows of all.

    Parameters
    ----------
    of
        Name of the detector (`make`).
    params
        Its parameters.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> model = PerEntity("iforest", {"n_trees": 10}).fit(x, entities=["a"] * 300 + ["b"] * 300)
    >>> sorted(model.models_)
    ['a', 'b']
    """

    name = "per_entity"

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

    @property
    def context(self) -> int:
        return max(model.context for model in (self.shared_, *self.models_.values()))

    def _fit(self, panel: Panel) -> None:
        self.shared_ = self._fitted(panel)
        filled = np.asarray(~np.isnan(panel.values).all(axis=1))
        self.models_ = {
            entity: self._fitted(panel.rows(rows.start, rows.stop))
            for entity, rows in panel
            if filled[rows].sum() >= MIN_ROWS
        }

    def _gauge(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        self.shared_._gauge(panel, held_back)
        for entity, rows in panel:
            if entity in self.models_:
                self.models_[entity]._gauge(panel.rows(rows.start, rows.stop), held_back[rows])

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return np.concatenate(
            [self._model_of(entity)._decision(panel.rows(rows.start, rows.stop)) for entity, rows in panel]
        )

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = [model._decision_at(part, own) for model, part, own in self._blocks(panel, rows)]
        return np.concatenate(parts) if parts else np.empty(0)

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        found = [model._explain(part, own) for model, part, own in self._blocks(panel, rows)]
        return Explanation(
            panel.features,
            np.concatenate([e.attributions for e in found]),
            np.concatenate([e.base for e in found]),
            np.concatenate([e.raw for e in found]),
        )

    def _expect(self, panel: Panel) -> Expectation | None:
        found = [self._model_of(entity)._expect(panel.rows(rows.start, rows.stop)) for entity, rows in panel]
        known = [e for e in found if e is not None]
        if len(known) < len(found):
            return None
        return Expectation(
            np.concatenate([e.expected for e in known]),
            np.concatenate([e.lower for e in known]),
            np.concatenate([e.upper for e in known]),
        )

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        packed = [model._to_arrays() for model in (self.shared_, *self.models_.values())]
        arrays = {f"{i}.{name}": array for i, (_, own) in enumerate(packed) for name, array in own.items()}
        return {"entities": list(self.models_), "models": [values for values, _ in packed]}, arrays

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        models = []
        for i, own in enumerate(values["models"]):
            prefix = f"{i}."
            model = self._new()
            model._from_arrays(own, {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)})
            models.append(model)
        self.shared_ = models[0]
        self.models_ = dict(zip(values["entities"], models[1:], strict=True))

    # -- inside ----------------------------------------------------------------------------------------
    def _new(self) -> Detector:
        from foreshock_models.detectors import make

        model = make(self.of, **{"random_state": self.random_state, **(self.params or {})})
        model.features_in_, model.n_features_in_ = self.features_in_, self.n_features_in_
        return model

    def _fitted(self, panel: Panel) -> Detector:
        model = self._new()
        model._fit(panel)
        return model

    def _blocks(self, panel: Panel, rows: NDArray[np.int64]) -> Iterator[tuple[Detector, Panel, NDArray[np.int64]]]:
        """Each entity that has some of the increasing `rows`: its model, its rows, and the numbers in them."""
        for (entity, block), own in zip(
            panel, np.split(rows, np.searchsorted(rows, panel.offsets[1:-1])), strict=True
        ):
            if len(own):
                yield self._model_of(entity), panel.rows(block.start, block.stop), own - block.start

    def _model_of(self, entity: str) -> Detector:
        return self.models_.get(entity, self.shared_)
