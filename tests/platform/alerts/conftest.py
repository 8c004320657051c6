"""Scored rows made by hand, an engine on each kind of database, and a receiver that keeps what it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from foreshock.alerts.delivery import alert_deliverer
from foreshock.alerts.pipeline import AlertPipeline
from foreshock.notify.delivery import Deliverer
from foreshock.store import open_store
from foreshock.store.tables import metadata
from foreshock_models.errors import NotifyError
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.jobfile import Job, parse_job
from foreshock_pipelines.scoring.causes import Cause, Causes
from foreshock_pipelines.scoring.scored import Scored

STEP = 60_000
JOB = """
name: node
source: {prometheus: http://localhost:9090}
queries: {cpu: cpu, memory: memory}
entity: [instance]
step: 60s
alerts: {for: 2 of 3, resolve_after: 3m, absent_after: 5m, forget_after: 1h}
notify: [{type: webhook, url: "http://127.0.0.1:1/"}]
"""


class Receiver:
    """A notifier that may be down."""

    def __init__(self) -> None:
        self.down = False
        self.got: list[dict[str, Any]] = []

    def send(self, payload: dict[str, Any]) -> None:
        if self.down:
            raise NotifyError("down")
        self.got.append(payload)

    @property
    def events(self) -> list[str]:
        return [payload["event"] for payload in self.got]


@pytest.fixture
def job() -> Job:
    return parse_job(JOB)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def engine_anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertPipeline]:
    """An engine on an empty store, on SQLite and on PostgreSQL."""
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    yield AlertPipeline(store, "http://foreshock")
    with store.begin() as c:
        for table in metadata.sorted_tables:
            c.execute(sa.delete(table))
    store.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[AlertPipeline]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield AlertPipeline(store, "http://foreshock")
    store.close()


@pytest.fixture
def receiver(engine: AlertPipeline, job: Job) -> tuple[Receiver, Deliverer]:
    receiver = Receiver()
    return receiver, alert_deliverer(engine.store, [job], make=lambda _: receiver)


@pytest.fixture
def scored() -> Callable[..., Scored]:
    """Rows of some entities, one a minute; NaN is a row without samples; `missing` names a feature without any."""

    def make(scores: dict[str, list[float]], first: int = 0, missing: str | None = None, **more: Any) -> Scored:
        n = len(next(iter(scores.values())))
        flat = np.concatenate([np.array(v, dtype=float) for v in scores.values()])
        values = np.where(np.isnan(flat), np.nan, 0.5)[:, None].repeat(2, axis=1)
        features = ("cpu", "memory")
        if missing is not None:
            values[:, features.index(missing)] = np.nan
        panel = Panel(
            values=values,
            offsets=np.arange(0, len(flat) + 1, n),
            entities=tuple(scores),
            features=features,
            timestamps=np.tile((first + np.arange(1, n + 1)) * STEP, len(scores)).astype(np.int64),
            step=60.0,
        )
        flat = np.nan_to_num(flat)
        over = np.flatnonzero(flat >= 1)
        at = [(panel.entities[panel.codes[i]], int(panel.timestamps[i])) for i in over]
        causes = Causes({key: [Cause("cpu", 0.9, 0.97, 0.4, 0.3, 0.5)] for key in at})
        state = State(tuple(scores), {"calibration": np.zeros((len(scores), 1))})
        true = np.ones(len(flat), bool)
        fields: dict[str, Any] = {"warming": ~true, "permitted": true, **more}
        return Scored("v1", panel, flat, fields["warming"], fields["permitted"], causes, state)

    return make
