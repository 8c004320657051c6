"""Tune: search the settings of each detector, train the best ones, let the model prove itself, publish it.

The history is cut in three, in time order: detectors are fitted on the first part and judged on the second; what
they find is trained on both, and compared with the champion on the third, which nothing was fitted on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock_models.detectors import Ensemble, Space, around, search_space
from foreshock_models.display import frame_html
from foreshock_models.errors import ConfigError, JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals, label_rows
from foreshock_pipelines.datasets.source import open_source
from foreshock_pipelines.jobfile import Job, parse_duration
from foreshock_pipelines.jobs.contest import HELD_OUT, Verdict, carry_on, contest
from foreshock_pipelines.jobs.exam import Exam, set_exam, split_at
from foreshock_pipelines.jobs.search import Found, Trial, Watch, search
from foreshock_pipelines.jobs.train import Exclusion, facts, fit, read_history, usable, without
from foreshock_pipelines.registry import CHALLENGER, Registry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Settled", "TuneReport", "pick_detectors", "settle", "tune"]

Progress = Callable[[str], None]
Params = Mapping[str, Mapping[str, Any]]

EXAMINED = 0.25
"""Newest share of the rows of a search that detectors are judged on, and not fitted on."""
WINS_BY = 0.005
"""A tuned model must be better than the champion by so much average precision."""
SHORTEST = 1.0
"""Seconds below which a search is not begun."""
MAX_ROWS = 40_000
"""Of a larger fleet, a search looks at some entities with about so many rows together."""
CANDIDATES = ("iforest", "lstm", "vae", "subspace", "discord")
"""What `detectors: auto` picks from."""


@dataclass(frozen=True)
class Settled:
    """What a search came to: the chosen detectors with their settings, and what it saw.

    ``auc_pr``: average precision of the chosen ones together; ``default_auc_pr``: of what they began from.
    """

    settings: dict[str, dict[str, Any]]
    basis: str
    auc_pr: float
    default_auc_pr: float
    found: list[Found]
    notes: list[str]

    @property
    def trials(self) -> list[Trial]:
        return [trial for found in self.found for trial in found.trials]

    def about(self, asked: Params) -> dict[str, Any]:
        """What a manifest says of the search: which detectors were asked for, and how well they did."""
        return {
            "asked": {name: dict(params) for name, params in asked.items()},
            "basis": self.basis,
            "auc_pr": self.auc_pr,
            "default_auc_pr": self.default_auc_pr,
            "trials": len(self.trials),
        }


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
    base = {name: dict(params) for name, params in (detectors or _starting_point(job)).items()}
    pick = detectors is None and job.auto is not None
    with _ray(), _kept(storage, job, base, trials, labels, start) as (folder, kept):
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
        learnt = without(known, _as_exclusions(labels))
        settled = settle(
            job, known, base, trials=trials, seconds=seconds, labels=labels, space=space, pick=pick,
            folder=folder, progress=progress, watch=watch,
        )  # fmt: skip
        progress(f"training the best setting of {', '.join(settled.settings)}")
        fitted = fit(learnt, settled.settings, job.budget, seed=job.seed, progress=progress)
        verdict = contest(job, registry, fitted.detector, everything, later, labels=labels, margin=WINS_BY)
        carry_on(fitted.detector, without(everything, _as_exclusions(labels)), later)
        extra = facts(
            job, learnt, windows.queries, fitted, settled.settings, settled.about(detectors or job.detectors)
        )
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


def pick_detectors(
    job: Job, panel: Panel, *, labels: Intervals | None = None, progress: Progress = lambda line: None
) -> Settled:
    """Detectors and settings for ``detectors: auto``, by a search within the job's time for it."""
    auto = job.auto
    if auto is None:
        raise ConfigError(f"the job {job.name} names its detectors: there is nothing to pick")
    with _ray(), _kept(None, job, {}, 0, None, None) as (folder, _):
        return settle(
            job, panel, _starting_point(job), trials=auto.trials, seconds=auto.time.total_seconds(),
            labels=labels, pick=True, folder=folder, progress=progress,
        )  # fmt: skip


def settle(
    job: Job,
    panel: Panel,
    base: Params,
    *,
    trials: int,
    seconds: float | None,
    labels: Intervals | None = None,
    space: Mapping[str, Space] | None = None,
    pick: bool = False,
    folder: Path,
    progress: Progress = lambda line: None,
    watch: Watch = lambda trial: None,
) -> Settled:
    """Search the settings of the detectors in `base`, one after the other; `pick` those that do best together."""
    some = _some(panel, job.seed)
    at = split_at(some, 1 - EXAMINED)
    exam = set_exam(some, at, labels=labels, seed=job.seed)
    rows, _ = usable(some.take(some.timestamps < at))
    rows = without(rows, _as_exclusions(labels))
    notes = []
    if labels and exam.basis == "planted":
        notes.append("no label lies in the rows that are judged on: anomalies are planted there")
        progress(notes[-1])
    until = None if seconds is None else clock.monotonic() + seconds
    found: dict[str, Found] = {}
    trouble: list[JobError] = []
    for left, (name, params) in zip(range(len(base), 0, -1), base.items(), strict=True):
        own = space.get(name) if space is not None else None
        tried = around(search_space(name, some.n_features) if own is None else own, params)
        share = None if until is None else (until - clock.monotonic()) / left
        progress(
            f"searching {name}: {trials if tried else 1} trials" + (f", {max(share, 0):.0f} s" if share else "")
        )
        try:
            if share is not None and share < SHORTEST:
                raise JobError(f"no time is left for {name}; give more")
            found[name] = search(
                name, params, tried, rows, exam, budget=job.budget, trials=trials, seconds=share,
                seed=job.seed, folder=folder, watch=watch,
            )  # fmt: skip
        except JobError as exc:
            trouble.append(exc)
            notes.append(f"{name} is not tuned: {exc}")
            progress(notes[-1])
    if not found:
        raise trouble[0]
    chosen = {name: found[name].params if name in found else dict(params) for name, params in base.items()}
    if pick:
        chosen = {name: params for name, params in chosen.items() if name in found}
    best, settings = _together(job, rows, exam, chosen, pick, progress)
    first, _ = _together(job, rows, exam, {name: base[name] for name in chosen}, False, progress)
    if first > best and not pick:
        notes.append(f"the settings found are no better together ({best:.3f}) than the present ones ({first:.3f})")
        progress(notes[-1])
        best, settings = first, {name: dict(base[name]) for name in chosen}
    return Settled(settings, exam.basis, round(best, 4), round(first, 4), list(found.values()), notes)


def _together(
    job: Job, rows: Panel, exam: Exam, settings: Params, pick: bool, progress: Progress
) -> tuple[float, dict[str, dict[str, Any]]]:
    """The mark of detectors as one model; `pick` leaves out those without which it is better, best first."""
    whole = fit(rows, settings, job.budget, seed=job.seed).detector
    if not isinstance(whole, Ensemble):
        return exam.mark(whole), {name: dict(params) for name, params in settings.items()}
    if not pick:
        return exam.mark(whole), {name: dict(params) for name, params in settings.items()}
    members = whole.members_
    alone = {name: exam.mark(member) for name, member in members.items()}
    order = sorted(alone, key=lambda name: -alone[name])
    kept, best = order[:1], alone[order[0]]
    for name in order[1:]:
        joined = {n: members[n] for n in members if n in {*kept, name}}
        mark = exam.mark(Ensemble(random_state=job.seed).join(joined, rows, job.budget))
        if mark > best:
            kept, best = [*kept, name], mark
    progress(f"picked {', '.join(kept)}: AUC-PR {best:.3f}")
    return best, {name: dict(settings[name]) for name in members if name in kept}


def _starting_point(job: Job) -> Params:
    return {name: {} for name in CANDIDATES} if job.auto is not None else job.detector_params


def _some(panel: Panel, seed: int) -> Panel:
    """As many entities, drawn at random, as have about `MAX_ROWS` rows together; at least two."""
    each = panel.n_rows / panel.n_entities
    most = max(2, round(MAX_ROWS / each))
    if panel.n_entities <= most:
        return panel
    chosen = np.random.default_rng(seed).choice(panel.n_entities, size=most, replace=False)
    return panel.select([panel.entities[i] for i in chosen.tolist()])


def _as_exclusions(labels: Intervals | None) -> list[Exclusion]:
    """Known anomalies are nothing to learn from."""
    return [
        Exclusion(entity, round(first.timestamp() * 1000), round(last.timestamp() * 1000))
        for entity, intervals in (labels or {}).items()
        for first, last in intervals
    ]


def _seconds(time: timedelta | str | None) -> float | None:
    if time is None:
        return None
    span = parse_duration(time) if isinstance(time, str) else time
    if span <= timedelta(0):
        raise ConfigError(f"the time budget must be above 0; got {span}")
    return span.total_seconds()


@contextmanager
def _ray() -> Iterator[None]:
    """Ray, where it does not run yet, for as long as this block."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()


class _kept:
    """The folder of a search, and what is known of one that was left in the middle; gone once it is over.

    The same job, detectors, number of trials and labels are the same search.
    """

    def __init__(
        self, storage: Path | None, job: Job, base: Params, trials: int, labels: Intervals | None,
        start: datetime | None,
    ) -> None:  # fmt: skip
        if storage is None:
            self.folder = Path(tempfile.mkdtemp(prefix="foreshock-tune-"))
            self.lasting = False
            return
        spans = {key: [[str(a), str(b)] for a, b in value] for key, value in (labels or {}).items()}
        about = [job.model_dump(mode="json", by_alias=True), base, trials, spans, str(start)]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.folder = storage.absolute() / f"{job.name}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lasting = True

    def __enter__(self) -> tuple[Path, dict[str, datetime]]:
        try:
            plan = json.loads((self.folder / PLAN).read_text())
        except (OSError, ValueError):
            return self.folder, {}
        return self.folder, {key: datetime.fromisoformat(value) for key, value in plan.items()}

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # what failed on purpose would fail again; what was interrupted goes on
        if kind is None or not self.lasting or issubclass(kind, Exception):
            shutil.rmtree(self.folder, ignore_errors=True)


PLAN = "plan.json"


def _write_plan(folder: Path, start: datetime, end: datetime) -> None:
    """Which rows the search is on: "now" is another time when it goes on."""
    part = folder / f"{PLAN}.part"
    part.write_text(json.dumps({"start": start.isoformat(), "end": end.isoformat()}))
    part.rename(folder / PLAN)
