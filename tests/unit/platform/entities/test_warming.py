"""An entity that no model has seen: scored from its first rows, and marked until its own calibration holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.entities.service import entities
from foreshock.store import open_store
from foreshock_models.kernels.constants import WARM_UP_ROWS
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.rows import score_panel


def test_a_new_entity_is_scored_from_its_first_rows_and_warming_until_its_own_calibration_holds(
    trained: Any, tmp_path: Path
) -> None:
    job = trained.job.model_copy(update={"alerts": trained.job.alerts.model_copy(update={"while_warming": True})})
    engine = AlertPipeline(open_store(f"sqlite:///{tmp_path}/store.db"))
    detector, model = Registry(trained.registry).load("small")
    # to a host without calibration of its own the others score .85 and .88; their own hosts score 1.00 and 1.01
    incident = max(trained.incidents, key=lambda i: i.start)
    windows = trained.windows.select([incident.entity])
    known = windows.to_panel()
    new = replace(known, entities=("host-99",))
    assert "host-99" not in detector.state_.entities
    began = int(np.searchsorted(new.timestamps, incident.start.timestamp() * 1000))
    first = min(began - 30, new.n_rows - WARM_UP_ROWS - 10)  # it appears shortly before its incident
    state = None
    for stop in (began + 20, new.n_rows):
        rows = replace(
            new, values=new.values[first:stop], timestamps=new.timestamps[first:stop],
            offsets=np.array([0, stop - first]),
        )  # fmt: skip
        since = None if state is None else int(new.timestamps[began + 20])
        scored = score_panel(detector, model.version, rows, alert_policy(job), since=since, state=state)
        assert np.isfinite(scored.score).all()
        engine.apply(job, scored, int(rows.timestamps[-1]))
        (listed,) = entities(engine.store, "small")
        assert listed["warming"] is (state is None)
        state = scored.state
    (alert, *_) = reversed(AlertRepository(engine.store).list(entity="host-99", kind="anomaly").alerts)
    assert alert.warming
    assert alert.summary.endswith("(still warming up)")
    engine.store.close()
