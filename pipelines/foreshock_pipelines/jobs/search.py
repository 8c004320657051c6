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

from foreshock_models.detectors import Choice, Detector, Float, Range, make
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.errors import JobError
from foreshock_pipelines.jobs.judge import Judge, Members

__all__ = ["Found", "Trial", "Watch", "search"]

RUNGS = (2, 6, 18)
"""Epochs after which a network is compared with the others at the same one; the lower two thirds end there."""
CPUS = 0.5
"""Of a trial. As many run at a time as there are cores; the rest is left to those who score."""
SAVE_EVERY = 2
"""Seconds between two saves of where a search stands."""
KILL_AFTER = 2
"""Seconds after which a trial that was stopped in the middle of a fit is ended."""


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


Watch = Callable[[Trial], None]
"""Called as trials begin, report and end."""


@dataclass(frozen=True)
class Found:
    """The best setting of a detector, what its defaults got, and all trials; `tuned`: these are not the best."""

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
    judge: Judge,
    *,
    beside: Members,
    trials: int,
    seconds: float | None,
    seed: int,
    folder: Path,
    watch: Watch = lambda trial: None,
) -> Found:
    """Try settings of one detector: its defaults first, then what Optuna proposes from what was seen.

    Parameters
    ----------
    fixed
        Parameters that are not searched.
    beside
        The other detectors of the model: a setting is as good as it makes the whole.
    folder
        Where the search is kept; one that was left in the middle, by a dead process too, goes on.

    Raises
    ------
    JobError
        No trial came to its end: none was given enough time, or all failed; says why.
    """
    import ray
    from ray import tune

    _set_up_tune()
    settled = {k: v for k, v in fixed.items() if k not in space}
    task = tune.with_resources(
        # the judge knows detectors by identity, which parameters that are sent one by one would lose
        tune.with_parameters(_trial, name=name, fixed=settled, seed=seed, judge_and_beside=(judge, beside)),
        {"cpu": CPUS},
    )
    key = str(folder / _file_name(name))
    _WATCHED[key] = watch
    try:
        if tune.Tuner.can_restore(key):
            tuner = tune.Tuner.restore(key, task, resume_unfinished=True)
        else:
            cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
            tuner = _tuner(task, name, space, trials, seconds, seed, folder, min(cores, os.cpu_count() or 1))
        results = tuner.fit()
    finally:
        del _WATCHED[key]
    seen = [_seen(name, number, results[number]) for number in range(len(results))]
    return _best(name, settled, space, seen, seconds)


def _set_up_tune() -> None:
    """Ray Tune reads these from the environment."""
    chosen = {
        "RAY_AIR_NEW_OUTPUT": "0",  # the other one talks whatever verbosity is asked for
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
            callbacks=[_Watcher(name, str(folder / _file_name(name))), JsonLoggerCallback()],
        ),
    )  # fmt: skip


def _trial(
    config: dict[str, Any],
    *,
    name: str,
    fixed: Mapping[str, Any],
    seed: int,
    judge_and_beside: tuple[Judge, Members],
) -> None:
    """Fit with one setting and report the mark of the whole model; with a network as it stands, at each rung."""
    from ray import tune

    judge, beside = judge_and_beside
    began = time.perf_counter()
    detector = make(name, **{"random_state": seed, **fixed, **config})
    epochs = 1

    def on_epoch(epoch: int, settle: Callable[[], Detector]) -> None:
        nonlocal epochs
        epochs = epoch
        if epoch in RUNGS:
            half = copy(settle()).calibrate(judge.rows, judge.budget)
            tune.report({"auc_pr": judge.mark({**beside, name: half}), "epoch": epoch, "done_fit": False})

    if isinstance(detector, NetworkDetector):
        detector.on_epoch = on_epoch
    detector.fit(judge.rows, budget=judge.budget)
    seconds = time.perf_counter() - began
    mark = judge.mark({**beside, name: detector})
    tune.report({"auc_pr": mark, "epoch": epochs, "done_fit": True, "seconds": seconds})


def _distribution(values: Range) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, Choice):
        return CategoricalDistribution(list(values.options))
    if isinstance(values, Float):
        return FloatDistribution(values.low, values.high, log=values.log)
    return IntDistribution(values.low, values.high, log=values.log)


def _seen(name: str, number: int, result: Any) -> Trial:
    """What came of a trial."""
    last = result.metrics or {}
    error = "" if result.error is None else _reason(str(result.error))
    state = "failed" if error else "done" if last.get("done_fit") else "stopped"
    params = dict(result.config or {})
    return Trial(name, number, params, state, last.get("auc_pr"), last.get("seconds", 0.0), error)


def _reason(trace: str) -> str:
    """The last line of a traceback: what was raised."""
    return next((line.strip() for line in reversed(trace.splitlines()) if line.strip()), "no reason given")[:300]


def _best(
    name: str, settled: dict[str, Any], space: Mapping[str, Range], trials: list[Trial], seconds: float | None
) -> Found:
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
    params = {**settled, **best.params}
    return Found(name, params, best.params != defaults, float(best.auc_pr or 0.0), default, trials)


def _file_name(name: str) -> str:
    return name.replace(":", "-")


_WATCHED: dict[str, Watch] = {}
"""Who looks at which search of this process: a callback of Ray Tune is saved with it, and must hold no function."""


class _Watcher(Callback):
    """Passes on what happens to the trials."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(trials, trial, "running", {})

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        if not result.get("done_fit"):
            self._tell(trials, trial, "running", result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result or {}
        self._tell(trials, trial, "done" if last.get("done_fit") else "stopped", last)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._tell(trials, trial, "failed", {})

    def _tell(self, trials: list[Any], trial: Any, state: str, last: Mapping[str, Any]) -> None:
        watch = _WATCHED.get(self.key)
        if watch is not None:
            seconds = last.get("seconds", last.get("time_total_s", 0.0))
            number = trials.index(trial)
            watch(Trial(self.name, number, dict(trial.config), state, last.get("auc_pr"), seconds))
