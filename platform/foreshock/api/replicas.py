"""The models that are served: champions of the registry, taken up as they change."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from foreshock.alerts.payload import causes_json
from foreshock.api.bodies import (
    arrow_windows,
    checked,
    json_value,
    milliseconds,
    panel_of,
    plain_panel,
    refuse_repeated_keys,
)
from foreshock.api.schemas import ExplainRequest, ScoreRequest
from foreshock.logs import get_logger, set_up_logging
from foreshock.runtime.loopback import stay_on_loopback
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.errors import DataError, ForeshockError, RegistryError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.registry import Model, Registry
from foreshock_pipelines.scoring.causes import causes_of

__all__ = ["Explainer", "Scorer", "Served", "ServedModels", "score_together"]

REFRESH = 1.0
YOUNG = 20_000
"""New objects after which the collector looks for cycles among them; by default 700, which a few requests have."""
ALL = 1 << 62
"""Rows: more than there are."""


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
        stay_on_loopback()
        self.log = get_logger("serving")
        self.registry = Registry(registry)
        self.models: dict[str, Served] = {}
        self.room = threading.Semaphore(max(2, os.cpu_count() or 2))  # of large requests, which take memory
        self.refresh()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not go through it again and again
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
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

    def served(self, job: str, *, load: bool = True) -> Served:
        """The model of a job; one that has come just now is loaded, which takes a while, unless that is not wanted.

        Raises
        ------
        RegistryError
            None is served.
        """
        if load and job not in self.models:
            self.refresh()
        if job not in self.models:
            raise RegistryError(f"no model of the job {job!r} is served; {allowed(job, self.models)}")
        return self.models[job]

    def asked(self, data: bytes, *, load: bool = True) -> tuple[Served, Panel, int | None]:
        """Return model, windows and how many of their last rows a JSON body asks to be scored.

        Raises
        ------
        Problem, DataError
            The body, or a window in it, is wrong.
        RegistryError
            No model of the job is served; see `served`.
        """
        value = json_value(data)
        job = value.get("job") if isinstance(value, dict) else None
        served = self.models.get(job) if isinstance(job, str) else None
        if served is not None:
            panel = plain_panel(served, value, data.count(b":"))
            if panel is not None:
                return served, panel, value.get("last")
        refuse_repeated_keys(data, value)
        body = checked(ScoreRequest, value)
        served = self.served(body.job, load=load)
        return served, panel_of(served, body.windows), body.last

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


class Scorer(ServedModels):
    """Scores windows; stateless: each window is scored from where training ended."""

    def score(self, job: str, panel: Panel, last: int | None = None) -> bytes:
        """The answer, as JSON: scores of every row, or of the `last` ones of each window."""
        with self.room:
            return score_together(self.served(job), [(panel, last)])[0]

    def score_json(self, data: bytes) -> bytes:
        """The same for a JSON body."""
        with self.room:
            served, panel, last = self.asked(data)
            return score_together(served, [(panel, last)])[0]

    def score_arrow(self, job: str, data: bytes, last: int | None = None) -> bytes:
        """The same for an Arrow IPC stream of windows; gives one with the scores."""
        with self.room:
            return _arrow_scores(self.served(job), data, last)

    def describe(self) -> list[dict[str, Any]]:
        """The model that is served."""
        return [_describe(served.model, served.detector) for served in self.models.values()]


def _arrow_scores(served: Served, data: bytes, last: int | None) -> bytes:
    import pyarrow as pa

    windows = arrow_windows(served, data)
    panel = windows.to_panel()
    scores = served.detector.score(panel, since=_since(panel, last))
    table = windows.table.select(["timestamp", *windows.labels])
    if last is not None:
        table = table.filter(pa.array(panel.timestamps >= _since(panel, last)[panel.codes]))
    table = table.append_column("score", pa.array(scores.score))
    table = table.append_column("anomaly", pa.array(scores.score >= 1.0))
    for name, values in scores.members.items():
        table = table.append_column(f"score_{name}", pa.array(values))
    table = table.replace_schema_metadata({"foreshock.version": served.model.version})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def score_together(served: Served, asked: Sequence[tuple[Panel, int | None]]) -> list[bytes]:
    """Answers, as JSON, to several requests: the windows of each, and how many of their last rows to score.

    What a window is scored with does not depend on the others, so that they go through the model at once: for few
    rows, most of the cost is there whatever their number.
    """
    panel = Panel.concat([windows for windows, _ in asked])
    lasts = [ALL if last is None else min(last, ALL) for windows, last in asked for _ in windows.entities]
    scores = served.detector.score(panel, since=_since(panel, np.array(lasts)))
    times = scores.panel.timestamps.tolist()
    anomaly = (scores.score >= 1.0).tolist()
    warming = scores.warming.tolist()
    # plain lists: for a few rows, each array that is sliced costs as much as its numbers
    score, *members = np.round([scores.score, *scores.members.values()], 4).tolist()
    windows = iter(
        {
            "entity": entity,
            "timestamps": times[rows],
            "score": score[rows],
            "anomaly": anomaly[rows],
            "warming": any(warming[rows]),
            "detectors": {name: values[rows] for name, values in zip(scores.members, members, strict=True)},
        }
        for entity, rows in scores.panel
    )
    answers = []
    for given, _ in asked:
        mine = [next(windows) for _ in range(given.n_entities)]
        answers.append(orjson.dumps({"job": served.model.job, "version": served.model.version, "windows": mine}))
    return answers


def _since(panel: Panel, last: int | NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Time of the first row of each window that is scored ``(n_entities,)``: the `last` rows of each; None: all."""
    starts, ends = panel.offsets[:-1], panel.offsets[1:]
    if isinstance(last, int):
        last = np.array(min(last, ALL))
    firsts: NDArray[np.int64] = panel.timestamps[starts if last is None else np.maximum(ends - last, starts)]
    return firsts


class Explainer(ServedModels):
    """Explains scores; apart from scorers, so that it never delays one."""

    def explain(self, data: bytes) -> dict[str, Any]:
        """The explanation that a JSON body, an `ExplainRequest`, asks for."""
        with self.room:
            value = json_value(data)
            refuse_repeated_keys(data, value)
            body = checked(ExplainRequest, value)
            served = self.served(body.job)
            return _explained(served, panel_of(served, [body.window]), body.time, body.detector)


def _explained(served: Served, panel: Panel, time: datetime | None, detector: str | None) -> dict[str, Any]:
    row = panel.n_rows - 1
    if time is not None:
        ms = int(milliseconds([time])[0])
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
        "job": served.model.job,
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
