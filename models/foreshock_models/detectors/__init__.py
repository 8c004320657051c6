"""Detectors: one algorithm a file, by name; imported when first used."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from foreshock_models.detectors._base import Detector, Expectation, Scores
from foreshock_models.detectors._space import Choice, Float, Int, Range, Space, around
from foreshock_models.errors import ConfigError, allowed

if TYPE_CHECKING:
    from foreshock_models.detectors.discord import Discord
    from foreshock_models.detectors.ensemble import Ensemble
    from foreshock_models.detectors.iforest import IForest
    from foreshock_models.detectors.lstm import LSTM
    from foreshock_models.detectors.per_entity import PerEntity
    from foreshock_models.detectors.pyod import PyOD
    from foreshock_models.detectors.subspace import Subspace
    from foreshock_models.detectors.vae import VAE

__all__ = [
    "DETECTORS",
    "LSTM",
    "VAE",
    "Choice",
    "Detector",
    "Discord",
    "Ensemble",
    "Expectation",
    "Float",
    "IForest",
    "Int",
    "PerEntity",
    "PyOD",
    "Range",
    "Scores",
    "Space",
    "Subspace",
    "around",
    "check_params",
    "default_detectors",
    "find",
    "make",
    "search_space",
]

DETECTORS = {
    "iforest": "IForest",
    "lstm": "LSTM",
    "vae": "VAE",
    "subspace": "Subspace",
    "discord": "Discord",
    "ensemble": "Ensemble",
    "per_entity": "PerEntity",
}
"""Name of a detector, and of its file, to its class."""
ENTRY_POINTS = "foreshock.detectors"
PYOD = "pyod:"


def __getattr__(name: str) -> Any:
    for file, kind in {**DETECTORS, "pyod": "PyOD"}.items():
        if name == kind:
            return getattr(import_module(f"{__name__}.{file}"), kind)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def default_detectors(n_features: int) -> tuple[str, ...]:
    """What a job gets that names none: on a single feature, those that see sub-sequences."""
    return ("iforest", "subspace", "discord") if n_features == 1 else ("iforest", "lstm", "vae")


def find(name: str) -> type[Detector]:
    """The class of a detector: built in, or from an entry point of the group ``foreshock.detectors``.

    Raises
    ------
    ConfigError
        No detector of that name; says the nearest one.
    """
    plugins = _known(name)
    loaded: type[Detector] = __getattr__(DETECTORS[name]) if name in DETECTORS else plugins[name].load()
    return loaded


def _known(name: str) -> dict[str, EntryPoint]:
    """The detectors of other packages; ConfigError if neither they nor ours have the name."""
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in DETECTORS and name not in plugins:
        raise ConfigError(f"no detector {name!r}; {allowed(name, [*DETECTORS, *plugins, 'pyod:NAME'])}")
    return plugins


def make(name: str, **params: Any) -> Detector:
    """A detector by its name in a job file: ``iforest``, ``pyod:ECOD`` ...; with `per_entity`, one for each entity.

    >>> make("iforest", n_trees=10).n_trees
    10
    >>> make("iforest", n_trees=10, per_entity=True)
    PerEntity(params={'n_trees': 10})
    """
    check_params(name, params)
    if "per_entity" in params:
        each, own = params["per_entity"], {k: v for k, v in params.items() if k != "per_entity"}
        if each:
            outer = {key: own.pop(key) for key in ("contamination", "random_state") if key in own}
            return _made("per_entity", name, own, **outer)
        params = own
    return _made(name, name.removeprefix(PYOD), **params) if name.startswith(PYOD) else _made(name, **params)


def search_space(name: str, n_features: int) -> Space:
    """What may be tuned of the detector of that name; empty if there is nothing.

    >>> search_space("discord", 1)["window"]
    Int(low=8, high=320, default=224, log=True)
    """
    return _class(name).search_space(n_features)


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise ConfigError for a detector or a parameter that does not exist."""
    each = params.get("per_entity", False)
    if not isinstance(each, bool):
        raise ConfigError(f"{name}: per_entity is true or false, not {each!r}")
    if each and name in {"ensemble", "per_entity"}:
        raise ConfigError(f"{name} cannot be fitted per entity; its members can")
    params = {key: value for key, value in params.items() if key != "per_entity"}
    if name.startswith(PYOD):
        _class(name)(name.removeprefix(PYOD)).check(params)
        return
    _known(name)
    if not params:
        return
    known = [p for p in inspect.signature(find(name)).parameters if p not in {"members", "self"}]
    for param in params:
        if param not in known:
            raise ConfigError(f"{name} has no parameter {param!r}; {allowed(param, [*known, 'per_entity'])}")


def _class(name: str) -> Any:
    return __getattr__("PyOD") if name.startswith(PYOD) else find(name)


def _made(name: str, *args: Any, **params: Any) -> Detector:
    made: Detector = _class(name)(*args, **params)
    return made
