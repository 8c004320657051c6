"""The manifest of a saved model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from foreshock_models.errors import ArtifactError

__all__ = ["FORMAT", "MANIFEST", "SEAL", "read_manifest"]

FORMAT = 1
MANIFEST = "manifest.json"
SEAL = "manifest.sha256.json"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a saved model, checked against its own checksum.

    Raises
    ------
    ArtifactError
        No manifest, a damaged one, or one of a newer format.
    """
    folder = Path(folder)
    try:
        body = (folder / MANIFEST).read_bytes()
        sealed = json.loads((folder / SEAL).read_bytes())["sha256"]
    except FileNotFoundError as exc:
        raise ArtifactError(f"{folder}: no complete model here: {Path(exc.filename).name} is missing") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ArtifactError(f"{folder}: {SEAL} is damaged: {exc}") from exc
    if hashlib.sha256(body).hexdigest() != sealed:
        raise ArtifactError(f"{folder}: {MANIFEST} is damaged: its checksum does not match")
    manifest: dict[str, Any] = json.loads(body)
    if manifest["format"] > FORMAT:
        raise ArtifactError(
            f"{folder}: format {manifest['format']} is newer than this Foreshock reads (up to {FORMAT}); upgrade it"
        )
    return manifest
