"""Search the settings of one detector with Ray Tune: Optuna proposes, ASHA stops networks that fall behind."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune import Callback

from foreshock_models.detectors import Choice, Detector, Float, NetworkDetector, Range, make
from foreshock_models.errors import JobError
from foreshock_pipelines.evaluation.evaluator import Evaluator, Members

__all__ = ["SearchResult", "Trial", "TrialCallback", "search"]

RUNGS = (2, 6, 18)
"""Epochs after which a network is compared with the others at the same one; the lower two thirds are stopped."""
CPUS = 0.5
"""CPUs of a trial. As many trials run at a time as there are cores; the rest of the CPUs is left to scoring."""
SAVE_EVERY = 2
"""Seconds between two checkpoints of a search."""
KILL_AFTER = 2
"""Seconds after which a trial that was stopped in the middle of a fit is killed."""


@dataclass(frozen=True)
class Trial:
    """One setting: ``state`` is ``running``, ``done``, ``stopped`` (fell behind, or out of time) or ``failed``."""

    detector: str
    number: int
    params: dict[str, Any]
    state: str
    auc_pr: float | None = None
    seconds: float = 0.0
    error: str = ""


TrialCallback = Callable[[Trial], None]
"""Called as trials start, report and end."""


@dataclass(frozen=True)
class SearchResult:
    """The best setting of a detector, the average precision of its defaults, and all trials.

    ``tuned``: the best setting is not the defaults.
    """

    detector: str
    params: dict[str, Any]
    tuned: bool
    auc_pr: float
    default_auc_pr: float | None
    trials: list[Trial] = field(repr=False)


def search(
    name: str,
    fixed: Mapping[str, Any],
    space: Mapping[str, Range],
    evaluator: Evaluator,
    *,
    others: Members,
    trials: int,
    seconds: float | None,
    seed: int,
    folder: Path,
    on_trial: TrialCallback = lambda trial: None,
) -> SearchResult:
    """Try settings of one detector: its defaults first, then those that Optuna proposes from earlier trials.

    Parameters
    ----------
    fixed
        Parameters that are not searched.
    others
        The other detectors of the model: a setting is as good as it makes the whole model.
    folder
        Folder of checkpoints; a search that was interrupted, by the death of its process too, resumes from them.

    Raises
    ------
    JobError
        No trial was completed: there was too little time, or all failed; says why.
    """
    import ray
    from ray import tune

    _configure_tune()
    kept = {k: v for k, v in fixed.items() if k not in space}
    task = tune.with_resources(
        # the evaluator caches by identity, which parameters that are sent one by one would lose
        tune.with_parameters(_trial, name=name, fixed=kept, seed=seed, evaluator_and_others=(evaluator, others)),
        {"cpu": CPUS},
    )
    key = str(folder / _file_name(name))
    _CALLBACKS[key] = on_trial
    try:
        if tune.Tuner.can_restore(key):
            tuner = tune.Tuner.restore(key, task, resume_unfinished=True)
        else:
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            tuner = _tuner(task, name, space, trials, seconds, seed, folder, min(cores, os.cpu_count() or 1))
        results = tuner.fit()
    finally:
        del _CALLBACKS[key]
    trials_done = [_outcome(name, number, results[number]) for number in range(len(results))]
    return _best(name, kept, space, trials_done, seconds)


def _configure_tune() -> None:
    """Set what Ray Tune reads from the environment."""
    chosen = {
        "RAY_AIR_NEW_OUTPUT": "0",  # the new output ignores the verbosity
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C means stop, not "take what there is"
        "TUNE_GLOBAL_CHECKPOINT_S": str(SAVE_EVERY),
        "TUNE_FORCE_TRIAL_CLEANUP_S": str(KILL_AFTER),
    }
    for key, value in chosen.items():
        os.environ.setdefault(key, value)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)


def _tuner(
    task: Any, name: str, space: Mapping[str, Range], trials: int, seconds: float | None, seed: int, folder: Path,
    at_once: int,
) -> Any:  # fmt: skip
    import optuna
    from ray import tune
    from ray.tune.logger import JsonLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asha = ASHAScheduler(time_attr="epoch", grace_period=RUNGS[0], reduction_factor=3, max_t=10_000)
    if space:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
        searcher = OptunaSearch(
            {key: _distribution(values) for key, values in space.items()},
            metric="auc_pr", mode="max", sampler=sampler,
            points_to_evaluate=[{key: values.default for key, values in space.items()}],
        )  # fmt: skip
    return tune.Tuner(
        task,
        tune_config=tune.TuneConfig(
            metric="auc_pr",
            mode="max",
            search_alg=searcher if space else None,
            scheduler=asha if issubclass(type(make(name)), NetworkDetector) else None,
            num_samples=trials if space else 1,
            time_budget_s=seconds,
            max_concurrent_trials=at_once,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name=_file_name(name), storage_path=str(folder), verbose=0,
            callbacks=[_TrialReporter(name, str(folder / _file_name(name))), JsonLoggerCallback()],
        ),
    )  # fmt: skip


def _trial(
    config: dict[str, Any],
    *,
    name: str,
    fixed: Mapping[str, Any],
    seed: int,
    evaluator_and_others: tuple[Evaluator, Members],
) -> None:
    """Fit with one setting and report the average precision of the whole model; of a network, also at each rung."""
    from ray import tune

    evaluator, others = evaluator_and_others
    began = time.perf_counter()
    detector = make(name, **{"random_state": seed, **fixed, **config})
    epochs = 1

    def on_epoch(epoch: int, snapshot: Callable[[], Detector]) -> None:
        nonlocal epochs
        epochs = epoch
        if epoch in RUNGS:
            partial = copy(snapshot()).calibrate(evaluator.rows, evaluator.budget)
            auc_pr = evaluator.average_precision({**others, name: partial})
            tune.report({"auc_pr": auc_pr, "epoch": epoch, "done_fit": False})

    if isinstance(detector, NetworkDetector):
        detector.on_epoch = on_epoch
    detector.fit(evaluator.rows, budget=evaluator.budget)
    seconds = time.perf_counter() - began
    auc_pr = evaluator.average_precision({**others, name: detector})
    tune.report({"auc_pr": auc_pr, "epoch": epochs, "done_fit": True, "seconds": seconds})


def _distribution(values: Range) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, Choice):
        return CategoricalDistribution(list(values.options))
    if isinstance(values, Float):
        return FloatDistribution(values.low, values.high, log=values.log)
    return IntDistribution(values.low, values.high, log=values.log)


def _outcome(name: str, number: int, result: Any) -> Trial:
    """Convert a result of Ray Tune."""
    last = result.metrics or {}
    error = "" if result.error is None else _reason(str(result.error))
    state = "failed" if error else "done" if last.get("done_fit") else "stopped"
    params = dict(result.config or {})
    return Trial(name, number, params, state, last.get("auc_pr"), last.get("seconds", 0.0), error)


def _reason(trace: str) -> str:
    """Return the last line of a traceback, which names the error."""
    return next((line.strip() for line in reversed(trace.splitlines()) if line.strip()), "no reason given")[:300]


def _best(
    name: str, kept: dict[str, Any], space: Mapping[str, Range], trials: list[Trial], seconds: float | None
) -> SearchResult:
    done = [t for t in trials if t.state == "done" and t.auc_pr is not None and np.isfinite(t.auc_pr)]
    failed = [t for t in trials if t.state == "failed"]
    if not done and failed:
        raise JobError(
            f"no setting of {name} survives: all {len(failed)} trials failed; the first one: {failed[0].error}"
        )
    if not done:
        raise JobError(
            f"{seconds or 0:.0f} s are too short for one trial of {name}; give more time, or a shorter history"
        )
    defaults = {key: values.default for key, values in space.items()}
    default = next((t.auc_pr for t in done if t.params == defaults), None)
    # of equals, the first: the defaults
    best = max(done, key=lambda t: (t.auc_pr or 0.0, t.params == defaults))
    params = {**kept, **best.params}
    return SearchResult(name, params, best.params != defaults, float(best.auc_pr or 0.0), default, trials)


def _file_name(name: str) -> str:
    return name.replace(":", "-")


_CALLBACKS: dict[str, TrialCallback] = {}
"""Callback of each search of this process: Ray Tune saves its own callbacks with a search, and those must hold no
function."""


class _TrialReporter(Callback):
    """Passes on the progress of trials."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._report(trials, trial, "running", {})

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        if not result.get("done_fit"):
            self._report(trials, trial, "running", result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result or {}
        self._report(trials, trial, "done" if last.get("done_fit") else "stopped", last)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._report(trials, trial, "failed", {})

    def _report(self, trials: list[Any], trial: Any, state: str, last: Mapping[str, Any]) -> None:
        on_trial = _CALLBACKS.get(self.key)
        if on_trial is not None:
            seconds = last.get("seconds", last.get("time_total_s", 0.0))
            number = trials.index(trial)
            on_trial(Trial(self.name, number, dict(trial.config), state, last.get("auc_pr"), seconds))
