"""With many alerts every question uses an index, and what is old goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.servers.stores import empty_tables

from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import acknowledge
from foreshock.notify.outbox import Outbox
from foreshock.scoring.write_queue import WriteQueue
from foreshock.store import Store, open_store
from foreshock.store import tables as t
from foreshock.store.retention import Retention, delete_expired

N = 30_000
DAY = 86_400_000


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Alerts of 100 jobs and 500 entities; one in a thousand is live."""
    url = f"sqlite:///{tmp_path_factory.mktemp('size')}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    with store.begin() as c:
        c.execute(sa.insert(t.alerts), [row(n) for n in range(N)])
        c.execute(
            sa.insert(t.history),
            [
                {"alert": f"id-{n}", "at_ms": n, "event": event, "who": "foreshock", "why": "test"}
                for n in range(N)
                for event in ("opened", "resolved")
            ],
        )
        c.execute(
            sa.insert(t.outbox),
            [
                {
                    "key": f"key-{n}", "notifier": f"job-{n % 100}/*", "payload": {}, "due_ms": n, "attempts": 0,
                    "sent_ms": None if n % 1000 == 0 else n * 1000,
                }
                for n in range(N)
            ],
        )  # fmt: skip
        waiting = {"samples": 1, "block": b"a block"}
        c.execute(
            sa.insert(t.unwritten), [{"job": f"job-{n % 100}", "posted_ms": n * 1000, **waiting} for n in range(N)]
        )
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        c.exec_driver_sql("ANALYZE")
    yield store
    empty_tables(store)
    store.close()


def row(n: int) -> dict[str, Any]:
    live = n % 1000 == 0
    return {
        "id": f"id-{n}", "job": f"job-{n % 100}", "entity": f"host-{n % 500}", "labels": {"instance": f"host-{n}"},
        "kind": "absent" if n % 100 == 3 else "anomaly", "feature": f"f-{n}" if live else "",
        "state": "open" if live else "resolved", "severity": "critical" if n % 50 == 0 else "warning",
        "opened_ms": n * 1000, "updated_ms": n * 1000, "resolved_ms": None if live else n * 1000 + 500,
        "score": 1.2, "peak": 1.2, "causes": [], "late": False, "warming": False, "announced": True,
        "summary": "anomalous",
    }  # fmt: skip


def plans(store: Store, ask: Callable[[], Any]) -> list[str]:
    """What the database does for each statement that `ask` sends."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "set_config" not in statement:  # the tenant, as PostgreSQL is told of it
            sent.append((statement, parameters))

    sa.event.listen(store.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(store.engine, "before_cursor_execute", note)
    found = []
    how = "EXPLAIN QUERY PLAN " if store.engine.dialect.name == "sqlite" else "EXPLAIN "
    with store.begin() as c:
        for statement, parameters in sent:
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE"):
                lines = c.exec_driver_sql(how + statement, parameters)
                found.append("\n".join(str(line[-1] if how.endswith("PLAN ") else line[0]) for line in lines))
    return found


def reads_a_whole_table(plan: str) -> bool:
    """A scan of the table, or of its primary key with most rows thrown away."""
    by_key = "alerts_pkey" in plan and "Filter" in plan
    return by_key or any(
        "Seq Scan" in line or (line.strip().startswith("SCAN") and "INDEX" not in line)
        for line in plan.splitlines()
    )


QUESTIONS: dict[str, Callable[[Store], Any]] = {
    "next page": lambda s: AlertRepository(s).list(before=N // 2),
    "of a job": lambda s: AlertRepository(s).list(job="job-1"),
    "of an entity": lambda s: AlertRepository(s).list(entity="host-77"),
    "of an entity of a job": lambda s: AlertRepository(s).list(job="job-77", entity="host-77"),
    "live": lambda s: AlertRepository(s).list(state="live"),
    "live of a job": lambda s: AlertRepository(s).live("job-0"),
    "resolved of a job": lambda s: AlertRepository(s).list(job="job-1", state="resolved"),
    "open": lambda s: AlertRepository(s).list(state="open"),
    "of a kind": lambda s: AlertRepository(s).list(kind="absent"),
    "of a rare kind": lambda s: AlertRepository(s).list(kind="predicted"),
    "critical": lambda s: AlertRepository(s).list(severity="critical"),
    "changed lately": lambda s: AlertRepository(s).list(since_ms=(N - 10) * 1000),
    "changed lately, of a job": lambda s: AlertRepository(s).list(job="job-1", since_ms=(N - 10) * 1000),
    "one": lambda s: AlertRepository(s).get("id-17"),
    "history": lambda s: AlertRepository(s).history("id-17"),
    "acknowledge": lambda s: acknowledge(s, "id-1000", who="anna", why="", now_ms=1),
    "unsent": lambda s: Outbox(s).unsent(),
    "unsent of one": lambda s: Outbox(s).unsent("job-0/*"),
    "who waits": lambda s: Outbox(s).waiting(),
    "due for one": lambda s: Outbox(s).due("job-0/*", N),
    "due later for one": lambda s: Outbox(s).postponed("job-0/*", 0),
    "what receivers know of": lambda s: list(AlertRepository(s).announced("job-0", (N - 10) * 1000)),
    "first to be written": lambda s: WriteQueue(s).first("job-1"),
    "to be written": lambda s: WriteQueue(s).waiting("job-1"),
    "waited too long": lambda s: WriteQueue(s).drop("job-1", 0),
    "written": lambda s: WriteQueue(s).done(17),
    "what is old": lambda s: delete_expired(s, Retention(timedelta(days=36500)), 0),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_table(store: Store, question: str) -> None:
    found = plans(store, lambda: QUESTIONS[question](store))
    assert found
    for plan in found:
        if any(name in plan for name in ("alerts", "history", "outbox", "unwritten")):
            assert not reads_a_whole_table(plan), plan


def test_the_newest_are_read_in_the_order_of_the_table(store: Store) -> None:
    (plan,) = plans(store, lambda: AlertRepository(store).list())
    assert "alerts_pkey" in plan or plan == "SCAN alerts"  # of SQLite: by rowid, up to the limit
    assert "Sort" not in plan and "TEMP B-TREE" not in plan


def test_old_rows_go_in_batches_and_live_ones_stay(store: Store) -> None:
    keep = Retention(alerts=timedelta(seconds=N / 2), outbox=timedelta(seconds=N / 2))
    gone = []
    while n := delete_expired(store, keep, N * 1000):
        gone.append(n)
    assert len(gone) > 3
    with store.begin() as c:
        left = c.execute(sa.select(t.alerts.c.state, sa.func.count()).group_by(t.alerts.c.state)).all()
        lines = c.execute(sa.select(sa.func.count()).select_from(t.history)).scalar_one()
        sent = c.execute(sa.select(sa.func.count()).where(t.outbox.c.sent_ms.is_not(None))).scalar_one()
    counts = {state: n for state, n in left}
    assert counts["open"] + counts.get("acknowledged", 0) == N // 1000
    assert counts["resolved"] == pytest.approx(N / 2, rel=0.02)
    assert lines == pytest.approx(N, rel=0.02)
    assert sent == pytest.approx(N / 2, rel=0.02)
    assert len(Outbox(store).unsent(limit=1000)) >= N // 1000
