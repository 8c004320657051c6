"""Checkpoints of a search: the same search resumes where it was interrupted."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from foreshock_models.errors import JobError
from foreshock_pipelines.jobfile import Job

__all__ = ["save_time_range", "search_folder"]

TIME_RANGE = "plan.json"
ABANDONED_AFTER = 7 * 86400
"""Seconds after which an interrupted search is removed."""


@contextmanager
def search_folder(storage: Path | None, job: Job, *key: Any) -> Iterator[tuple[Path, dict[str, datetime]]]:
    """Yield the folder of a search, and the time range of an interrupted one; remove the folder at the end.

    The same job and the same `key` are the same search.

    Raises
    ------
    JobError
        The search runs in another process.
    """
    if storage is None:
        with tempfile.TemporaryDirectory(prefix="foreshock-tune-") as name:
            yield Path(name), {}
        return
    text = json.dumps([job.model_dump(mode="json", by_alias=True), key], sort_keys=True, default=str)
    folder = storage.absolute() / f"{job.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # released when its process dies
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise JobError(f"the same search is under way in another process ({folder}); wait for its end") from exc
        _remove_abandoned(storage, job, folder)
        try:
            yield folder, _load_time_range(folder)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)  # an error would occur again
            raise
        # not reached on an interrupt: the next call resumes the search
        shutil.rmtree(folder, ignore_errors=True)


def save_time_range(folder: Path, start: datetime, end: datetime) -> None:
    """Save which rows the search uses: "now" is another time when it resumes."""
    part = folder / f"{TIME_RANGE}.part"
    part.write_text(json.dumps({"start": start.isoformat(), "end": end.isoformat()}))
    part.rename(folder / TIME_RANGE)


def _load_time_range(folder: Path) -> dict[str, datetime]:
    try:
        saved = json.loads((folder / TIME_RANGE).read_text())
    except (OSError, ValueError):
        return {}
    return {key: datetime.fromisoformat(value) for key, value in saved.items()}


def _remove_abandoned(storage: Path, job: Job, keep: Path) -> None:
    for folder in storage.absolute().glob(f"{job.name}-*"):
        if folder != keep and time.time() - folder.stat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(folder, ignore_errors=True)
