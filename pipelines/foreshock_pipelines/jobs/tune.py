"""Tune: search the settings of each detector, train the best ones, let the model prove itself, publish it.

The history is cut in three, in time order: detectors are fitted on the first part and judged on the second; what
they find is trained on both, and compared with the champion on the third, which nothing was fitted on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock_models.detectors import Space
from foreshock_models.display import frame_html
from foreshock_models.errors import ConfigError, JobError
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.datasets.source import open_source
from foreshock_pipelines.jobfile import Job, parse_duration
from foreshock_pipelines.jobs.contest import HELD_OUT, Verdict, carry_on, contest
from foreshock_pipelines.jobs.exam import split_at
from foreshock_pipelines.jobs.search import Watch
from foreshock_pipelines.jobs.settle import Params, Progress, Settled, on_ray, settle, starting_point
from foreshock_pipelines.jobs.train import Exclusion, as_exclusions, facts, fit, read_history, usable, without
from foreshock_pipelines.registry import CHALLENGER, Registry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TuneReport", "tune"]

WINS_BY = 0.005
"""A tuned model must be better than the champion by so much average precision."""
PLAN = "plan.json"
ABANDONED_AFTER = 7 * 86400
"""Seconds after which a search that was left in the middle is forgotten."""


@dataclass(frozen=True, repr=False)
class TuneReport:
    """The settings that were found, the model that was trained with them, and how it did against the champion."""

    job: str
    version: str
    aliases: tuple[str, ...]
    promoted: bool
    start: datetime
    end: datetime
    settled: Settled
    verdict: Verdict
    seconds: float = field(default=0.0, compare=False)

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Detector to its best parameters: what a job file may have under ``detectors:``."""
        return self.settled.settings

    def to_pandas(self) -> pd.DataFrame:
        """One row per trial: detector, number, state, average precision, seconds, and its parameters."""
        import pandas as pd

        rows = [
            {
                "detector": t.detector,
                "trial": t.number,
                "state": t.state,
                "auc_pr": t.auc_pr,
                "seconds": t.seconds,
                "params": t.params,
            }
            for t in self.settled.trials
        ]
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """One row per detector: trials, average precision of the defaults and of the best setting, and that one."""
        import pandas as pd

        rows = [
            {
                "detector": found.detector,
                "trials": len(found.trials),
                "defaults": found.default_auc_pr,
                "best": found.auc_pr,
                "params": found.params,
            }
            for found in self.settled.found
        ]
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "job": self.job,
            "version": self.version,
            "aliases": list(self.aliases),
            "promoted": self.promoted,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "seconds": round(self.seconds, 1),
            "settings": self.settings,
            "basis": self.settled.basis,
            "auc_pr": self.settled.auc_pr,
            "default_auc_pr": self.settled.default_auc_pr,
            "notes": self.settled.notes,
            "verdict": self.verdict.as_dict(),
            "trials": [asdict(trial) for trial in self.settled.trials],
        }

    def __repr__(self) -> str:
        names = ", ".join(self.aliases) or "without an alias"
        settled = self.settled
        return (
            f"TuneReport({self.job!r}: {len(settled.trials)} trials, AUC-PR on {settled.basis} anomalies "
            f"{settled.default_auc_pr:.3f} -> {settled.auc_pr:.3f}; version {self.version} is {names}: "
            f"{self.verdict.reason})"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.summary())


def tune(
    job: Job,
    registry: Registry,
    *,
    trials: int = 16,
    time: timedelta | str | None = None,
    detectors: Params | None = None,
    labels: Intervals | None = None,
    strict: bool = True,
    space: Mapping[str, Space] | None = None,
    promote: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
    exclude: Sequence[Exclusion] = (),
    storage: Path | None = None,
    progress: Progress = lambda line: None,
    watch: Watch = lambda trial: None,
) -> TuneReport:
    """Search settings, train the best, compare with the champion, and publish as ``challenger``.

    Parameters
    ----------
    trials
        Settings to try for each detector.
    time
        Budget of the whole search, as in ``"10m"``; each detector gets its share of what is left.
    detectors
        Name to parameters, in place of the job's own.
    labels
        Known anomalies; where some lie in the rows that are judged on, they are the objective, else planted ones.
    strict
        Labels that overlap nothing are a mistake. A scheduled tuning outlives its labels, and goes on without.
    space
        Detector to what may be tried, in place of its own `search_space`.
    promote
        Make it the champion if it wins.
    storage
        Folder where searches are kept: the same call goes on where a dead one was. Default: not kept.

    Raises
    ------
    DataError
        No label overlaps the history, or there is too little of it.
    JobError
        No trial came to its end: out of time, or all failed. Nothing is published.
    """
    began = clock.perf_counter()
    seconds = _seconds(time)
    if trials < 1:
        raise ConfigError(f"trials must be at least 1; got {trials}")
    base = {name: dict(params) for name, params in (detectors or starting_point(job)).items()}
    pick = detectors is None and job.auto is not None
    with on_ray(), _kept(storage, job, base, trials, labels, space, start) as (folder, kept):
        end = kept.get("end") or end or open_source(job).latest()
        start = kept.get("start") or start or end - job.history
        _write_plan(folder, start, end)
        progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
        windows = read_history(job, start, end)
        everything = without(windows.to_panel(), exclude)
        if labels:
            label_rows(everything, labels, must=strict)
        later = split_at(everything, 1 - HELD_OUT)
        known, _ = usable(everything.take(everything.timestamps < later))
        learnt = without(known, as_exclusions(labels))
        settled = settle(
            job, known, base, trials=trials, seconds=seconds, labels=labels, space=space, pick=pick,
            folder=folder, progress=progress, watch=watch,
        )  # fmt: skip
        progress(f"training the best setting of {', '.join(settled.settings)}")
        fitted = fit(learnt, settled.settings, job.budget, seed=job.seed, progress=progress)
        verdict = contest(job, registry, fitted.detector, everything, later, labels=labels, margin=WINS_BY)
        carry_on(fitted.detector, without(everything, as_exclusions(labels)), later)
        extra = facts(job, learnt, windows.queries, fitted, settled.settings, settled.about(detectors or job.asked))
        extra["contest"] = verdict.as_dict()
        model = registry.publish(fitted.detector, job.name, extra, alias=CHALLENGER)
    promoted = promote and verdict.won
    if promoted:
        model = registry.promote(job.name, model.version)
    registry.prune(job.name)
    progress(f"published {job.name} {model.version} as {', '.join(model.aliases)}: {verdict.reason}")
    return TuneReport(
        job.name, model.version, model.aliases, promoted, start, end, settled, verdict, clock.perf_counter() - began
    )


def _seconds(time: timedelta | str | None) -> float | None:
    if time is None:
        return None
    span = parse_duration(time) if isinstance(time, str) else time
    if span <= timedelta(0):
        raise ConfigError(f"the time budget must be above 0; got {span}")
    return span.total_seconds()


@contextmanager
def _kept(storage: Path | None, job: Job, *about: Any) -> Iterator[tuple[Path, dict[str, datetime]]]:
    """The folder of a search, and the times of one that was left in the middle; gone once it is over.

    The same job, and the same of all that it is `about`, are the same search.

    Raises
    ------
    JobError
        It is under way in another process.
    """
    if storage is None:
        with tempfile.TemporaryDirectory(prefix="foreshock-tune-") as name:
            yield Path(name), {}
        return
    text = json.dumps([job.model_dump(mode="json", by_alias=True), about], sort_keys=True, default=str)
    folder = storage.absolute() / f"{job.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # a process that dies lets go of it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise JobError(f"the same search is under way in another process ({folder}); wait for its end") from exc
        _forget_old(storage, job, folder)
        try:
            yield folder, _read_plan(folder)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)  # what failed on purpose would fail again
            raise
        # not reached when it is interrupted: then it goes on with the next call
        shutil.rmtree(folder, ignore_errors=True)


def _forget_old(storage: Path, job: Job, but: Path) -> None:
    """Searches that were left in the middle, and nobody went on with."""
    for folder in storage.absolute().glob(f"{job.name}-*"):
        if folder != but and clock.time() - folder.stat().st_mtime > ABANDONED_AFTER:
            shutil.rmtree(folder, ignore_errors=True)


def _read_plan(folder: Path) -> dict[str, datetime]:
    try:
        plan = json.loads((folder / PLAN).read_text())
    except (OSError, ValueError):
        return {}
    return {key: datetime.fromisoformat(value) for key, value in plan.items()}


def _write_plan(folder: Path, start: datetime, end: datetime) -> None:
    """Which rows the search is on: "now" is another time when it goes on."""
    part = folder / f"{PLAN}.part"
    part.write_text(json.dumps({"start": start.isoformat(), "end": end.isoformat()}))
    part.rename(folder / PLAN)
