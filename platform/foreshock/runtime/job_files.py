"""Job files that change while the platform runs: each is taken up whole or not at all, apart from the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from foreshock.logs import get_logger
from foreshock.runtime.job_checks import load_job_for_run
from foreshock_models.errors import ConfigError, ForeshockError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobfile.text import read_text
from foreshock_pipelines.jobfile.variables import mentions_secrets
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source

__all__ = ["JobFiles", "load_changed_job"]

log = get_logger("jobs")
Stamp = tuple[int, int, int, str | None, int]
AGAIN_AFTER = 60.0
"""Seconds after which a refused file is tried again, though it did not change: what it needs may be there now."""
SECRETS_AFTER = 60.0
"""Seconds after which a file is read again whose secrets are elsewhere, in files or in Vault: they change there."""


def load_changed_job(name: str, path: Path) -> Job:
    """The job of that name as its file says now, if all of it holds but for the model that serves.

    Raises
    ------
    ForeshockError
        It does not load, its source cannot be made, or a notifier is unknown or has a wrong URL.
    """
    job = load_job_for_run(path)
    if job.name != name:
        raise ConfigError(f"{path}: the job was {name!r} and is now {job.name!r}; restart Foreshock to rename it")
    open_source(job)
    return job


class JobFiles:
    """Watches files, and stages what they say: a job is taken up only if all of it holds.

    It must load, its source and notifiers must be such as can be made, and the model that serves must fit it: what
    changes the columns of a model takes effect with the training that follows. A change is taken up once it has
    stood still from one look to the next, so that an editor that writes in pieces, or moves a file into its place,
    is not caught half way.

    Parameters
    ----------
    files
        Job name to its file.
    loaded
        Called with the name of a job each time that its file was loaded, and whether it holds.
    now
        Seconds of a clock that never goes back.

    Attributes
    ----------
    refused : job name to why its file, as it is now, is not in force
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        registry: Registry,
        loaded: Callable[[str, bool], None] = lambda name, holds: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.files = dict(files)
        self.registry = registry
        self.refused: dict[str, str] = {}
        self._loaded = loaded
        self._now = now
        self._seen: dict[str, Stamp | None] = {}
        self._done: dict[str, Stamp | None] = {}
        self._again: dict[str, float] = {}
        self._elsewhere: dict[str, bool] = {}

    def changed(self, jobs: Mapping[str, Job]) -> list[Job]:
        """Jobs to take up, given those in force; says of every other changed file why it is not."""
        found = []
        for name, path in self.files.items():
            try:
                stamp = self._stamp(name, path)
                if not self._due(name, stamp):
                    continue
                job = self._load(name, path)
                if self._stamp(name, path) != stamp:
                    continue  # it changed while it was read
            except ForeshockError as exc:
                self._refuse(name, path, str(exc))
            except Exception as exc:  # whatever is wrong with one file, the change of another is not lost
                self._refuse(name, path, f"{path}: cannot be loaded: {type(exc).__name__}", unforeseen=True)
            else:
                self._done[name] = stamp
                self._loaded(name, True)
                if self.refused.pop(name, None) is not None or job != jobs.get(name):
                    log.info("job file taken up", job=name, file=str(path))
                if job != jobs.get(name):
                    found.append(job)
        return found

    def _due(self, name: str, stamp: Stamp | None) -> bool:
        """True for a file that is not as it was loaded last, and is as it was at the last look."""
        settled = name not in self._seen or self._seen[name] == stamp
        self._seen[name] = stamp
        if not settled:
            return False
        if name in self.refused and self._now() >= self._again[name]:
            return True
        return name not in self._done or self._done[name] != stamp

    def _refuse(self, name: str, path: Path, why: str, *, unforeseen: bool = False) -> None:
        self._done[name] = self._seen.get(name)
        self._again[name] = self._now() + AGAIN_AFTER
        self._loaded(name, False)
        if self.refused.get(name) != why:
            log.error(
                "the changed job file is not taken up; the one before stays in force", job=name, file=str(path),
                error=why, exc_info=unforeseen,
            )  # fmt: skip
        self.refused[name] = why

    def _load(self, name: str, path: Path) -> Job:
        self._elsewhere[name] = mentions_secrets(read_text(path))
        job = load_changed_job(name, path)
        champion = self.registry.champion(name)
        if champion is not None:
            self._must_fit(job, path, champion)
        return job

    def _must_fit(self, job: Job, path: Path, champion: str) -> None:
        made = self.registry.get(job.name, champion).manifest
        queries = made.get("queries", {})
        lost = [feature for feature in made["features"] if feature not in job.queries]
        other = [
            name
            for name, query in (job.queries if job.source.prometheus else {}).items()
            if name in made["features"] and _words(queries.get(name, query.query)) != _words(query.query)
        ]
        wrong = None
        if lost:
            wrong = f"it needs the query {lost[0]!r}"
        elif made.get("entity", list(job.entity)) != list(job.entity):
            wrong = f"its entity is {made['entity']}"
        elif made.get("step", job.step_seconds) != job.step_seconds:
            wrong = f"its step is {made['step']:g} s"
        elif other:
            wrong = f"it was trained on another query of {other[0]!r}"
        if wrong is not None:
            raise ConfigError(
                f"{path}: the model that serves does not fit: {wrong}; "
                f"the file takes effect when a model of it is there: foreshock train -c {path}"
            )

    def _stamp(self, name: str, path: Path) -> Stamp | None:
        """Changes with the file, with the model that it must fit, and with time if secrets of it are elsewhere."""
        try:
            found = path.stat()
        except OSError:
            return None
        round_of_secrets = int(self._now() // SECRETS_AFTER) if self._elsewhere.get(name) else 0
        return found.st_mtime_ns, found.st_size, found.st_ino, self.registry.champion(name), round_of_secrets


def _words(query: str) -> str:
    """A query without its layout, which changes no value."""
    return " ".join(query.split())
