"""Any detector of PyOD, by its name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._scorer import Arrays, Scorer
from foreshock_models.errors import ConfigError, allowed
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.saved_arrays import saved_array
from foreshock_models.scaling import Scaler

__all__ = ["PyOD", "PyODScorer"]

MAX_ROWS = 5_000
BACKGROUND = 16
RANKED = {"ecod", "copod"}
"""These rank the rows of one call among each other; each row is passed alone, so that no row sees a later one."""
MAX_ROWS_OF_RANKED = 1_000
FEW_FEATURES = 6
"""Up to so many features, all their subsets are fewer than sampling would try."""


class PyOD(Detector):
    """Any detector of PyOD, on scaled rows; gaps become the center.

    PyOD saves by pickle, which would run code on loading. Instead, the artifact keeps the rows that the model was
    fitted on, at most 5,000, and its parameters; loading fits it again, with the same seed.

    Parameters
    ----------
    model
        Name in PyOD, in any case: ``ECOD``, ``HBOS``, ``KNN``.
    contamination
        Share of the training rows that `predict` calls outliers.
    random_state
        Seed; the same seed gives the same model.
    params
        Parameters of the class in PyOD.

    Raises
    ------
    ConfigError
        No such detector or parameter; the message names the nearest one.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> x[250] = 9.0
    >>> int(PyOD("KNN", n_neighbors=3).fit(x[:200]).decision_function(x).argmax())
    250
    """

    name = "pyod"

    def __init__(
        self, model: str = "ECOD", *, contamination: float = 0.01, random_state: int = 0, **params: Any
    ) -> None:
        super().__init__(contamination=contamination, random_state=random_state)
        self.model = model
        self.params = params

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        own = {"model": self.model, "contamination": self.contamination, "random_state": self.random_state}
        return {**own, **self.params}

    def set_params(self, **params: Any) -> PyOD:
        for name in ("model", "contamination", "random_state"):
            if name in params:
                setattr(self, name, params.pop(name))
        self.params = {**self.params, **params}
        return self

    def check(self, params: dict[str, Any]) -> None:
        """Raise ConfigError for a model or parameters that PyOD does not have."""
        known = {*inspect.signature(_find(self.model)).parameters, "contamination", "random_state"} - {"kwargs"}
        for name in params:
            if name not in known:
                raise ConfigError(f"pyod:{self.model} has no parameter {name!r}; {allowed(name, known)}")

    @classmethod
    def check_cases(cls) -> Sequence[Self]:
        return (cls("ECOD"), cls("KNN"))

    def _fit_scorer(self, panel: Panel) -> PyODScorer:
        self.check(self.params)
        scaler = Scaler.fit(panel)
        x = np.nan_to_num(scaler.transform(panel))
        rng = np.random.default_rng(self.random_state)
        limit = MAX_ROWS_OF_RANKED if self._ranked else MAX_ROWS
        chosen = np.sort(rng.choice(len(x), size=min(len(x), limit), replace=False))
        return self._scorer(scaler, x[chosen])

    def _load_scorer(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> PyODScorer:
        scaler = Scaler.from_arrays(values["entities"], arrays, self.n_features_in_)
        return self._scorer(scaler, saved_array(arrays, "sample", (None, self.n_features_in_)))

    @property
    def _ranked(self) -> bool:
        return self.model.lower() in RANKED

    def _scorer(self, scaler: Scaler, sample: NDArray[np.float64]) -> PyODScorer:
        """Fit PyOD's model on the scaled rows `sample` ``(n, n_features)``."""
        model = _find(self.model)
        params = {"contamination": self.contamination, **self.params}
        if "random_state" in inspect.signature(model).parameters:
            params["random_state"] = self.random_state
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # forty algorithms by forty authors: each warns in its own way
            fitted = model(**params).fit(sample)
        return PyODScorer(scaler, fitted, sample, ranked=self._ranked, seed=self.random_state)


class PyODScorer(Scorer):
    """Decision scores of a fitted model of PyOD.

    Parameters
    ----------
    sample
        ``(n, n_features)``: scaled rows that the model was fitted on; some are the background of explanations.
    ranked
        True if the model ranks the rows of one call among each other.
    """

    def __init__(self, scaler: Scaler, model: Any, sample: NDArray[np.float64], *, ranked: bool, seed: int) -> None:
        self.scaler = scaler
        self.model = model
        self.sample = sample
        self.ranked = ranked
        self.seed = seed

    @property
    def context(self) -> int:
        return 0

    def score(self, panel: Panel, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        x = self._scaled(panel)
        return self._raw(x if rows is None else x[rows])

    def attribute(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        import shap

        x = self._scaled(panel)[rows]
        step = max(1, len(self.sample) // BACKGROUND)
        background = self.sample[::step][:BACKGROUND]
        if x.shape[1] <= FEW_FEATURES:
            found = shap.explainers.Exact(self._raw, background)(x, silent=True)
        else:
            explainer = shap.explainers.Permutation(self._raw, background, seed=self.seed)
            found = explainer(x, max_evals=max(2 * x.shape[1] + 1, 100), silent=True)
        return Explanation(panel.features, found.values, np.broadcast_to(found.base_values, len(x)), self._raw(x))

    def to_arrays(self) -> Arrays:
        entities, arrays = self.scaler.to_arrays()
        return {"entities": entities}, {**arrays, "sample": self.sample}

    def _scaled(self, panel: Panel) -> NDArray[np.float64]:
        return np.nan_to_num(self.scaler.transform(panel))

    def _raw(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see PyOD._scorer
            if self.ranked:
                scores = np.concatenate([self.model.decision_function(row[None]) for row in x])
            else:
                scores = self.model.decision_function(x)
        return np.nan_to_num(np.asarray(scores, dtype=np.float64))


@cache
def _modules() -> dict[str, str]:
    """Name without underscores to module, of all detectors of PyOD."""
    models = importlib.import_module("pyod.models")
    names = [m.name for m in pkgutil.iter_modules(models.__path__)]
    return {name.replace("_", ""): name for name in names if not name.startswith(("base", "_", "gaal", "sklearn"))}


def _find(name: str) -> type[Any]:
    modules = _modules()
    key = name.lower().replace("_", "")
    if key not in modules:
        raise ConfigError(f"PyOD has no detector {name!r}; {allowed(name.lower(), modules)}")
    try:
        module = importlib.import_module(f"pyod.models.{modules[key]}")
    except ImportError as exc:
        raise ConfigError(f"pyod:{name} needs a package that is not installed: {exc}") from exc
    for attribute, value in vars(module).items():
        if attribute.lower() == key and inspect.isclass(value):
            return value
    raise ConfigError(f"PyOD's module {modules[key]!r} holds no detector; {allowed(name.lower(), modules)}")
