"""Fit the detectors of a job on the same rows, in Ray tasks where Ray runs, and calibrate them together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.tail import nth_largest
from foreshock_models.detectors import HOLD_BACK, Detector, Ensemble, NetworkDetector, hold_back, make
from foreshock_models.distrust import Distrusted, describe, distrusted, without
from foreshock_models.errors import ForeshockError, JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.progress import ReportLine, StepProgress, ignore_line
from foreshock_pipelines.ray_errors import ray_errors
from foreshock_pipelines.training.distributed import check_capacity, start_distributed_fit
from foreshock_pipelines.training.progress import FitProgress, report_epochs

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True)
class FitResult:
    """A fitted model, with seconds and held-back alerts of each of its detectors.

    ``distrusted``: the stretches that it did not learn from.
    """

    detector: Detector
    detectors: list[dict[str, Any]]
    distrusted: tuple[Distrusted, ...] = ()


def fit(
    panel: Panel,
    detectors: Mapping[str, Mapping[str, Any]],
    budget: Budget,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: ReportLine = ignore_line,
    steps: StepProgress | None = None,
) -> FitResult:
    """Fit detectors on the same rows; several detectors become an ensemble.

    Parameters
    ----------
    detectors
        Name to parameters.
    workers
        Processes that train each network together; more than one needs Ray.

    Raises
    ------
    JobError
        A detector could not be fitted; says which and why.
    """
    import ray

    stretches = tuple(distrusted(panel))
    for line in describe(stretches):
        progress(line)
    panel = without(panel, stretches)
    made = {name: make(name, **{"random_state": seed, **params}) for name, params in detectors.items()}
    if ray.is_initialized():
        results = _fit_on_ray(made, panel, budget, workers, progress, steps)
    elif workers > 1:
        raise JobError(f"{workers} workers train together only on Ray, which does not run here: call ray.init()")
    else:
        results = {}
        for name, detector in made.items():
            results[name] = _fit_one(detector, panel, budget)
            progress(f"fitted {name} in {results[name][1]:.1f} s")
    order = {name: results[name] for name in made}
    rows = [_summary(name, detector, panel, seconds) for name, (detector, seconds) in order.items()]
    if len(order) == 1:
        return FitResult(next(iter(order.values()))[0], rows, stretches)
    began = time.perf_counter()
    ensemble = Ensemble(random_state=seed).join(
        {name: d for name, (d, _) in order.items()}, panel, budget, trust=True
    )
    rows.append(_summary("ensemble", ensemble, panel, time.perf_counter() - began))
    progress(f"calibrated the ensemble in {rows[-1]['seconds']:.1f} s")
    return FitResult(ensemble, rows, stretches)


def _fit_one(detector: Detector, panel: Panel, budget: Budget, counter: Any = None) -> tuple[Detector, float]:
    began = time.perf_counter()
    with report_epochs(detector, counter):
        detector.fit(panel, budget=budget, trust=True)
    return detector, time.perf_counter() - began


def _fit_on_ray(
    made: Mapping[str, Detector],
    panel: Panel,
    budget: Budget,
    workers: int,
    progress: ReportLine,
    steps: StepProgress | None,
) -> dict[str, tuple[Detector, float]]:
    """Run one task per detector; Ray repeats a task whose worker died."""
    import ray

    # a process of its own, so that the memory of the fit returns to the system
    task = ray.remote(num_cpus=0.5, max_retries=3, max_calls=1)(_fit_one)
    shared = ray.put(panel)
    fits = FitProgress(steps, len(made))
    distributed = {name: d for name, d in made.items() if workers > 1 and isinstance(d, NetworkDetector)}
    if distributed:
        check_capacity(workers)
    waiting = {
        task.options(name=f"fit {name}", num_gpus=_gpus(d, len(made))).remote(d, shared, budget, fits.counter): name
        for name, d in made.items()
        if name not in distributed
    }
    waiting |= {
        start_distributed_fit(name, d, shared, budget, workers, fits.counter): name
        for name, d in distributed.items()
    }
    results: dict[str, tuple[Detector, float]] = {}
    while waiting:
        done = fits.next(waiting)
        name = waiting.pop(done)
        try:
            with ray_errors(f"the fit of {name}"):
                results[name] = ray.get(done)
        except ForeshockError:
            for other in waiting:
                ray.cancel(other, force=True)
            raise
        fits.end(name)
        progress(f"fitted {name} in {results[name][1]:.1f} s")
    return results


def _gpus(detector: Detector, n_detectors: int) -> float:
    """Share of a GPU that a fit requests, where the cluster has one: Ray hides it from tasks that request none."""
    import ray

    if not isinstance(detector, NetworkDetector) or detector.device == "cpu":
        return 0.0
    return 1.0 / n_detectors if ray.cluster_resources().get("GPU", 0.0) >= 1.0 else 0.0


def _summary(name: str, detector: Detector, panel: Panel, seconds: float) -> dict[str, Any]:
    """Seconds of the fit, and the alerts on the held-back rows beside those that the budget allows."""
    calibrator = detector.calibrator_
    budget = calibrator.budget.per_entity(panel.n_entities)
    _, tail = hold_back(panel, HOLD_BACK)
    rows = panel.take(tail)
    away = detector.baseline_.deviation(rows)
    score = calibrator.apply_as_trained(detector.decision_scores_[tail], rows, away)
    alerts = 0
    for _, block in rows:
        over = nth_largest(score[block], *calibrator.budget.votes) >= 1.0
        alerts += int(np.count_nonzero(np.diff(over, prepend=False) & over))
    return {
        "detector": name,
        "seconds": round(seconds, 3),
        "held_back_rows": rows.n_rows,
        "held_back_alerts": alerts,
        "allowed_alerts": round(rows.n_rows / budget.rows_per_alert(panel.step), 1),
    }
