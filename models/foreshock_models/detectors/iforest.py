"""Isolation Forest on window features [1]_, one forest for each feature.

.. [1] Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.detectors._base import Detector
from foreshock_models.detectors._space import Choice, Float, Int, Space
from foreshock_models.detectors._trees import BLOCK, Forest, add_depths, grow, score_forests
from foreshock_models.detectors._windows import (
    N_WINDOW_FEATURES,
    RowsBefore,
    features_of,
    mean_before,
    rows_before,
    rows_needed,
    window_features,
)
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler, scaled

__all__ = ["IForest"]

SEVERAL, SINGLE = (5, 60, 8), (15, 200, 30)
"""Default `short`, `long` and `smoothing`, for several features and for one."""
QUANTILE, QUANTILE_OF_ONE = 0.95, 0.9
"""Default `quantile`, for several features and for one."""
MEASURED = 20_000
"""Rows, drawn at random, that say what is usual."""
FAR = 8.0
"""A row counts at most so many times for lying far out, in units of the 99% quantile of the training rows."""


class IForest(Detector):
    """A forest per feature isolates level, trend and spread of that feature over causal windows.

    The raw score is the mean over the features of how far each one's isolation score lies above what its
    forest gave to nearly all training rows, times how far the row lies out: isolation alone is bounded, and
    calls a little and a lot beyond the training rows the same. As a sum of functions of one feature each, its
    Shapley values are known in closed form, and add up to the score.

    Parameters
    ----------
    n_trees
        Trees per feature.
    max_samples
        Rows that each tree is grown on; the memory of a scorer grows with it, 16 bytes for each such row and tree.
    short, long
        Lengths of the two windows, rows; default 5 and 60, or 15 and 200 for a single feature.
    smoothing
        Rows over which isolation scores are averaged; default 6, or 30 for a single feature, which has no
        others to make a lone spike stand out less.
    quantile
        Isolation scores below this quantile of the training rows count as none; default 0.95, or 0.9 for a
        single feature.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> x[400:410] += 8
    >>> scores = IForest(n_trees=25).fit(x[:300]).decision_function(x)
    >>> bool(scores[400:410].min() > scores[:390].max())
    True
    """

    name = "iforest"

    def __init__(
        self,
        *,
        n_trees: int = 40,
        max_samples: int = 256,
        short: int | None = None,
        long: int | None = None,
        smoothing: int | None = None,
        quantile: float | None = None,
        contamination: float = 0.01,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.n_trees = n_trees
        self.max_samples = max_samples
        self.short = short
        self.long = long
        self.smoothing = smoothing
        self.quantile = quantile

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        short, long, smoothing = SINGLE if n_features == 1 else SEVERAL
        return {
            "short": Int(2, 40, short, log=True),
            "long": Int(20, 300, long, log=True),
            "smoothing": Int(1, 60, smoothing, log=True),
            "quantile": Float(0.7, 0.98, QUANTILE_OF_ONE if n_features == 1 else QUANTILE),
            "max_samples": Choice((64, 128, 256, 512), 256),
        }

    @property
    def context(self) -> int:
        _, long, smoothing = self.lengths_
        return long + smoothing - 2

    def _fit(self, panel: Panel) -> None:
        self.scaler_ = Scaler.fit(panel)
        usual = SINGLE if panel.n_features == 1 else SEVERAL
        asked = (self.short, self.long, self.smoothing)
        self.lengths_ = tuple(b if a is None else a for a, b in zip(asked, usual, strict=True))
        rng = np.random.default_rng(self.random_state)
        rows = np.flatnonzero(~np.isnan(panel.values).all(axis=1))
        chosen = rng.choice(rows, size=min(len(rows), 20 * self.max_samples), replace=False)
        numbers, back = np.unique(chosen, return_inverse=True)
        _, _, x = self._features_of(panel, numbers)
        self.forest_ = grow(x[:, back], self.n_trees, self.max_samples, self.random_state)
        # a forest that saw a single value tells everything else apart by nothing: it has no say
        self.weight_ = np.where(np.ptp(x[:, :, 0], axis=1) > 0, 1.0, 0.0) / panel.n_features
        self.size_ = np.maximum(np.quantile(np.abs(x), 0.99, axis=1), 0.1)  # (n_features, 4)

    def _gauge(self, panel: Panel, held_back: NDArray[np.bool_]) -> None:
        rng = np.random.default_rng(self.random_state)
        rows = np.flatnonzero(~np.isnan(panel.values).all(axis=1))
        chosen = np.sort(rng.choice(rows, size=min(len(rows), MEASURED), replace=False))
        z, some, x = self._features_of(panel, chosen)
        short, long, _ = self.lengths_
        usual = QUANTILE if panel.n_features > 1 else QUANTILE_OF_ONE
        quantile = usual if self.quantile is None else self.quantile
        self.floor_ = np.quantile(score_forests(self.forest_, x), quantile, axis=0)
        learnt = self.forest_.walked, self.floor_, self.size_, self.weight_
        self.base_ = _parts(z, some.starts, some.rows, short, long, *learnt).mean(axis=0)

    def _features_of(
        self, panel: Panel, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], RowsBefore, NDArray[np.float32]]:
        """All rows scaled; where `rows`, increasing, lie; and their window features ``(F, n, 4)``."""
        short, long, _ = self.lengths_
        z, some = self.scaler_.transform(panel), rows_before(panel, rows, 1)
        return z, some, window_features(z, some.starts, some.rows, short, long)

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """What each feature adds to the smoothed raw score of `rows` (None: all) ``(n, n_features)``."""
        scaler, (short, long, smoothing) = self.scaler_, self.lengths_
        found: NDArray[np.float64] = _contributions(
            panel.values,
            panel.offsets,
            scaler.rows_of(panel.entities),
            scaler.center,
            scaler.spread,
            np.arange(panel.n_rows) if rows is None else rows,
            short,
            long,
            smoothing,
            self.forest_.walked,
            self.floor_,
            self.size_,
            self.weight_,
        )
        return found

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._contributions(panel).sum(axis=1)

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._contributions(panel, rows).sum(axis=1)

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        parts = self._contributions(panel, rows)
        base = np.full(len(rows), self.base_.sum())
        return Explanation(panel.features, parts - self.base_, base, parts.sum(axis=1))

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, scaler = self.scaler_.to_arrays()
        arrays = {
            **scaler,
            **self.forest_.to_arrays(),
            "floor": self.floor_,
            "size": self.size_,
            "weight": self.weight_,
            "base": self.base_,
        }
        return {"entities": entities, "lengths": list(self.lengths_)}, arrays

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.lengths_ = tuple(values["lengths"])
        self.forest_ = Forest.from_arrays(arrays)
        self.floor_, self.size_ = arrays["floor"], arrays["size"]
        self.weight_, self.base_ = arrays["weight"], arrays["base"]


@njit(cache=True, nogil=True)
def _contributions(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    entities: NDArray[np.int64],
    center: NDArray[np.float64],
    spread: NDArray[np.float64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    smoothing: int,
    trees: tuple[NDArray[Any], ...],
    floor: NDArray[np.float64],
    size: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `IForest._contributions`: at once, for one row is scored sooner than Python calls five times."""
    needed, starts, place, counts = rows_needed(offsets, rows, smoothing)
    z = scaled(values, offsets, entities, center, spread)
    return mean_before(_parts(z, starts, needed, short, long, trees, floor, size, weight), place, counts)


@njit(cache=True, nogil=True)
def _parts(
    z: NDArray[np.float64],
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    short: int,
    long: int,
    trees: tuple[NDArray[Any], ...],
    floor: NDArray[np.float64],
    size: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Window features, walks and what is above the floor, a block of rows at a time, which stays in the cache.

    ``z`` ``(n_rows, n_features)``, ``size`` ``(n_features, 4)``; returns ``(len(rows), n_features)``.
    """
    threshold, feature, depth, levels, normal = trees
    n_features = z.shape[1]
    n_trees = len(threshold) // n_features
    out = np.zeros((len(rows), n_features))
    block = np.empty((BLOCK, N_WINDOW_FEATURES), np.float32)
    total = np.empty(BLOCK)
    for first in range(0, len(rows), BLOCK):
        last = min(first + BLOCK, len(rows))
        x, lengths = block[: last - first], total[: last - first]
        for j in range(n_features):
            features_of(z, j, starts[first:last], rows[first:last], short, long, x)
            own = slice(j * n_trees, (j + 1) * n_trees)
            lengths[:] = 0.0
            add_depths(x, threshold[own], feature[own], depth[own], levels[j], lengths)
            scale = -1.0 / (n_trees * normal[j]) if normal[j] > 0 else 0.0
            line = np.log2(floor[j]) - 1e-9  # most rows lie below, and need no power
            for i in range(len(x)):
                if lengths[i] * scale <= line:
                    continue
                over = 2.0 ** (lengths[i] * scale) - floor[j]
                if over > 0.0:
                    far = 1.0
                    for k in range(N_WINDOW_FEATURES):
                        far = max(far, abs(np.float64(x[i, k])) / size[j, k])
                    out[first + i, j] = over * min(far, FAR) * weight[j]
    return out
