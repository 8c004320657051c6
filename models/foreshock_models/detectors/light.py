"""Distance from usual values, without context: for fleets of a hundred thousand entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import AdditiveScorer, Arrays
from foreshock_models.detectors._search_space import Space
from foreshock_models.kernels.constants import MIN_BAND
from foreshock_models.panel import Panel
from foreshock_models.usual_values import Baseline

__all__ = ["Light", "LightScorer"]

PREFIX = "light."
"""Of the arrays of the scorer's baseline; tells them from those of the detector's own."""
MAX_DISTANCE = 1e6
"""Half-widths of the band: a larger distance counts as this one."""


class Light(Detector):
    """Squared distance of each value from its usual value at that hour, in half-widths of the usual band.

    The raw score is the mean over the features. Medians and bands are robust, one for each entity and hour of the
    day; a feature without a sample counts 0. There is no context: a pass reads new rows only, and a row costs less
    than a microsecond. What unfolds over time, or between features, is not seen; `Covariance` and the default
    detectors see it.

    Parameters
    ----------
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Not used: there is nothing random.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(600, 2))
    >>> x[550, 0] = 9.0
    >>> int(Light().fit(x[:500]).decision_function(x).argmax())
    550
    """

    name = "light"
    exact_attributions = True

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls(),)

    @classmethod
    def search_space(cls, n_features: int) -> Space:
        return {}

    def _fit_scorer(self, panel: Panel) -> LightScorer:
        return LightScorer(Baseline.fit(panel))

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> LightScorer:
        return LightScorer(Baseline.from_arrays(values["entities"], arrays, self.n_features_in_, PREFIX))


class LightScorer(AdditiveScorer):
    """Squared distance from usual values.

    Parameters
    ----------
    usual
        Usual values of the rows that were fitted.
    """

    def __init__(self, usual: Baseline) -> None:
        self.usual = usual

    @property
    def context(self) -> int:
        return 0

    def to_arrays(self) -> Arrays:
        entities, arrays = self.usual.to_arrays()
        return {"entities": entities}, {f"{PREFIX}{name}": values for name, values in arrays.items()}

    def _contributions(self, panel: Panel, rows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        chosen = panel if rows is None else panel.pick(rows)
        lower, middle, upper = self.usual.at(chosen)
        floor = MIN_BAND * self.usual.range_of(chosen)[chosen.codes]
        half = np.maximum(np.maximum(upper - lower, floor) / 2, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            away = np.minimum(np.abs(chosen.values - middle) / half, MAX_DISTANCE)
        return np.nan_to_num(away**2) / panel.n_features
