"""Scorers: windows in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from foreshock.api.bodies import (
    arrow_windows,
    checked,
    count_times,
    json_value,
    panel_if_few,
    refuse_repeated_keys,
)
from foreshock.api.fast_path.json_panel import fast_panel
from foreshock.api.replicas import Served, ServedModels
from foreshock.api.schemas import ScoreRequest
from foreshock.identity.model import Jobs
from foreshock_models.detectors import Detector
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.fill import MOST_VALUES
from foreshock_pipelines.registry import Model

__all__ = ["Scorer", "ScoringRequest", "score_together"]

ALL = 1 << 62
"""Rows: more than there are."""


@dataclass(frozen=True)
class ScoringRequest:
    """Windows that are to be scored, and how many rows at the end of each; None: all."""

    served: Served
    panel: Panel
    last: int | None


class Scorer(ServedModels):
    """Scores windows; stateless: each window is scored from where training ended."""

    def parse(self, data: bytes) -> ScoringRequest:
        """Parse a JSON body.

        Raises
        ------
        Problem, DataError
            The body, or a window in it, is wrong.
        RegistryError
            No model of the job is served.
        """
        request = self.parse_if_few(data, MOST_VALUES)
        assert request is not None
        return request

    def parse_if_few(self, data: bytes, few: int, *, load: bool = True) -> ScoringRequest | None:
        """Parse a JSON body if it asks for no more than `few` rows; else return None, before they take memory."""
        value = json_value(data)
        job = value.get("job") if isinstance(value, dict) else None
        served = self.models.get(job) if isinstance(job, str) else None
        if served is not None:
            panel = fast_panel(served, value, data, few)
            if panel is not None:
                return ScoringRequest(served, panel, value.get("last"))
        if count_times(value) > few:
            return None
        refuse_repeated_keys(data, value)
        body = checked(ScoreRequest, value)
        served = self.served(body.job, load=load)
        found = panel_if_few(served, body.windows, few)
        return None if found is None else ScoringRequest(served, found, body.last)

    def score_json(self, data: bytes, jobs: Jobs | None = None) -> bytes:
        """The answer, as JSON, to a JSON body; `jobs`: those that may be asked."""
        with self.large():
            request = self.parse(data)
            request.served.admit(jobs)
            return score_together(request.served, [(request.panel, request.last)])[0]

    def score_arrow(self, job: str, data: bytes, last: int | None = None) -> bytes:
        """The scores, as an Arrow IPC stream, of one of windows: every row, or the `last` ones of each window."""
        with self.large():
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


def score_together(served: Served, requests: Sequence[tuple[Panel, int | None]]) -> list[bytes]:
    """Answers, as JSON, to several requests: the windows of each, and how many of their last rows to score.

    What a window is scored with does not depend on the others, so that they go through the model at once: for few
    rows, most of the cost is there whatever their number.
    """
    panel = Panel.concat([windows for windows, _ in requests])
    lasts = [ALL if last is None else min(last, ALL) for windows, last in requests for _ in windows.entities]
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
    for given, _ in requests:
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
