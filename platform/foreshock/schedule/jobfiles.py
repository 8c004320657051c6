"""Job files that change while the platform runs: taken up whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from foreshock.logs import get_logger
from foreshock.notify import make_notifier
from foreshock_models.errors import ConfigError, ForeshockError
from foreshock_pipelines.datasets.source import open_source
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.registry import Registry

__all__ = ["JobFiles", "stage"]

log = get_logger("jobs")
Stamp = tuple[int, int, str | None]


def stage(name: str, path: Path) -> Job:
    """The job of that name as its file says now, if all of it holds but for the model that serves.

    Raises
    ------
    ForeshockError
        It does not load, or its source or notifiers cannot be made.
    """
    job = load_job(path)
    if job.name != name:
        raise ConfigError(f"{path}: the job was {name!r} and is now {job.name!r}; start it anew")
    for config in job.notify:
        make_notifier(config)
    open_source(job)
    return job


class JobFiles:
    """Watches files, and stages what they say: a job is taken up only if all of it holds.

    It must load, its source and notifiers must be such as can be made, and the model that serves must fit it: what
    changes the columns of a model takes effect with the training that follows.

    Parameters
    ----------
    files
        Job name to its file.

    Attributes
    ----------
    refused : job name to why its file, as it is now, is not in force
    """

    def __init__(self, files: Mapping[str, Path], registry: Registry) -> None:
        self.files = dict(files)
        self.registry = registry
        self.refused: dict[str, str] = {}
        self._seen: dict[str, Stamp | None] = {}

    def changed(self, jobs: Mapping[str, Job]) -> list[Job]:
        """Jobs to take up, given those in force; says of every other changed file why it is not."""
        found = []
        for name, path in self.files.items():
            stamp = self._stamp(name, path)
            if name in self._seen and self._seen[name] == stamp:
                continue
            self._seen[name] = stamp
            try:
                job = self._load(name, path)
            except ForeshockError as exc:
                if self.refused.get(name) != str(exc):
                    log.error(
                        "the changed job file is not taken up; the one before stays in force", job=name,
                        error=str(exc),
                    )  # fmt: skip
                self.refused[name] = str(exc)
                continue
            self.refused.pop(name, None)
            if job != jobs.get(name):
                log.info("job file taken up", job=name)
                found.append(job)
        return found

    def _load(self, name: str, path: Path) -> Job:
        job = stage(name, path)
        champion = self.registry.champion(name)
        if champion is not None:
            self._must_fit(job, path, champion)
        return job

    def _must_fit(self, job: Job, path: Path, champion: str) -> None:
        made = self.registry.get(job.name, champion).manifest
        lost = [feature for feature in made["features"] if feature not in job.queries]
        wrong = None
        if lost:
            wrong = f"it needs the query {lost[0]!r}"
        elif made.get("entity", list(job.entity)) != list(job.entity):
            wrong = f"its entity is {made['entity']}"
        elif made.get("step", job.step_seconds) != job.step_seconds:
            wrong = f"its step is {made['step']:g} s"
        if wrong is not None:
            raise ConfigError(
                f"{path}: the model that serves does not fit: {wrong}; "
                f"the file takes effect when a model of it is there: foreshock train -c {path}"
            )

    def _stamp(self, name: str, path: Path) -> Stamp | None:
        """Changes with the file, and with the model that it must fit."""
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, self.registry.champion(name)
