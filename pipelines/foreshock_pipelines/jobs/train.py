"""Train: read windows, fit each detector in a Ray task, calibrate them together, publish."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from foreshock_models.calibration.budget import Budget
from foreshock_models.calibration.tail import nth_largest
from foreshock_models.detectors import Detector, Ensemble, make
from foreshock_models.detectors._base import HOLD_BACK, MIN_ROWS, hold_back
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.display import frame_html
from foreshock_models.drift import Inputs
from foreshock_models.errors import ForeshockError, JobError, NotEnoughData
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.labels import Intervals
from foreshock_pipelines.datasets.reading import Steps, from_dataset, grid
from foreshock_pipelines.datasets.source import open_source
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs._together import check_room, start_together
from foreshock_pipelines.jobs._watch import Watch, counted
from foreshock_pipelines.registry import CHAMPION, Registry

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Exclusion",
    "Fitted",
    "TrainReport",
    "as_exclusions",
    "facts",
    "fit",
    "read_history",
    "settings_for",
    "train",
]

Progress = Callable[[str], None]
"""Called with a line when a stage begins or ends."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows that must not be learnt from: an entity (None: all) from `start` to `end`, ms since the epoch.

    ``where``: says of an entity whether it is meant, where no name does.
    """

    entity: str | None
    start: int
    end: int
    where: Callable[[str], bool] | None = None

    def covers(self, entity: str) -> bool:
        return self.entity in (None, entity) and (self.where is None or self.where(entity))


@dataclass(frozen=True, repr=False)
class TrainReport:
    """What was trained on what, how long, and how it does on the held-back rows."""

    job: str
    version: str
    aliases: tuple[str, ...]
    start: datetime
    end: datetime
    rows: int
    entities: int
    features: tuple[str, ...]
    skipped: dict[str, str]
    empty_features: tuple[str, ...]
    detectors: list[dict[str, Any]] = field(default_factory=list)
    contest: dict[str, Any] | None = None
    """How it did against the champion, where it had to prove itself."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}

    def to_pandas(self) -> pd.DataFrame:
        """One row per detector: seconds to fit, and its alerts on the held-back rows beside those allowed."""
        import pandas as pd

        return pd.DataFrame(self.detectors)

    def __repr__(self) -> str:
        names = f" as {', '.join(self.aliases)}" if self.aliases else ""
        return (
            f"TrainReport({self.job!r}, version {self.version}{names}: {self.entities} entities, {self.rows} rows, "
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC)"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.to_pandas())


@dataclass(frozen=True)
class Fitted:
    """A fitted model, and seconds and scores of each of its detectors."""

    detector: Detector
    detectors: list[dict[str, Any]]


def train(
    job: Job,
    registry: Registry,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    exclude: Sequence[Exclusion] = (),
    alias: str | None = CHAMPION,
    workers: int | None = None,
    progress: Progress = lambda line: None,
    steps: Steps | None = None,
) -> TrainReport:
    """Train the job's detectors and publish them as one model.

    Parameters
    ----------
    start, end
        Default: the job's `history`, up to the newest row of its source.
    detectors
        Name to parameters, in place of the job's own.
    alias
        What the new version is called at once.
    workers
        Processes that train each network together, in place of the job's own number.
    progress, steps
        Told when a stage begins or ends; how far reading, fitting and each network have come.

    Raises
    ------
    NotEnoughData
        No entity has enough rows.
    JobError
        A detector could not be fitted; says which and why.
    """
    source = open_source(job)
    end = end or source.latest()
    start = start or end - job.history
    progress(f"reading {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC")
    windows = read_history(job, start, end, steps)
    panel, skipped = usable(without(windows.to_panel(), exclude))
    progress(f"{panel.n_entities} entities x {panel.n_rows // panel.n_entities} rows x {panel.n_features} features")
    for entity, reason in skipped.items():
        progress(f"skipped {entity}: {reason}")
    settings, tuned = detectors, None
    if settings is None:
        settings, tuned = settings_for(job, registry, panel, progress)
    fitted = fit(
        panel, settings, job.budget, seed=job.seed, workers=workers or job.workers, progress=progress, steps=steps
    )
    empty = tuple(
        name for name, column in zip(panel.features, panel.values.T, strict=True) if np.isnan(column).all()
    )
    extra = facts(job, panel, windows.queries, fitted, settings, tuned)
    model = registry.publish(fitted.detector, job.name, extra, alias=alias)
    registry.prune(job.name)
    progress(f"published {job.name} {model.version}" + (f" as {alias}" if alias else ""))
    return TrainReport(
        job.name, model.version, model.aliases, start, end, panel.n_rows, panel.n_entities, panel.features,
        skipped, empty, fitted.detectors,
    )  # fmt: skip


def settings_for(
    job: Job, registry: Registry, panel: Panel, progress: Progress = lambda line: None
) -> tuple[Mapping[str, Mapping[str, Any]], dict[str, Any] | None]:
    """Detectors and parameters to train with, and how they were tuned, if they were.

    What was tuned for the champion stays, as long as the job file asks for the same detectors. ``detectors: auto``
    of a job that has none yet is settled on `panel`, by a search.
    """
    if registry.champion(job.name) is not None:
        manifest = registry.get(job.name).manifest
        tuned = manifest.get("tuned")
        if tuned is not None and tuned["asked"] == job.asked:
            return dict(manifest["settings"]), tuned
    if job.auto is None:
        return job.detector_params, None
    from foreshock_pipelines.jobs.settle import pick_detectors

    picked = pick_detectors(job, panel, progress=progress)
    return picked.settings, picked.about(job.asked)


def facts(
    job: Job,
    panel: Panel,
    queries: Mapping[str, str],
    fitted: Fitted,
    settings: Mapping[str, Mapping[str, Any]],
    tuned: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the manifest of a model says of its job and its training; `tuned`: how its settings were found."""
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (panel.timestamps.min(), panel.timestamps.max()))
    return {
        **({} if tuned is None else {"tuned": dict(tuned)}),
        "job": job.name,
        "step": panel.step,
        "entity": list(job.entity),
        "queries": dict(queries),
        "settings": {name: dict(params) for name, params in settings.items()},
        "training": {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "rows": panel.n_rows,
            "entities": panel.n_entities,
            "fingerprint": fingerprint(panel),
        },
        "budget": str(job.budget),
        "inputs": Inputs.of(panel).as_dict(),
        "metrics": fitted.detectors,
    }


def read_history(job: Job, start: datetime, end: datetime, steps: Steps | None = None) -> Windows:
    """The job's windows: by Ray tasks where Ray runs, else in this process."""
    import ray

    source = open_source(job)
    source.check()
    if not ray.is_initialized():
        return source.read(start, end)
    try:
        with _reading(job, start, end, steps) as block_read:
            return from_dataset(source.dataset(start, end), block_read)
    except ray.exceptions.RayTaskError as exc:
        cause = exc.cause
        if isinstance(cause, ForeshockError):
            raise cause from None
        raise JobError(f"reading the windows of {job.name} failed: {cause}") from exc


@contextmanager
def _reading(job: Job, start: datetime, end: datetime, steps: Steps | None) -> Iterator[Callable[[Windows], None]]:
    """Counts the steps of the grid that have been read, block by block."""
    if steps is None:
        yield lambda part: None
        return
    first, last = grid(start, end, job.step_seconds)
    total = round((last - first) / (job.step_seconds * 1000)) + 1
    done = 0

    def block_read(part: Windows) -> None:
        nonlocal done
        done += part.n_rows // max(1, len(part.entities))  # all entities are on one grid
        steps("reading", min(done, total), total)

    yield block_read
    steps("reading", total, total)  # of a stretch without a sample there is no row


def usable(panel: Panel) -> tuple[Panel, dict[str, str]]:
    """Entities with enough rows, and why each other one is left out."""
    filled = np.asarray(~np.isnan(panel.values).all(axis=1))
    skipped = {}
    for entity, rows in panel:
        count = int(filled[rows].sum())
        if count < MIN_ROWS:
            skipped[entity] = f"{count} rows with a sample, {MIN_ROWS} are needed"
    if len(skipped) == panel.n_entities:
        raise NotEnoughData(
            f"none of {panel.n_entities} entities has the {MIN_ROWS} rows that training needs; "
            "take a longer history or a smaller step"
        )
    kept = [entity for entity in panel.entities if entity not in skipped]
    return panel if not skipped else panel.select(kept), skipped


def as_exclusions(labels: Intervals | None) -> list[Exclusion]:
    """Known anomalies are nothing to learn from."""
    return [
        Exclusion(entity, round(first.timestamp() * 1000), round(last.timestamp() * 1000))
        for entity, intervals in (labels or {}).items()
        for first, last in intervals
    ]


def without(panel: Panel, exclude: Sequence[Exclusion]) -> Panel:
    """The same rows, those that must not be learnt from emptied."""
    if not exclude:
        return panel
    values = panel.values.copy()
    for rule in exclude:
        for entity, rows in panel:
            if rule.covers(entity):
                times = panel.timestamps[rows]
                values[rows][(times >= rule.start) & (times <= rule.end)] = np.nan
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)


def fit(
    panel: Panel,
    detectors: Mapping[str, Mapping[str, Any]],
    budget: Budget,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: Progress = lambda line: None,
    steps: Steps | None = None,
) -> Fitted:
    """Fit detectors on the same rows, in Ray tasks where Ray runs; several become an ensemble.

    Networks are trained by `workers` processes together, which needs Ray.
    """
    import ray

    made = {name: _make(name, params, seed) for name, params in detectors.items()}
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
    rows = [_row(name, detector, panel, seconds) for name, (detector, seconds) in order.items()]
    if len(order) == 1:
        return Fitted(next(iter(order.values()))[0], rows)
    began = time.perf_counter()
    ensemble = Ensemble(random_state=seed).join({name: d for name, (d, _) in order.items()}, panel, budget)
    rows.append(_row("ensemble", ensemble, panel, time.perf_counter() - began))
    progress(f"calibrated the ensemble in {rows[-1]['seconds']:.1f} s")
    return Fitted(ensemble, rows)


def _make(name: str, params: Mapping[str, Any], seed: int) -> Detector:
    return make(name, **{"random_state": seed, **params})


def _fit_one(detector: Detector, panel: Panel, budget: Budget, tally: Any = None) -> tuple[Detector, float]:
    began = time.perf_counter()
    with counted(detector, tally):
        detector.fit(panel, budget=budget)
    return detector, time.perf_counter() - began


def _fit_on_ray(
    made: Mapping[str, Detector],
    panel: Panel,
    budget: Budget,
    workers: int,
    progress: Progress,
    steps: Steps | None,
) -> dict[str, tuple[Detector, float]]:
    """A task for each detector; one whose worker died is run again."""
    import ray

    # a process of its own, so that what the fit took goes back to the system
    task = ray.remote(num_cpus=0.5, max_retries=3, max_calls=1)(_fit_one)
    shared = ray.put(panel)
    watch = Watch(steps, len(made))
    together = {name: d for name, d in made.items() if workers > 1 and isinstance(d, NetworkDetector)}
    if together:
        check_room(workers)
    waiting = {
        task.options(name=f"fit {name}", num_gpus=_gpus(d, len(made))).remote(d, shared, budget, watch.tally): name
        for name, d in made.items()
        if name not in together
    }
    waiting |= {start_together(name, d, shared, budget, workers, watch.tally): name for name, d in together.items()}
    results: dict[str, tuple[Detector, float]] = {}
    while waiting:
        done = watch.next(waiting)
        name = waiting.pop(done)
        try:
            results[name] = ray.get(done)
        except ray.exceptions.RayError as exc:
            for other in waiting:
                ray.cancel(other, force=True)
            cause = getattr(exc, "cause", None)
            if isinstance(cause, ForeshockError):
                raise cause from None
            raise JobError(f"the detector {name} could not be fitted: {cause or exc}") from exc
        watch.end(name)
        progress(f"fitted {name} in {results[name][1]:.1f} s")
    return results


def _gpus(detector: Detector, n_detectors: int) -> float:
    """What of a GPU a fit asks for, where the cluster has one: Ray hides it from tasks that ask for none."""
    import ray

    if not isinstance(detector, NetworkDetector) or detector.device == "cpu":
        return 0.0
    return 1.0 / n_detectors if ray.cluster_resources().get("GPU", 0.0) >= 1.0 else 0.0


def _row(name: str, detector: Detector, panel: Panel, seconds: float) -> dict[str, Any]:
    """How long it took, and the alerts that its line gives on the held-back rows beside those that are allowed."""
    calibrator = detector.calibrator_
    _, tail = hold_back(panel, HOLD_BACK)
    rows = panel.take(tail)
    score = calibrator.static(detector.decision_scores_[tail], rows)
    alerts = 0
    for _, block in rows:
        over = nth_largest(score[block], *calibrator.budget.votes) >= 1.0
        alerts += int(np.count_nonzero(np.diff(over, prepend=False) & over))
    return {
        "detector": name,
        "seconds": round(seconds, 3),
        "held_back_rows": rows.n_rows,
        "held_back_alerts": alerts,
        "allowed_alerts": round(rows.n_rows / calibrator.budget.rows_per_alert(panel.step), 1),
    }


def fingerprint(panel: Panel) -> str:
    """Tells whether two models saw the same rows."""
    digest = hashlib.sha256()
    for part in (panel.values, panel.timestamps, panel.offsets):
        digest.update(np.ascontiguousarray(part).data)
    digest.update("\0".join((*panel.entities, *panel.features)).encode())
    return digest.hexdigest()
