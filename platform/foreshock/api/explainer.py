"""Explainers: a window and a time in, what drove its score out."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreshock.alerts.payload import causes_json
from foreshock.api.bodies import checked, json_value, milliseconds, panel_of_bodies, refuse_repeated_keys
from foreshock.api.replicas import Served, ServedModels
from foreshock.api.schemas import ExplainRequest
from foreshock.identity.model import Jobs
from foreshock_models.detectors import Detector, Ensemble
from foreshock_models.errors import DataError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.scoring.causes import causes_of, usual_values

__all__ = ["Explainer"]


class Explainer(ServedModels):
    """Explains scores; apart from scorers, so that it never delays one."""

    def explain(self, data: bytes, jobs: Jobs | None = None) -> dict[str, Any]:
        """The explanation that a JSON body, an `ExplainRequest`, asks for; `jobs`: those that may be asked."""
        with self.large():
            value = json_value(data)
            refuse_repeated_keys(data, value)
            body = checked(ExplainRequest, value)
            served = self.served(body.job)
            served.admit(jobs)
            return _explained(served, panel_of_bodies(served, [body.window]), body)


def _explained(served: Served, panel: Panel, query: ExplainRequest) -> dict[str, Any]:
    row = panel.n_rows - 1
    if query.time is not None:
        ms = int(milliseconds([query.time])[0])
        found = np.flatnonzero(panel.timestamps == ms)
        if len(found) == 0:
            raise DataError(f"time: {query.time.isoformat()} is not a row of the window")
        row = int(found[0])
    model = _member(served.detector, query.detector)
    explanation = model.explain(panel, [row], method=query.method)
    score = model.score(panel).score[row]
    usual = served.detector.usual(panel.rows(row, row + 1))
    causes = causes_of(
        panel.features, explanation.attributions[0], panel.values[row],
        usual.expected[0], usual.lower[0], usual.upper[0],
        usual_values(panel, served.detector, np.array([row]), served.detector.calibrator_.budget.votes[1])[0],
    )  # fmt: skip
    return {
        "job": served.model.job,
        "version": served.model.version,
        "detector": model.name,
        "method": query.method,
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
