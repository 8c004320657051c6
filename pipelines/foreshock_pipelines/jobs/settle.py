"""Settle: which detectors with which settings, by a search on anomalies that are known or planted."""

from __future__ import annotations

import logging
import tempfile
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foreshock_models.detectors import Ensemble, Space, around, search_space
from foreshock_models.errors import ConfigError, JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.exam import Exam, set_exam, split_at
from foreshock_pipelines.jobs.search import Found, Trial, Watch, search
from foreshock_pipelines.jobs.train import as_exclusions, fit, usable, without

__all__ = [
    "EXAMINED",
    "Params",
    "Progress",
    "Settled",
    "on_ray",
    "pick_detectors",
    "settle",
    "starting_point",
]

Progress = Callable[[str], None]
Params = Mapping[str, Mapping[str, Any]]

EXAMINED = 0.25
"""Newest share of the rows of a search that detectors are judged on, and not fitted on."""
SHORTEST = 1.0
"""Seconds below which a search is not begun."""
MAX_ROWS = 40_000
"""Of a larger fleet, a search looks at some entities with about so many rows together."""
CLEARLY = 0.01
"""Average precision by which settings must be better, on anomalies that the search did not see, to be taken."""
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
            "asked": dict(asked),
            "basis": self.basis,
            "auc_pr": self.auc_pr,
            "default_auc_pr": self.default_auc_pr,
            "trials": len(self.trials),
        }


def pick_detectors(
    job: Job, panel: Panel, *, labels: Intervals | None = None, progress: Progress = lambda line: None
) -> Settled:
    """Detectors and settings for ``detectors: auto``, by a search within the job's time for it."""
    auto = job.auto
    if auto is None:
        raise ConfigError(f"the job {job.name} names its detectors: there is nothing to pick")
    with on_ray(), tempfile.TemporaryDirectory(prefix="foreshock-tune-") as folder:
        return settle(
            job, panel, starting_point(job), trials=auto.trials, seconds=auto.time.total_seconds(),
            labels=labels, pick=True, folder=Path(folder), progress=progress,
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
    rows = without(rows, as_exclusions(labels))
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        progress(line)

    def one(name: str, left: float | None) -> Found:
        own = space.get(name) if space is not None else None
        tried = around(search_space(name, some.n_features) if own is None else own, base[name])
        progress(f"searching {name}: {trials if tried else 1} trials" + ("" if left is None else f", {left:.0f} s"))
        return search(
            name, base[name], tried, rows, exam, budget=job.budget, trials=trials, seconds=left,
            seed=job.seed, folder=folder, watch=watch,
        )  # fmt: skip

    if labels and exam.basis == "planted":
        note("no label lies in the rows that are judged on: anomalies are planted there")
    found = _one_by_one(list(base), one, seconds, note)
    chosen = {name: found[name].params if name in found else dict(params) for name, params in base.items()}
    if pick:
        chosen = {name: params for name, params in chosen.items() if name in found}
    # other anomalies than the search saw: the best of many trials is the luckiest, too
    again = set_exam(some, at, labels=labels, seed=job.seed + 1)
    best, settings = _together(job, rows, again, chosen, pick, progress)
    first, _ = _together(job, rows, again, {name: base[name] for name in chosen}, False, progress)
    if best < first + CLEARLY:
        note(f"what was found ({best:.3f}) is not clearly better than what it began from ({first:.3f})")
        best, settings = first, {name: dict(base[name]) for name in chosen}
    return Settled(settings, exam.basis, round(best, 4), round(first, 4), list(found.values()), notes)


def _one_by_one(
    names: Sequence[str],
    search_one: Callable[[str, float | None], Found],
    seconds: float | None,
    note: Progress,
) -> dict[str, Found]:
    """Search each detector, with its share of the time that is left; those without a result are noted.

    Raises
    ------
    JobError
        None has one: says why the first has not.
    """
    until = None if seconds is None else clock.monotonic() + seconds
    found: dict[str, Found] = {}
    trouble: list[JobError] = []
    for number, name in enumerate(names):
        share = None if until is None else (until - clock.monotonic()) / (len(names) - number)
        try:
            if share is not None and share < SHORTEST:
                raise JobError(f"no time is left for {name}; give more")
            found[name] = search_one(name, share)
        except JobError as exc:
            trouble.append(exc)
            note(f"{name} is not tuned: {exc}")
    if not found:
        raise trouble[0]
    return found


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


def starting_point(job: Job) -> Params:
    """Detectors and parameters that a search begins from."""
    return {name: {} for name in CANDIDATES} if job.auto is not None else job.detector_params


def _some(panel: Panel, seed: int) -> Panel:
    """As many entities, drawn at random, as have about `MAX_ROWS` rows together; at least two."""
    each = panel.n_rows / panel.n_entities
    most = max(2, round(MAX_ROWS / each))
    if panel.n_entities <= most:
        return panel
    chosen = np.random.default_rng(seed).choice(panel.n_entities, size=most, replace=False)
    return panel.select([panel.entities[i] for i in chosen.tolist()])


@contextmanager
def on_ray() -> Iterator[None]:
    """Ray, where it does not run yet, for as long as this block."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()
