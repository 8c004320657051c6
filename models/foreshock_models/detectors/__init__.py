"""Detectors: one algorithm a file, imported when first used.

A detector composes a scorer, which computes raw scores, with a calibrator and an explainer; see `Detector`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from foreshock_models.detectors._detector import Detector
from foreshock_models.detectors._holdout import HOLD_BACK, MIN_ROWS, hold_back
from foreshock_models.detectors._results import Expectation, Scores
from foreshock_models.detectors._scorer import Arrays, Scorer
from foreshock_models.detectors._search_space import Choice, Float, Int, Range, Space, around
from foreshock_models.detectors.registry import (
    DETECTORS,
    check_params,
    default_detectors,
    find,
    make,
    search_space,
)

if TYPE_CHECKING:
    from foreshock_models.detectors._network import NetworkDetector
    from foreshock_models.detectors.covariance import Covariance
    from foreshock_models.detectors.discord import Discord
    from foreshock_models.detectors.ensemble import Ensemble
    from foreshock_models.detectors.iforest import IForest
    from foreshock_models.detectors.light import Light
    from foreshock_models.detectors.lstm import LSTM
    from foreshock_models.detectors.per_entity import PerEntity
    from foreshock_models.detectors.pyod import PyOD
    from foreshock_models.detectors.subspace import Subspace
    from foreshock_models.detectors.vae import VAE

__all__ = [
    "DETECTORS",
    "HOLD_BACK",
    "LSTM",
    "MIN_ROWS",
    "VAE",
    "Arrays",
    "Choice",
    "Covariance",
    "Detector",
    "Discord",
    "Ensemble",
    "Expectation",
    "Float",
    "IForest",
    "Int",
    "Light",
    "NetworkDetector",
    "PerEntity",
    "PyOD",
    "Range",
    "Scorer",
    "Scores",
    "Space",
    "Subspace",
    "around",
    "check_params",
    "default_detectors",
    "find",
    "hold_back",
    "make",
    "search_space",
]

_LAZY = {name: file for file, name in {**DETECTORS, "pyod": "PyOD", "_network": "NetworkDetector"}.items()}
"""Class to its file."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
