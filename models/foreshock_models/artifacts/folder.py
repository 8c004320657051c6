"""Write and read the folder of a model.

``manifest.json`` names the format, the detector with its parameters, the features, how it was trained, library
versions, and size and SHA-256 of every other file: one ``*.safetensors`` for each detector. The manifest is
written last: a folder without it is not a model.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from foreshock_models.artifacts.manifest import FORMAT, LARGEST_FILE, MANIFEST, SEAL, read_file, read_manifest
from foreshock_models.calibration.calibrator import Calibrator
from foreshock_models.detectors import Detector, Ensemble, make
from foreshock_models.errors import ArtifactError, NotFitted
from foreshock_models.usual_values import Baseline

__all__ = ["load", "save"]

LONGEST_CONTEXT = 1_000_000
"""Rows that a detector looks back."""
LIBRARIES = ("foreshock", "numpy", "torch", "scikit-learn", "pyod", "numba")


def save(detector: Detector, folder: str | Path, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write a fitted detector into an empty or new folder; gives the manifest.

    Parameters
    ----------
    extra
        JSON values to keep with it: training range, data fingerprint, metrics.

    Raises
    ------
    NotFitted
        The detector was never fitted.
    ArtifactError
        The folder holds something already.
    """
    if not hasattr(detector, "features_in_"):
        raise NotFitted(f"this {type(detector).__name__} is not fitted yet: there is nothing to save")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ArtifactError(f"{folder}: holds files already; a model is saved into a folder of its own")
    tensors: dict[str, bytes] = {}
    model = _pack(detector, detector.name.replace(":", "-"), tensors)
    files = {}
    for name, data in tensors.items():
        _write(folder / name, data)
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest = {
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "features": list(detector.features_in_),
        "model": model,
        "files": files,
        "libraries": {name: version(name) for name in LIBRARIES},
        **(extra or {}),
    }
    body = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False).encode()
    sealed = json.dumps({"sha256": hashlib.sha256(body).hexdigest()}).encode()
    _write(folder / SEAL, sealed)
    _write(folder / MANIFEST, body)
    return manifest


def load(folder: str | Path) -> Detector:
    """Return the detector of a saved model, after every file was checked.

    Raises
    ------
    ArtifactError
        A changed byte, a missing or unknown file, a link or a name that leads elsewhere, a manifest of another
        form, a newer format: the text names the file.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name not in (MANIFEST, SEAL, *manifest["files"]):
                raise ArtifactError(f"{folder}: {entry.name} does not belong to this model")
    tensors = {name: _checked(folder / name, entry) for name, entry in manifest["files"].items()}
    try:
        detector = _unpack(manifest["model"], tensors)
        context = detector.context
    except ArtifactError as exc:
        raise ArtifactError(f"{folder}: {exc}") from exc
    except Exception as exc:  # a boundary: detectors, also of other packages, are made of what somebody else wrote
        said = f"{type(exc).__name__}: {exc}"[:500]
        raise ArtifactError(f"{folder}: the manifest does not fit this version's detectors: {said}") from exc
    if not 0 <= context <= LONGEST_CONTEXT:
        raise ArtifactError(f"{folder}: a context of {context} rows cannot be; at most {LONGEST_CONTEXT}")
    return detector


def _pack(detector: Detector, path: str, tensors: dict[str, bytes]) -> dict[str, Any]:
    """JSON of a detector; its arrays go into `tensors` by file name."""
    values, arrays = detector.scorer_.to_arrays()
    calibration, own = detector.calibrator_.to_arrays()
    file = f"{path}.safetensors"
    known, baseline = detector.baseline_.to_arrays()
    tensors[file] = to_safetensors({k: np.ascontiguousarray(v) for k, v in {**arrays, **own, **baseline}.items()})
    params = {k: v for k, v in detector.get_params(deep=False).items() if k != "members"}
    packed = {
        "detector": detector.name,
        "params": params,
        "features": list(detector.features_in_),
        "values": values,
        "calibration": calibration,
        "threshold": detector.threshold_,
        "range": list(detector.score_range_),
        "profile": known,
        "file": file,
    }
    if isinstance(detector, Ensemble):
        packed["members"] = {
            name: _pack(member, f"{path}.{name.replace(':', '-')}", tensors)
            for name, member in detector.members_.items()
        }
    return packed


def _unpack(packed: dict[str, Any], tensors: dict[str, dict[str, NDArray[np.generic]]]) -> Detector:
    params = dict(packed["params"])
    name = f"pyod:{params.pop('model')}" if packed["detector"] == "pyod" else packed["detector"]
    detector = make(name, **params)
    arrays = tensors[packed["file"]]
    detector._set_features(tuple(packed["features"]))
    detector.threshold_ = packed["threshold"]
    detector.score_range_ = (packed["range"][0], packed["range"][1])
    detector.calibrator_ = Calibrator.from_arrays(packed["calibration"], arrays)
    detector.state_ = detector.calibrator_.state
    detector.baseline_ = Baseline.from_arrays(packed["profile"], arrays, detector.n_features_in_)
    if isinstance(detector, Ensemble):
        detector.members_ = {name: _unpack(member, tensors) for name, member in packed["members"].items()}
    detector.scorer_ = detector._load_scorer(packed["values"], arrays)
    return detector


def _checked(path: Path, entry: dict[str, Any]) -> dict[str, NDArray[np.generic]]:
    data = read_file(path, LARGEST_FILE)
    if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{path}: damaged: its checksum does not match the manifest")
    try:
        return dict(from_safetensors(data))
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as exc:  # numpy lacks some types
        raise ArtifactError(f"{path}: not a safetensors file that can be read: {exc}") from exc


def _write(path: Path, data: bytes) -> None:
    """Write and force to disk: a manifest must never be there before what it names."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
