"""Registry of detectors: names in job files to classes, imported when first used."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._search_space import Space
from foreshock_models.errors import ConfigError, allowed

__all__ = ["DETECTORS", "ENTRY_POINTS", "check_params", "default_detectors", "find", "make", "search_space"]

DETECTORS = {
    "iforest": "IForest",
    "lstm": "LSTM",
    "vae": "VAE",
    "covariance": "Covariance",
    "subspace": "Subspace",
    "discord": "Discord",
    "light": "Light",
    "ensemble": "Ensemble",
    "per_entity": "PerEntity",
}
"""Name of a detector, and of its file, to its class."""
ENTRY_POINTS = "foreshock.detectors"
"""Group of the entry points of other packages: the name of a detector to its class."""
PYOD = "pyod:"
"""Prefix of the detectors of PyOD."""


def default_detectors(n_features: int) -> tuple[str, ...]:
    """Return the detectors of a job that names none; on a single feature, networks add nothing to the others.

    >>> default_detectors(5)
    ('iforest', 'lstm', 'vae', 'covariance')
    """
    return ("iforest", "covariance") if n_features == 1 else ("iforest", "lstm", "vae", "covariance")


def find(name: str) -> type[Detector]:
    """Return the class of a detector: built in, or from an entry point of the group ``foreshock.detectors``.

    Raises
    ------
    ConfigError
        No detector of that name; the message names the nearest one.
    """
    plugins = _plugins(name)
    return built_in(name) if name in DETECTORS else plugins[name].load()


def built_in(name: str) -> type[Detector]:
    """Return the class of a detector of this package, or of PyOD's wrapper (``pyod``)."""
    class_name = "PyOD" if name == "pyod" else DETECTORS[name]
    found: type[Detector] = getattr(import_module(f"foreshock_models.detectors.{name}"), class_name)
    return found


def _plugins(name: str) -> dict[str, EntryPoint]:
    """Detectors of other packages; ConfigError if neither they nor ours include `name`."""
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in DETECTORS and name not in plugins:
        raise ConfigError(f"no detector {name!r}; {allowed(name, [*DETECTORS, *plugins, 'pyod:NAME'])}")
    return plugins


def make(name: str, **params: Any) -> Detector:
    """Make a detector by its name in a job file: ``iforest``, ``pyod:ECOD`` ...

    Parameters
    ----------
    params
        Parameters of its class. With ``per_entity=True``, one model is fitted for each entity.

    Raises
    ------
    ConfigError
        No such detector or parameter; the message names the nearest one.

    Examples
    --------
    >>> make("iforest", n_trees=10).n_trees
    10
    >>> make("iforest", n_trees=10, per_entity=True)
    PerEntity(params={'n_trees': 10})
    """
    check_params(name, params)
    own = {key: value for key, value in params.items() if key != "per_entity"}
    if params.get("per_entity", False):
        outer = {key: own.pop(key) for key in ("contamination", "random_state") if key in own}
        return _class_of("per_entity")(name, own, **outer)
    return _class_of(name)(name.removeprefix(PYOD), **own) if name.startswith(PYOD) else _class_of(name)(**own)


def search_space(name: str, n_features: int) -> Space:
    """Return the parameters that a search may vary for the detector of that name.

    >>> search_space("discord", 1)["window"]
    Int(low=8, high=320, default=224, log=True)
    """
    space: Space = _class_of(name).search_space(n_features)
    return space


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise ConfigError for a detector or a parameter that does not exist."""
    per_entity = params.get("per_entity", False)
    if not isinstance(per_entity, bool):
        raise ConfigError(f"{name}: per_entity is true or false, not {per_entity!r}")
    if per_entity and name in {"ensemble", "per_entity"}:
        raise ConfigError(f"{name} cannot be fitted per entity; its members can")
    params = {key: value for key, value in params.items() if key != "per_entity"}
    if name.startswith(PYOD):
        _class_of(name)(name.removeprefix(PYOD)).check(params)
        return
    _plugins(name)
    if not params:
        return
    known = [p for p in inspect.signature(find(name)).parameters if p not in {"members", "self"}]
    for param in params:
        if param not in known:
            raise ConfigError(f"{name} has no parameter {param!r}; {allowed(param, [*known, 'per_entity'])}")


def _class_of(name: str) -> Any:
    return built_in("pyod") if name.startswith(PYOD) else find(name)
