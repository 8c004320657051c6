"""The models that are served: champions of the registry, taken up as they change."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from foreshock.alerts.payload import causes_json
from foreshock.logs import get_logger, set_up_logging
from foreshock.serving.schemas import WindowBody
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.errors import DataError, ForeshockError, RegistryError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.windows import Windows, to_ms
from foreshock_pipelines.jobs.score import causes_of
from foreshock_pipelines.registry import Model, Registry

__all__ = ["Explainer", "Scorer", "Served", "ServedModels", "windows_of"]

REFRESH = 1.0


@dataclass(frozen=True)
class Served:
    """A champion in memory."""

    detector: Detector
    model: Model

    @property
    def labels(self) -> list[str]:
        return list(self.model.manifest["entity"])

    @property
    def step(self) -> float:
        return float(self.model.manifest["step"])


class ServedModels:
    """Base of scorers and explainers. A request keeps the model that it began with; the next gets the new one."""

    def __init__(self, registry: str, log_level: str = "INFO") -> None:
        set_up_logging(log_level)
        self.log = get_logger("serving")
        self.registry = Registry(registry)
        self.models: dict[str, Served] = {}
        self.refresh()
        threading.Thread(target=self._follow, name="champions", daemon=True).start()

    def refresh(self) -> None:
        """Load each champion that is new."""
        for job in self.registry.jobs():
            try:
                version = self.registry.champion(job)
                known = self.models.get(job)
                if version is not None and (known is None or known.model.version != version):
                    served = Served(*self.registry.load(job, version))
                    self._warm_up(served)
                    self.models[job] = served
                    self.log.info("serving", job=job, version=version)
            except ForeshockError as exc:
                self.log.error("a champion cannot be served; the one before stays", job=job, error=str(exc))

    def served(self, job: str) -> Served:
        """The model of a job.

        Raises
        ------
        RegistryError
            None is served.
        """
        if job not in self.models:
            self.refresh()
        if job not in self.models:
            raise RegistryError(f"no model of the job {job!r} is served; {allowed(job, self.models)}")
        return self.models[job]

    def _follow(self) -> None:
        stop = threading.Event()
        while not stop.wait(REFRESH):
            try:
                self.refresh()
            except Exception as exc:  # the registry may be away for a while
                self.log.warning("registry not readable", error=str(exc))

    def _warm_up(self, served: Served) -> None:
        """Score once, so that the first request does not wait for compiled code."""
        rows = served.detector.context + 2
        served.detector.score(Panel.of(np.zeros((rows, served.detector.n_features_in_))))


def windows_of(served: Served, bodies: list[WindowBody]) -> Windows:
    """Windows of request bodies.

    Raises
    ------
    DataError
        Unsorted times, lengths that differ, unknown or missing features, wrong entity labels.
    """
    parts = [_one_window(served, body, i) for i, body in enumerate(bodies)]
    if len(parts) == 1:
        return parts[0]
    keys = [part.entities[0] for part in parts]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"windows: the entity {twice!r} is given twice; put its rows into one window")
    return Windows.concat(parts)


def _one_window(served: Served, body: WindowBody, i: int) -> Windows:
    where = f"windows[{i}]"
    labels = _labels(served, body.entity, where)
    features = served.detector.features_in_
    for name in body.values:
        if name not in features:
            raise DataError(f"{where}.values: unknown feature {name!r}; {allowed(name, features)}")
    for name in features:
        if name not in body.values:
            raise DataError(
                f"{where}.values: the feature {name!r} is missing; the model needs {', '.join(features)}"
            )
    n = len(body.timestamps)
    for name, values in body.values.items():
        if len(values) != n:
            raise DataError(f"{where}.values.{name}: {len(values)} values for {n} timestamps")
    times = [t if t.tzinfo else t.replace(tzinfo=UTC) for t in body.timestamps]
    ms = np.array([round(t.timestamp() * 1000) for t in times], dtype=np.int64)
    if (np.diff(ms) <= 0).any():
        at = int(np.flatnonzero(np.diff(ms) <= 0)[0]) + 1
        raise DataError(f"{where}.timestamps: not increasing at number {at} ({body.timestamps[at].isoformat()})")
    if (ms[-1] - ms[0]) / (served.step * 1000) > 1_000_000:
        raise DataError(f"{where}.timestamps: span more than a million steps of {served.step:g} s")
    columns = {name: np.array(body.values[name], dtype=np.float64) for name in features}
    return Windows.build(ms, {k: [v] * n for k, v in labels.items()}, columns, step=served.step)


def _labels(served: Served, entity: str | dict[str, str] | None, where: str) -> dict[str, str]:
    names = served.labels
    if entity is None:
        entity = dict.fromkeys(names, "")
    if isinstance(entity, str):
        if len(names) != 1:
            raise DataError(f"{where}.entity: give all labels of the entity: {', '.join(names)}")
        return {names[0]: entity}
    for name in entity:
        if name not in names:
            raise DataError(f"{where}.entity: unknown label {name!r}; {allowed(name, names)}")
    for name in names:
        if name not in entity:
            raise DataError(f"{where}.entity: the label {name!r} is missing")
    return {name: entity[name] for name in names}


class Scorer(ServedModels):
    """Scores windows; stateless: each window is scored from where training ended."""

    def score(self, job: str, bodies: list[WindowBody]) -> dict[str, Any]:
        """JSON values of the scores of each window."""
        served = self.served(job)
        windows = windows_of(served, bodies)
        scores = served.detector.score(windows)
        panel = scores.panel
        out = []
        for entity, rows in panel:
            out.append(
                {
                    "entity": entity,
                    "timestamps": panel.timestamps[rows].tolist(),
                    "score": np.round(scores.score[rows], 4).tolist(),
                    "anomaly": (scores.score[rows] >= 1.0).tolist(),
                    "warming": bool(scores.warming[rows].any()),
                    "detectors": {n: np.round(v[rows], 4).tolist() for n, v in scores.members.items()},
                }
            )
        return {"job": job, "version": served.model.version, "windows": out}

    def score_arrow(self, job: str, data: bytes) -> bytes:
        """The same for an Arrow IPC stream of windows; gives one with the scores."""
        import pyarrow as pa

        served = self.served(job)
        windows = _read_arrow(served, data)
        scores = served.detector.score(windows)
        table = windows.table.select(["timestamp", *windows.labels])
        table = table.append_column("score", pa.array(scores.score))
        table = table.append_column("anomaly", pa.array(scores.score >= 1.0))
        for name, values in scores.members.items():
            table = table.append_column(f"score_{name}", pa.array(values))
        table = table.replace_schema_metadata({"foreshock.version": served.model.version})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    def describe(self) -> list[dict[str, Any]]:
        """What is served."""
        return [_describe(served.model, served.detector) for served in self.models.values()]


class Explainer(ServedModels):
    """Explains scores; apart from scorers, so that it never delays one."""

    def explain(self, job: str, body: WindowBody, time: datetime | None, detector: str | None) -> dict[str, Any]:
        served = self.served(job)
        windows = windows_of(served, [body])
        panel = windows.to_panel()
        row = panel.n_rows - 1
        if time is not None:
            ms = int(to_ms([time])[0])
            found = np.flatnonzero(panel.timestamps == ms)
            if len(found) == 0:
                raise DataError(f"time: {time.isoformat()} is not a row of the window")
            row = int(found[0])
        model = _member(served.detector, detector)
        explanation = model.explain(panel, [row])
        score = model.score(panel).score[row]
        usual = served.detector.usual(panel.rows(row, row + 1))
        causes = causes_of(
            panel.features, explanation.attributions[0], panel.values[row],
            usual.expected[0], usual.lower[0], usual.upper[0],
        )  # fmt: skip
        return {
            "job": job,
            "version": served.model.version,
            "detector": model.name,
            "entity": panel.entities[0],
            "time": int(panel.timestamps[row]),
            "score": round(float(score), 4),
            "raw": float(explanation.raw[0]),
            "base": float(explanation.base[0]),
            "attributions": dict(zip(panel.features, explanation.attributions[0].tolist(), strict=True)),
            "additivity_error": float(explanation.additivity_error[0]),
            "causes": causes_json(causes),
        }


def _member(detector: Detector, name: str | None) -> Detector:
    if name is None or name == detector.name:
        return detector
    members = detector.members_ if isinstance(detector, Ensemble) else {}
    if name not in members:
        raise DataError(f"detector: the model has no {name!r}; {allowed(name, [detector.name, *members])}")
    return members[name]


def _read_arrow(served: Served, data: bytes) -> Windows:
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(data) as reader:
            table = reader.read_all()
    except (pa.ArrowInvalid, OSError) as exc:
        raise DataError(f"the body is not an Arrow IPC stream: {exc}") from exc
    names = ["timestamp", *served.labels, *served.detector.features_in_]
    for name in names:
        if name not in table.column_names:
            raise DataError(f"the table has no column {name!r}; the model needs {', '.join(names)}")
    try:
        return Windows.build(
            table.column("timestamp"),
            {name: table.column(name).cast(pa.string()).combine_chunks() for name in served.labels},
            {name: table.column(name).cast(pa.float64()).to_numpy() for name in served.detector.features_in_},
            step=served.step,
        )
    except pa.ArrowInvalid as exc:
        raise DataError(f"the table cannot be read as windows: {exc}") from exc


def _describe(model: Model, detector: Detector) -> dict[str, Any]:
    return {
        "job": model.job,
        "version": model.version,
        "aliases": list(model.aliases),
        "created": model.manifest["created"],
        "detectors": list(model.members),
        "features": list(detector.features_in_),
        "entity": model.manifest["entity"],
        "step": model.manifest["step"],
        "context": detector.context,
        "false_alerts": model.manifest["budget"],
        "training": model.manifest["training"],
    }
