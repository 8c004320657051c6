"""Detectors: one algorithm a file, by name."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from foreshock_models.detectors._base import Detector, Expectation, Scores
from foreshock_models.detectors._space import Choice, Float, Int, Range, Space, around
from foreshock_models.detectors.discord import Discord
from foreshock_models.detectors.ensemble import Ensemble
from foreshock_models.detectors.iforest import IForest
from foreshock_models.detectors.lstm import LSTM
from foreshock_models.detectors.per_entity import PerEntity
from foreshock_models.detectors.pyod import PyOD
from foreshock_models.detectors.subspace import Subspace
from foreshock_models.detectors.vae import VAE
from foreshock_models.errors import ConfigError, allowed

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

DETECTORS: dict[str, type[Detector]] = {
    "iforest": IForest,
    "lstm": LSTM,
    "vae": VAE,
    "subspace": Subspace,
    "discord": Discord,
    "ensemble": Ensemble,
    "per_entity": PerEntity,
}
ENTRY_POINTS = "foreshock.detectors"
PYOD = "pyod:"


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
    if name in DETECTORS:
        return DETECTORS[name]
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in plugins:
        loaded: type[Detector] = plugins[name].load()
        return loaded
    raise ConfigError(f"no detector {name!r}; {allowed(name, [*DETECTORS, *plugins, 'pyod:NAME'])}")


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
            return PerEntity(name, own, **outer)
        params = own
    if name.startswith(PYOD):
        return PyOD(name.removeprefix(PYOD), **params)
    return find(name)(**params)


def search_space(name: str, n_features: int) -> Space:
    """What may be tuned of the detector of that name; empty if there is nothing.

    >>> search_space("discord", 1)["window"]
    Int(low=8, high=192, default=64, log=True)
    """
    return (PyOD if name.startswith(PYOD) else find(name)).search_space(n_features)


def check_params(name: str, params: dict[str, Any]) -> None:
    """Raise ConfigError for a detector or a parameter that does not exist."""
    each = params.get("per_entity", False)
    if not isinstance(each, bool):
        raise ConfigError(f"{name}: per_entity is true or false, not {each!r}")
    if each and name in {"ensemble", "per_entity"}:
        raise ConfigError(f"{name} cannot be fitted per entity; its members can")
    params = {key: value for key, value in params.items() if key != "per_entity"}
    if name.startswith(PYOD):
        PyOD(name.removeprefix(PYOD)).check(params)
        return
    known = [p for p in inspect.signature(find(name)).parameters if p not in {"members", "self"}]
    for param in params:
        if param not in known:
            raise ConfigError(f"{name} has no parameter {param!r}; {allowed(param, [*known, 'per_entity'])}")
