"""Saved models with arrays that compiled loops would read beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from foreshock_models.artifacts import load, save
from foreshock_models.detectors import make
from foreshock_models.errors import ArtifactError
from foreshock_models.panel import Panel

DETECTORS: dict[str, dict[str, Any]] = {
    "iforest": {"n_trees": 2},
    "covariance": {},
    "subspace": {},
    "discord": {},
    "light": {},
    "lstm": {"epochs": 1, "max_windows": 200},
    "vae": {"epochs": 1, "max_windows": 200},
    "pyod:ECOD": {},
}
ANY_LENGTH = {"discord": {"known"}, "pyod:ECOD": {"sample"}, "lstm": {"background"}, "vae": {"background"}}
"""Arrays with as many rows as training drew."""
LATER = {"calibration.hours"}
"""Models of an earlier version lack them."""
WRONG: dict[str, Callable[[NDArray[Any]], NDArray[Any] | None]] = {
    "missing": lambda a: None,
    "of one more axis": lambda a: a[None],
    "too short": lambda a: a[:-1],
    "too narrow": lambda a: a[..., :-1],
    "of another type": lambda a: a.astype(np.int64),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_an_array_of_another_shape_or_type_is_refused(name: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(600, 3))
    save(make(name, **DETECTORS[name]).fit(Panel.of(values, step=60)), tmp_path)
    load(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    saved = load_file(file)
    for array in saved:
        for how, change in WRONG.items():
            if (how == "missing" and array in LATER) or (how == "too short" and array in ANY_LENGTH.get(name, ())):
                continue
            if how == "too narrow" and array == "calibration.state":
                continue  # as of an earlier version, which had fewer columns
            changed = change(saved[array])
            others = {k: v for k, v in saved.items() if k != array}
            save_file(others if changed is None else {**others, array: np.ascontiguousarray(changed)}, file)
            _sign_again(tmp_path, file)
            with pytest.raises(ArtifactError, match="damaged"):
                load(tmp_path)
                pytest.fail(f"{array} is {how}, and the model was loaded")


def _sign_again(folder: Path, file: Path) -> None:
    """Write size and digest of a changed file into the manifest, and seal it."""
    from foreshock_models.artifacts.manifest import MANIFEST, SEAL

    manifest = json.loads((folder / MANIFEST).read_text())
    data = file.read_bytes()
    manifest["files"][file.name] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    text = json.dumps(manifest)
    (folder / MANIFEST).write_text(text)
    (folder / SEAL).write_text(json.dumps({"sha256": sha256(text.encode()).hexdigest()}))
