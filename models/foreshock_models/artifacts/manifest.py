"""Manifest of a saved model: read within bounds, and checked before anybody believes it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any

from foreshock_models.errors import ArtifactError

__all__ = ["FORMAT", "LARGEST_FILE", "MANIFEST", "SEAL", "read_file", "read_manifest"]

FORMAT = 1
MANIFEST = "manifest.json"
SEAL = "manifest.sha256.json"
LARGEST_MANIFEST = 64 * 2**20
"""Bytes; it lists the entities of a fleet."""
LARGEST_FILE = 2 * 2**30
"""Bytes of one file of arrays; those of a large fleet have some hundred megabytes."""
NESTED = 4
"""Levels of models within models; an ensemble of models per entity has two."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
"""Names of files: nothing that leads out of the folder."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of a saved model, checked against its own checksum and for its form.

    Raises
    ------
    ArtifactError
        No manifest, a damaged one, one of a newer format, or one that is not of the form that `save` writes.
    """
    folder = Path(folder)
    body = read_file(folder / MANIFEST, LARGEST_MANIFEST)
    sealed = _json(folder / SEAL, read_file(folder / SEAL, 1000))
    if hashlib.sha256(body).hexdigest() != sealed.get("sha256"):
        raise ArtifactError(f"{folder}: {MANIFEST} is damaged: its checksum does not match")
    manifest = _json(folder / MANIFEST, body)
    if _is(manifest.get("format"), int) and manifest["format"] > FORMAT:
        raise ArtifactError(
            f"{folder}: format {manifest['format']} is newer than this Foreshock reads (up to {FORMAT}); upgrade it"
        )
    wrong = _wrong(manifest)
    if wrong is not None:
        raise ArtifactError(f"{folder / MANIFEST}: {wrong}; the file was not written by Foreshock")
    return manifest


def read_file(path: Path, largest: int) -> bytes:
    """Return the content of a file of a model, which is a plain file of at most `largest` bytes.

    Raises
    ------
    ArtifactError
        It is missing, a link, a folder or a pipe, unreadable, or larger.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactError(f"{path}: not a plain file; a model consists of plain files")
            if found.st_size > largest:
                raise ArtifactError(f"{path}: {found.st_size:,} bytes are too many; at most {largest:,}")
            return file.read(largest)
    except FileNotFoundError as exc:
        raise ArtifactError(f"{path.parent}: no complete model here: {path.name} is missing") from exc
    except (OSError, ValueError) as exc:  # the latter for a NUL in the name
        reason = getattr(exc, "strerror", None) or exc
        raise ArtifactError(f"{path}: a file of this model is unreadable: {reason}") from exc


def _json(path: Path, body: bytes) -> dict[str, Any]:
    """A JSON object in which no key is given twice and all numbers are finite."""
    try:
        value = json.loads(body, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise ArtifactError(f"{path}: damaged: not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: damaged: not a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def _wrong(manifest: dict[str, Any]) -> str | None:
    """The first thing that is not as `save` writes it; None if everything is."""
    if not _is(manifest.get("format"), int) or manifest["format"] < 1:
        return "format is not a positive integer"
    if not _is(manifest.get("created"), str):
        return "created is missing"
    if not _names(manifest.get("features")):
        return "features is not a list of different names"
    files = manifest.get("files")
    if not _is(files, dict) or not files:
        return "files names no file"
    for name, entry in files.items():
        if not NAME.fullmatch(name):
            return f"files: {name[:100]!r} is not the name of a file of a model"
        if not _is(entry, dict) or not _is(entry.get("bytes"), int) or not _is(entry.get("sha256"), str):
            return f"files: {name} has no size and checksum"
        if not 0 <= entry["bytes"] <= LARGEST_FILE or not DIGEST.fullmatch(entry["sha256"]):
            return f"files: size or checksum of {name} cannot be"
    return _wrong_model(manifest.get("model"), set(files), "model", NESTED)


def _wrong_model(model: Any, files: set[str], where: str, levels: int) -> str | None:
    if not _is(model, dict):
        return f"{where} is missing"
    for key, kind in {"detector": str, "params": dict, "calibration": dict, "profile": list, "file": str}.items():
        if not _is(model.get(key), kind):
            return f"{where}: {key} is missing or of another type"
    if model["file"] not in files:
        return f"{where}: {model['file'][:100]!r} is not among the files"
    if not _names(model.get("features")):
        return f"{where}: features is not a list of different names"
    span = model.get("range")
    if not _number(model.get("threshold")) or not _is(span, list) or len(span) != 2 or not all(map(_number, span)):
        return f"{where}: threshold and range are not numbers"
    members = model.get("members", {})
    if not _is(members, dict):
        return f"{where}: members is of another type"
    if members and not levels:
        return f"{where}: members are nested too deeply"
    found = (_wrong_model(one, files, f"{where}: {name[:100]}", levels - 1) for name, one in members.items())
    return next((wrong for wrong in found if wrong is not None), None)


def _is(value: Any, kind: type) -> bool:
    """Return true for a JSON value of a type; true is not an integer."""
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _number(value: Any) -> bool:
    return (_is(value, int) or _is(value, float)) and math.isfinite(value)


def _names(value: Any) -> bool:
    return _is(value, list) and all(_is(name, str) for name in value) and 0 < len(set(value)) == len(value)
