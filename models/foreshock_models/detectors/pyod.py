"""Any detector of PyOD, by its name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.detectors._base import Detector
from foreshock_models.errors import ConfigError, allowed
from foreshock_models.explain.explanation import Explanation
from foreshock_models.panel import Panel
from foreshock_models.scaling import Scaler

__all__ = ["PyOD"]

MAX_ROWS = 5_000
BACKGROUND = 16
BATCHED = {"ecod", "copod"}
"""These rank the rows of one call among each other; each row is given alone, so that no row sees a later one."""
MAX_ROWS_OF_BATCHED = 1_000
FEW_FEATURES = 6
"""Up to so many, all their subsets are fewer than what sampling would try."""


class PyOD(Detector):
    """A detector of PyOD on scaled rows; gaps become the centre.

    PyOD's own way to save is pickle, which would run code on loading. In its place the artifact keeps the
    rows that it was fitted on (at most 5,000) and its parameters, and fits it again, with the same seed.

    Parameters
    ----------
    model
        Name in PyOD, in any case: ``ECOD``, ``HBOS``, ``KNN``.
    params
        What its class takes.

    Raises
    ------
    ConfigError
        No such detector or parameter; says the nearest one.
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

    @property
    def context(self) -> int:
        return 0

    def _fit(self, panel: Panel) -> None:
        self.check(self.params)
        self.scaler_ = Scaler.fit(panel)
        x = self._rows(panel)
        rng = np.random.default_rng(self.random_state)
        limit = MAX_ROWS_OF_BATCHED if self.model.lower() in BATCHED else MAX_ROWS
        chosen = np.sort(rng.choice(len(x), size=min(len(x), limit), replace=False))
        self.sample_ = x[chosen]
        self._fit_sample()

    def _fit_sample(self) -> None:
        kind = _find(self.model)
        params = {"contamination": self.contamination, **self.params}
        if "random_state" in inspect.signature(kind).parameters:
            params["random_state"] = self.random_state
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # forty algorithms by forty authors: each warns in its own way
            self.model_ = kind(**params).fit(self.sample_)

    def _rows(self, panel: Panel) -> NDArray[np.float64]:
        return np.nan_to_num(self.scaler_.transform(panel))

    def _raw(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # see _fit_sample
            if self.model.lower() in BATCHED:
                scores = np.concatenate([self.model_.decision_function(row[None]) for row in x])
            else:
                scores = self.model_.decision_function(x)
        return np.nan_to_num(np.asarray(scores, dtype=np.float64))

    def _decision(self, panel: Panel) -> NDArray[np.float64]:
        return self._raw(self._rows(panel))

    def _decision_at(self, panel: Panel, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._raw(self._rows(panel)[rows])

    def _explain(self, panel: Panel, rows: NDArray[np.int64]) -> Explanation:
        import shap

        x = self._rows(panel)[rows]
        step = max(1, len(self.sample_) // BACKGROUND)
        background = self.sample_[::step][:BACKGROUND]
        if x.shape[1] <= FEW_FEATURES:
            found = shap.explainers.Exact(self._raw, background)(x, silent=True)
        else:
            explainer = shap.explainers.Permutation(self._raw, background, seed=self.random_state)
            found = explainer(x, max_evals=max(2 * x.shape[1] + 1, 100), silent=True)
        return Explanation(panel.features, found.values, np.broadcast_to(found.base_values, len(x)), self._raw(x))

    def _to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
        entities, arrays = self.scaler_.to_arrays()
        return {"entities": entities}, {**arrays, "sample": self.sample_}

    def _from_arrays(self, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self.scaler_ = Scaler.from_arrays(values["entities"], arrays)
        self.sample_ = arrays["sample"]
        self._fit_sample()


@cache
def _modules() -> dict[str, str]:
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
