"""Saved models: nothing unpickled, everything checked."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock_models.artifacts import load, read_manifest, save
from foreshock_models.artifacts.manifest import FORMAT, MANIFEST, SEAL
from foreshock_models.checks.suite import nothing_unpickled
from foreshock_models.detectors import Detector, Ensemble, IForest, Subspace
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
    manifest = json.loads((model / MANIFEST).read_text()) | {"format": FORMAT + 1}
    copy = resealed(model, tmp_path / "newer", json.dumps(manifest).encode())
    with pytest.raises(ArtifactError, match="newer than this Foreshock reads"):
        load(copy)


def resealed(model: Path, copy: Path, body: bytes) -> Path:
    """A copy with another manifest, whose checksum is right."""
    shutil.copytree(model, copy)
    (copy / MANIFEST).write_bytes(body)
    (copy / SEAL).write_text(json.dumps({"sha256": hashlib.sha256(body).hexdigest()}))
    return copy


def put(value: Any, path: list[Any], new: Any) -> None:
    """Replace what is at a path of keys; ... removes it."""
    for key in path[:-1]:
        value = value[key]
    if new is ...:
        del value[path[-1]]
    else:
        value[path[-1]] = new


@pytest.mark.parametrize(
    "name",
    ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", ".hidden.safetensors", "a\0.safetensors", "",
     "x" * 300 + ".safetensors", "manifest.json", "a\n.safetensors", "C:\\x.safetensors", "x.pt"],
)  # fmt: skip
def test_a_file_name_that_leads_out_of_the_folder_is_refused(model: Path, tmp_path: Path, name: str) -> None:
    outside = (model / "ensemble.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(outside)
    manifest = json.loads((model / MANIFEST).read_text())
    manifest["files"][name] = {"bytes": len(outside), "sha256": hashlib.sha256(outside).hexdigest()}
    with pytest.raises(ArtifactError, match="is not the name of a file"):
        load(resealed(model, tmp_path / "copy", json.dumps(manifest).encode()))


@pytest.mark.parametrize("what", [MANIFEST, SEAL, "ensemble.safetensors"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_file_that_is_no_plain_file_is_refused(model: Path, tmp_path: Path, what: str, kind: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    (copy / what).unlink()
    if kind == "link":
        (copy / what).symlink_to(model / what)
    elif kind == "folder":
        (copy / what).mkdir()
    else:
        os.mkfifo(copy / what)
    with pytest.raises(ArtifactError, match=r"not a plain file|unreadable"):
        load(copy)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"format": NaN}',
     b'{"format": 1, "format": 1}', b'{"format": ' + b"9" * 10_000 + b"}", b"{}", b'{"format": true}'],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_text_that_is_no_manifest_is_refused(model: Path, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ArtifactError):
        read_manifest(resealed(model, tmp_path / "copy", body))
    (tmp_path / "copy" / SEAL).write_bytes(body)
    with pytest.raises(ArtifactError):
        read_manifest(tmp_path / "copy")


def test_a_file_that_is_too_large_is_not_read(model: Path, tmp_path: Path) -> None:
    for what, size in ((MANIFEST, 65 * 2**20), (SEAL, 2000), ("ensemble.safetensors", 3 * 2**30)):
        copy = tmp_path / what
        shutil.copytree(model, copy)
        os.truncate(copy / what, size)  # sparse: takes no room
        with pytest.raises(ArtifactError, match="are too many"):
            load(copy)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 7, b"\xff" * 8, (2**62).to_bytes(8, "little"), (10).to_bytes(8, "little") + b"{}",
     *(len(head).to_bytes(8, "little") + head + b"\0" * 16 for head in (
         b"[]", b"{" * 500, b'{"a":{"dtype":"F64","shape":[2],"data_offsets":[0,1000]}}',
         b'{"a":{"dtype":"F64","shape":[4611686018427387904,4],"data_offsets":[0,16]}}',
         b'{"a":{"dtype":"F64","shape":[2],"data_offsets":[16,0]}}',
         b'{"a":{"dtype":"BF16","shape":[8],"data_offsets":[0,16]}}',
         b'{"a":{"dtype":"F8_E4M3","shape":[16],"data_offsets":[0,16]}}',
         b'{"a":{"dtype":"X","shape":[16],"data_offsets":[0,16]}}'))],
    ids=lambda data: repr(data[8:60]),
)  # fmt: skip
def test_arrays_whose_header_lies_are_refused(model: Path, tmp_path: Path, data: bytes) -> None:
    manifest = json.loads((model / MANIFEST).read_text())
    manifest["files"]["ensemble.safetensors"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    copy = resealed(model, tmp_path / "copy", json.dumps(manifest).encode())
    (copy / "ensemble.safetensors").write_bytes(data)
    with pytest.raises(ArtifactError):
        load(copy)


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if above:
        yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*above, key))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8),
    st.sampled_from(
        [..., [], {}, -1, 0, 2**63, 10**30, 1e308, "../x", "pyod:ECOD", [[]], {"a": {}}, [1, "a"]]
    ).map(copy.deepcopy),
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_in_a_manifest_there_is_a_detector_or_one_error(
    data: st.DataObject, model: Path
) -> None:
    manifest = json.loads((model / MANIFEST).read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        known = sorted(paths(manifest), key=repr)
        put(manifest, list(data.draw(st.sampled_from(known))), data.draw(ODD))
    with tempfile.TemporaryDirectory() as folder, suppress(ArtifactError):
        assert isinstance(load(resealed(model, Path(folder, "copy"), json.dumps(manifest).encode())), Detector)


def test_what_is_not_fitted_or_would_overwrite_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFitted, match="nothing to save"):
        save(IForest(), tmp_path)
    with pytest.raises(ArtifactError, match="holds files already"):
        save(load(model), model)
