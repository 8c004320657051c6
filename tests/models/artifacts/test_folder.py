"""Saved models: nothing unpickled, everything checked."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.models.detectors.checks import nothing_unpickled

from foreshock_models.artifacts import load, save
from foreshock_models.artifacts.manifest import FORMAT, MANIFEST, SEAL
from foreshock_models.detectors import Ensemble, IForest, Subspace
from foreshock_models.errors import ArtifactError, NotFitted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "m"
    x = np.random.default_rng(0).normal(size=(300, 2))
    save(Ensemble({"iforest": IForest(n_trees=5), "subspace": Subspace(window=4)}).fit(x), folder)
    return folder


def test_no_code_of_ours_pickles(root: Path) -> None:
    banned = re.compile(r"^\s*(?:import|from)\s+(?:pickle|dill|joblib|cloudpickle)|torch\.load|np\.load\(", re.M)
    files = [f for floor in ("models", "pipelines", "platform") for f in (root / floor).rglob("*.py")]
    assert len(files) > 50
    assert [str(f) for f in files if banned.search(f.read_text())] == []


def test_a_model_is_loaded_with_unpickling_disabled(model: Path) -> None:
    with nothing_unpickled():
        assert load(model).features_in_ == ("feature_0", "feature_1")


def test_the_check_for_unpickling_sees_one() -> None:
    data = pickle.dumps(Subspace(window=4))
    with nothing_unpickled(), pytest.raises(AssertionError, match="unpickled"):
        pickle.loads(data)


def test_each_flipped_byte_is_noticed(model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for file in sorted(model.iterdir()):
        size = file.stat().st_size
        for at in {0, size - 1, *rng.integers(0, size, 6).tolist()}:
            copy = tmp_path / f"{file.name}-{at}"
            shutil.copytree(model, copy)
            data = bytearray((copy / file.name).read_bytes())
            data[at] ^= 0x10
            (copy / file.name).write_bytes(data)
            with pytest.raises(ArtifactError, match=re.escape(str(copy))):
                load(copy)


def test_each_removed_or_added_file_is_noticed(model: Path, tmp_path: Path) -> None:
    for file in sorted(model.iterdir()):
        copy = tmp_path / f"without-{file.name}"
        shutil.copytree(model, copy)
        (copy / file.name).unlink()
        with pytest.raises(ArtifactError, match="missing"):
            load(copy)
    copy = tmp_path / "with-more"
    shutil.copytree(model, copy)
    (copy / "extra.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactError, match="does not belong"):
        load(copy)


def test_a_newer_format_says_to_upgrade(model: Path, tmp_path: Path) -> None:
    import hashlib

    copy = tmp_path / "newer"
    shutil.copytree(model, copy)
    manifest = json.loads((copy / MANIFEST).read_text()) | {"format": FORMAT + 1}
    body = json.dumps(manifest).encode()
    (copy / MANIFEST).write_bytes(body)
    (copy / SEAL).write_text(json.dumps({"sha256": hashlib.sha256(body).hexdigest()}))
    with pytest.raises(ArtifactError, match="newer than this Foreshock reads"):
        load(copy)


def test_what_is_not_fitted_or_would_overwrite_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFitted, match="nothing to save"):
        save(IForest(), tmp_path)
    with pytest.raises(ArtifactError, match="holds files already"):
        save(load(model), model)
