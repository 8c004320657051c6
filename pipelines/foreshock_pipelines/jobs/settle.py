"""Settle: which detectors with which settings, by a search on anomalies that are known or planted."""

from __future__ import annotations

import logging
import tempfile
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from foreshock_models.detectors import Detector, Ensemble, Space, around, default_detectors, search_space
from foreshock_models.errors import ConfigError, JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.choose import choose, pick_members
from foreshock_pipelines.jobs.exam import set_exam, split_at
from foreshock_pipelines.jobs.judge import Judge
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
RESITS = 5
"""Exams with other planted anomalies, on which what was found is compared with the defaults."""
MOST_CHANGED = 1
"""So many of the detectors take settings that were found on planted anomalies. What wins there is quick, as half of
them are short; among real ones the long ones weigh more. One quick detector helps slower ones, three do harm."""
TELLING = 2.5
"""Planted anomalies tell settings apart where a model finds them so many times as well as chance does. Where hardly
any is found, as among the 38 features of SMD, a setting that finds some more is no better on real ones."""
UNSEARCHED = ("smoothing",)
"""What planted anomalies cannot judge: it should suit how long real ones last, and how long planted ones do is our
choice. It is searched where anomalies are known, or where it is asked for by name."""
UNJUDGED = (
    "a single feature keeps its defaults: on one, planted anomalies do not tell good settings from bad; "
    "to search them, name anomalies that are known under `labels`"
)
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
        usual = search_space(name, some.n_features) if judged else {}
        if exam.basis != "labels":
            usual = {param: values for param, values in usual.items() if param not in UNSEARCHED}
        tried = around(usual if own is None else own, base[name])
        progress(f"searching {name}: {trials if tried else 1} trials" + ("" if left is None else f", {left:.0f} s"))
        best = search(
            name, base[name], tried, judge, beside={n: member for n, member in defaults.items() if n != name},
            trials=trials, seconds=left, seed=job.seed, folder=folder, watch=watch,
        )  # fmt: skip
        # the trial with the defaults may have been stopped, as one that fell behind
        return replace(best, default_auc_pr=judge.mark(defaults)) if defaults else best

    if labels and exam.basis == "planted":
        note("no label lies in the rows that are judged on: anomalies are planted there")
    judged = some.n_features > 1 or exam.basis != "planted" or space is not None
    if not judged:
        note(UNJUDGED)
        base = {name: base[name] for name in default_detectors(1) if name in base} if pick else base
    judge = Judge([exam], rows, job.budget)
    defaults: dict[str, Detector] = {}
    if judged and not pick and len(base) > 1:  # `auto` does not know yet what a detector will be beside
        progress(f"fitting the defaults of {', '.join(base)}")
        defaults = _fitted(job, rows, base)
        judge.mark(defaults)  # so that no trial does again what they have in common
    found = _one_by_one(list(base), one, seconds, note)
    if pick:
        base = {name: base[name] for name in found}
    better = {name: found[name].params for name in found if found[name].tuned}
    most = None
    if exam.basis != "labels":  # there is one set of known anomalies; of planted ones, the search did not see these
        most = MOST_CHANGED
        resits = [set_exam(some, at, labels=labels, seed=job.seed + number) for number in range(1, RESITS + 1)]
        judge = Judge(resits, rows, job.budget)
    progress(f"comparing what was found for {', '.join(better) or 'no detector'} with the defaults")
    defaults = defaults or _fitted(job, rows, base)
    choice = choose(defaults, _fitted(job, rows, better), judge, most)
    if choice.taken and most is not None and choice.mark < TELLING * exam.chance:
        note(
            f"all keep their defaults: planted anomalies are found hardly better than by chance (average precision "
            f"{choice.mark:.3f}, chance {exam.chance:.3f}); to search settings, name anomalies that are known"
        )
        choice = choose(defaults, {}, judge)
    for line in choice.notes:
        note(line)
    if pick and judged:
        choice = pick_members(choice, judge)
        progress(f"picked {', '.join(choice.members)}: AUC-PR {choice.mark:.3f}")
    settings = {name: dict(better[name] if name in choice.taken else base[name]) for name in choice.members}
    return Settled(
        settings, exam.basis, round(choice.mark, 4), round(choice.default_mark, 4), list(found.values()), notes
    )


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


def _fitted(job: Job, rows: Panel, settings: Params) -> dict[str, Detector]:
    if not settings:
        return {}
    whole = fit(rows, settings, job.budget, seed=job.seed).detector
    return dict(whole.members_) if isinstance(whole, Ensemble) else {next(iter(settings)): whole}


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
