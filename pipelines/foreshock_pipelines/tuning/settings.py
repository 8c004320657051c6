"""Find detectors and their settings by a search on labelled or injected anomalies."""

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
from foreshock_pipelines.evaluation.evaluation_set import build_evaluation_set, split_time
from foreshock_pipelines.evaluation.evaluator import Evaluator
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, ignore_line
from foreshock_pipelines.training.exclusions import exclude_rows, exclusions_of
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import usable_entities
from foreshock_pipelines.training.pipeline import Params
from foreshock_pipelines.tuning.search import SearchResult, Trial, TrialCallback, search
from foreshock_pipelines.tuning.selection import Selection, adopt_improvements, select_members

__all__ = [
    "VALIDATION_SHARE",
    "TunedSettings",
    "initial_settings",
    "ray_runtime",
    "select_detectors",
    "tune_settings",
]

VALIDATION_SHARE = 0.25
"""Newest share of the rows of a search that detectors are not fitted on, but evaluated on."""
MIN_SECONDS = 1.0
"""A search is not started with less time than this."""
MAX_ROWS = 40_000
"""Of a larger fleet, a search uses a sample of entities with about so many rows together."""
CONFIRMATION_SETS = 5
"""Evaluation sets with other injected anomalies, on which what was found is compared with the defaults."""
MAX_ADOPTED = 1
"""So many of the detectors adopt settings that were found on injected anomalies. What wins there is quick, as half
of them are short; among real ones the long ones weigh more. One quick detector helps slower ones, three do harm."""
MIN_SIGNAL = 2.5
"""Injected anomalies tell settings apart where a model finds them so many times as well as chance does. Where
hardly any is found, as among the 38 features of SMD, a setting that finds some more is no better on real ones."""
LABELS_ONLY = ("smoothing",)
"""Parameters that injected anomalies cannot evaluate: smoothing should suit how long real anomalies last, and how
long injected ones last is our choice. It is searched where anomalies are labelled, or where `space` names it."""
SINGLE_FEATURE = (
    "a single feature keeps its defaults: on one, injected anomalies do not tell good settings from bad; "
    "to search them, name anomalies that are known under `labels`"
)
CANDIDATES = ("iforest", "lstm", "vae", "covariance", "subspace", "discord")
"""Detectors that `detectors: auto` selects from."""


@dataclass(frozen=True)
class TunedSettings:
    """The result of a search: the selected detectors with their settings, and the trials.

    ``auc_pr``: average precision of the selected detectors together; ``default_auc_pr``: of the initial ones.
    """

    settings: dict[str, dict[str, Any]]
    basis: str
    auc_pr: float
    default_auc_pr: float
    results: list[SearchResult]
    notes: list[str]

    @property
    def trials(self) -> list[Trial]:
        return [trial for result in self.results for trial in result.trials]

    def manifest(self, asked: Params) -> dict[str, Any]:
        """Describe the search for a model's manifest: the detectors that were asked for, and the gain."""
        return {
            "asked": dict(asked),
            "basis": self.basis,
            "auc_pr": self.auc_pr,
            "default_auc_pr": self.default_auc_pr,
            "trials": len(self.trials),
        }


def select_detectors(
    job: Job, panel: Panel, *, labels: Intervals | None = None, progress: ReportLine = ignore_line
) -> TunedSettings:
    """Select detectors and settings for ``detectors: auto``, by a search within the job's time for it."""
    auto = job.auto
    if auto is None:
        raise ConfigError(f"the job {job.name} names its detectors: there is nothing to select")
    with ray_runtime(), tempfile.TemporaryDirectory(prefix="foreshock-tune-") as folder:
        return tune_settings(
            job, panel, initial_settings(job), trials=auto.trials, seconds=auto.time.total_seconds(),
            labels=labels, select=True, folder=Path(folder), progress=progress,
        )  # fmt: skip


def tune_settings(
    job: Job,
    panel: Panel,
    initial: Params,
    *,
    trials: int,
    seconds: float | None,
    labels: Intervals | None = None,
    space: Mapping[str, Space] | None = None,
    select: bool = False,
    folder: Path,
    progress: ReportLine = ignore_line,
    on_trial: TrialCallback = lambda trial: None,
) -> TunedSettings:
    """Search the settings of the `initial` detectors, one after the other, and adopt clear improvements.

    Parameters
    ----------
    panel
        The history before the rows that the new model will be compared on. Its newest quarter is the validation
        split.
    seconds
        Time for all searches.
    space
        Detector to what may be tried, in place of its own `search_space`.
    select
        Keep only the detectors that do best together.
    folder
        Folder of checkpoints.
    """
    sample = _sample_entities(panel, job.seed)
    split = split_time(sample, 1 - VALIDATION_SHARE)
    validation = build_evaluation_set(sample, split, labels=labels, seed=job.seed)
    rows, _ = usable_entities(sample.take(sample.timestamps < split))
    rows = exclude_rows(rows, exclusions_of(labels))
    labelled = validation.basis == "labels"
    searched = sample.n_features > 1 or labelled or space is not None
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        progress(line)

    def range_of(name: str) -> Space:
        own = space.get(name) if space is not None else None
        usual = search_space(name, sample.n_features) if searched else {}
        if not labelled:
            usual = {param: values for param, values in usual.items() if param not in LABELS_ONLY}
        return around(usual if own is None else own, initial[name])

    def search_one(name: str, left: float | None) -> SearchResult:
        tried = range_of(name)
        progress(f"searching {name}: {trials if tried else 1} trials" + ("" if left is None else f", {left:.0f} s"))
        best = search(
            name, initial[name], tried, evaluator, others={n: d for n, d in defaults.items() if n != name},
            trials=trials, seconds=left, seed=job.seed, folder=folder, on_trial=on_trial,
        )  # fmt: skip
        # the trial with the defaults may have been stopped, as one that fell behind
        return replace(best, default_auc_pr=evaluator.average_precision(defaults)) if defaults else best

    if labels and validation.basis == "injected":
        note("no label lies in the rows that are judged on: anomalies are injected there")
    if not searched:
        note(SINGLE_FEATURE)
        initial = {name: initial[name] for name in default_detectors(1) if name in initial} if select else initial
    evaluator = Evaluator([validation], rows, job.budget)
    defaults: dict[str, Detector] = {}
    if searched and not select and len(initial) > 1:  # a selection does not know yet which others there will be
        progress(f"fitting the defaults of {', '.join(initial)}")
        defaults = _fit_members(job, rows, initial)
        evaluator.average_precision(defaults)  # cached, so that no trial scores the others again
    results = _search_each(list(initial), search_one, seconds, note)
    if select:
        initial = {name: initial[name] for name in results}
    better = {name: result.params for name, result in results.items() if result.tuned}
    if not labelled:  # of labelled anomalies there is one set; of injected ones, others than the search saw
        seeds = [job.seed + number for number in range(1, CONFIRMATION_SETS + 1)]
        sets = [build_evaluation_set(sample, split, labels=labels, seed=seed) for seed in seeds]
        evaluator = Evaluator(sets, rows, job.budget)
    progress(f"comparing what was found for {', '.join(better) or 'no detector'} with the defaults")
    defaults = defaults or _fit_members(job, rows, initial)
    found = _fit_members(job, rows, better)
    if labelled:
        selection = adopt_improvements(defaults, found, evaluator)
    else:
        selection = _adopt_where_injected(defaults, found, evaluator, validation.base_rate, note)
    for line in selection.notes:
        note(line)
    if select and searched:
        selection = select_members(selection, evaluator)
        progress(f"selected {', '.join(selection.members)}: AUC-PR {selection.auc_pr:.3f}")
    settings = {
        name: dict(better[name] if name in selection.adopted else initial[name]) for name in selection.members
    }
    auc_pr, default_auc_pr = round(selection.auc_pr, 4), round(selection.default_auc_pr, 4)
    return TunedSettings(settings, validation.basis, auc_pr, default_auc_pr, list(results.values()), notes)


def _adopt_where_injected(
    defaults: Mapping[str, Detector],
    found: Mapping[str, Detector],
    evaluator: Evaluator,
    base_rate: float,
    note: ReportLine,
) -> Selection:
    """Adopt few settings, and none where injected anomalies are found hardly better than by chance."""
    selection = adopt_improvements(defaults, found, evaluator, MAX_ADOPTED)
    if not selection.adopted or selection.auc_pr >= MIN_SIGNAL * base_rate:
        return selection
    note(
        f"all keep their defaults: injected anomalies are found hardly better than by chance (average precision "
        f"{selection.auc_pr:.3f}, chance {base_rate:.3f}); to search settings, name anomalies that are known"
    )
    return adopt_improvements(defaults, {}, evaluator)


def _search_each(
    names: Sequence[str],
    search_one: Callable[[str, float | None], SearchResult],
    seconds: float | None,
    note: ReportLine,
) -> dict[str, SearchResult]:
    """Search each detector, with its share of the time that is left; note those without a result.

    Raises
    ------
    JobError
        None has one: says why the first has not.
    """
    until = None if seconds is None else clock.monotonic() + seconds
    results: dict[str, SearchResult] = {}
    errors: list[JobError] = []
    for number, name in enumerate(names):
        share = None if until is None else (until - clock.monotonic()) / (len(names) - number)
        try:
            if share is not None and share < MIN_SECONDS:
                raise JobError(f"no time is left for {name}; give more")
            results[name] = search_one(name, share)
        except JobError as exc:
            errors.append(exc)
            note(f"{name} is not tuned: {exc}")
    if not results:
        raise errors[0]
    return results


def _fit_members(job: Job, rows: Panel, settings: Params) -> dict[str, Detector]:
    if not settings:
        return {}
    whole = fit(rows, settings, job.budget, seed=job.seed).detector
    return dict(whole.members_) if isinstance(whole, Ensemble) else {next(iter(settings)): whole}


def initial_settings(job: Job) -> Params:
    """Return the detectors and parameters that a search starts from."""
    return {name: {} for name in CANDIDATES} if job.auto is not None else job.detector_params


def _sample_entities(panel: Panel, seed: int) -> Panel:
    """Sample as many entities as have about `MAX_ROWS` rows together; at least two."""
    each = panel.n_rows / panel.n_entities
    most = max(2, round(MAX_ROWS / each))
    if panel.n_entities <= most:
        return panel
    chosen = np.random.default_rng(seed).choice(panel.n_entities, size=most, replace=False)
    return panel.select([panel.entities[i] for i in chosen.tolist()])


@contextmanager
def ray_runtime() -> Iterator[None]:
    """Start Ray for the duration of this block, if it does not run yet."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    try:
        yield
    finally:
        ray.shutdown()
