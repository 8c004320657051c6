"""Row 9: a store with a million alerts: list, filter, page, acknowledge, as the API and the command line do."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from tests.bench.harness import Row, Size, seconds
from tests.servers import servers

from foreshock.alerts.repository import AlertRepository
from foreshock.store import open_store
from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["rows"]

BATCH = 10_000
JOBS, ENTITIES, LIVE = 20, 2000, 500
LIMIT = 0.05
START = 1_700_000_000_000


def rows(size: Size) -> Iterator[Row]:
    count = size.of(1_000_000, 10_000)
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        yield from _measured("SQLite", f"sqlite:///{name}/alerts.db", count, size)
        try:
            with servers.postgres(Path(name)) as url:
                yield from _measured("PostgreSQL", url, count, size)
        except pytest.skip.Exception as reason:
            yield Row("alerts in PostgreSQL", f"left out: {reason}", "", None, "p95 < 50 ms", None)


def _measured(database: str, url: str, count: int, size: Size) -> Iterator[Row]:
    store = open_store(url)
    _fill(store, count)
    rng = np.random.default_rng(1)
    for what, ask in _questions(store, rng, count).items():
        ask()
        took = []
        for _ in range(size.of(60, 20)):
            began = time.perf_counter()
            ask()
            took.append(time.perf_counter() - began)
        p50, p95 = np.quantile(took, [0.5, 0.95])
        yield Row(
            f"{database}, {count:,} alerts: {what}, p50 / p95", f"{seconds(p50)} / {seconds(p95)}", "", None,
            "p95 < 50 ms", bool(p95 < LIMIT), {"p50_s": p50, "p95_s": p95},
        )  # fmt: skip
    store.close()


def _questions(store: Store, rng: np.random.Generator, count: int) -> dict[str, Callable[[], object]]:
    def job() -> str:
        return f"job-{rng.integers(JOBS)}"

    def entity() -> str:
        return f"host-{rng.integers(ENTITIES):05d}"

    def acknowledge() -> None:
        with store.begin() as c:
            alert = AlertRepository(store).get(f"{rng.integers(count):016x}", c)
            AlertRepository(store).save(c, alert, event="acknowledged", at_ms=START, who="bench", why="")

    def reopen() -> None:
        with store.begin() as c:
            AlertRepository(store).last_resolved(c, job(), entity(), "anomaly")

    return {
        "the newest 50": lambda: AlertRepository(store).list(),
        "live ones": lambda: AlertRepository(store).list(state="live"),
        "live ones of a job": lambda: AlertRepository(store).list(job=job(), state="live"),
        "of a job, from the middle": lambda: AlertRepository(store).list(
            job=job(), before=int(rng.integers(count))
        ),
        "of an entity of a job": lambda: AlertRepository(store).list(job=job(), entity=entity()),
        "of an entity": lambda: AlertRepository(store).list(entity=entity()),
        "of a rare kind": lambda: AlertRepository(store).list(kind="predicted"),
        "of a rare kind of a job": lambda: AlertRepository(store).list(job=job(), kind="predicted"),
        "since a time": lambda: AlertRepository(store).list(since_ms=START + (count - 1000) * 1000),
        "what a pass asks: live of a job": lambda: AlertRepository(store).live(job()),
        "what a pass asks: last resolved": reopen,
        "acknowledge": acknowledge,
    }


def _fill(store: Store, count: int) -> None:
    """Alerts of many jobs and entities; all but the newest few hundred are resolved, one in 50,000 is predicted."""
    for first in range(0, count, BATCH):
        some = [_alert(i, count) for i in range(first, min(count, first + BATCH))]
        with store.begin() as c:
            c.execute(sa.insert(t.alerts), some)
    with store.begin() as c:
        c.execute(sa.text("ANALYZE"))


def _alert(i: int, count: int) -> dict[str, object]:
    job, entity = f"job-{i % JOBS}", f"host-{i * 7919 % ENTITIES:05d}"
    at = START + i * 1000
    live = i >= count - LIVE
    return {
        "id": f"{i:016x}", "job": job, "entity": entity, "labels": {"instance": entity},
        "kind": "predicted" if i % 50_000 == 1 else "anomaly", "state": "open" if live else "resolved",
        "severity": "warning", "opened_ms": at, "updated_ms": at + 600_000,
        "resolved_ms": None if live else at + 600_000, "score": 1.3, "peak": 1.5, "version": "v1", "late": False,
        "warming": False, "acknowledged_by": None, "silenced_by": None, "summary": f"{entity} is anomalous",
        "causes": [{"feature": "cpu", "share": 0.9, "observed": 0.9, "expected": 0.4, "lower": 0.2, "upper": 0.6}],
    }  # fmt: skip
