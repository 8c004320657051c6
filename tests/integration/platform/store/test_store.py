"""The store does the same on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.servers.stores import empty_tables

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.notify.outbox import Outbox
from foreshock.runs.repository import RunRepository
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.store import Store, open_store
from foreshock.store.tables import metadata
from foreshock_models.errors import StoreError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    yield store
    empty_tables(store)
    store.close()


def alert(n: int = 1, **changes: object) -> Alert:
    made = Alert(
        id=f"id-{n}", job="node", entity=f"host-{n % 3}", labels={"instance": f"host-{n % 3}"}, kind="anomaly",
        state="open", severity="warning", opened_ms=n * 1000, updated_ms=n * 1000, score=1.5, peak=1.5,
        summary="it is anomalous", causes=[{"feature": "cpu", "share": 0.9}],
    )  # fmt: skip
    return replace(made, **changes)


def save(store: Store, *alerts: Alert) -> None:
    with store.begin() as c:
        for each in alerts:
            assert AlertRepository(store).save(
                c, each, event="opened", at_ms=each.opened_ms, who="foreshock", why="test"
            )


def test_an_alert_is_read_back_as_it_was_written(store: Store) -> None:
    save(store, alert())
    assert replace(AlertRepository(store).get("id-1"), seq=0) == alert()


def test_an_alert_is_opened_once_however_often_its_pass_is_repeated(store: Store) -> None:
    save(store, alert())
    with store.begin() as c:
        assert not AlertRepository(store).save(c, alert(), event="opened", at_ms=1, who="foreshock", why="again")
    assert [line["event"] for line in AlertRepository(store).history("id-1")] == ["opened"]


def test_pages_go_through_all_alerts_once_the_newest_first(store: Store) -> None:
    save(store, *(alert(n, state="resolved") for n in range(1, 8)))
    seen: list[str] = []
    before = None
    while True:
        page = AlertRepository(store).list(limit=3, before=before)
        seen += [a.id for a in page.alerts]
        if page.next is None:
            break
        before = page.next
    assert seen == [f"id-{n}" for n in range(7, 0, -1)]


def test_alerts_are_filtered_by_entity_and_state(store: Store) -> None:
    save(store, *(alert(n, state="resolved" if n % 2 else "open") for n in range(1, 7)))
    assert {a.id for a in AlertRepository(store).list(entity="host-0").alerts} == {"id-3", "id-6"}
    assert {a.id for a in AlertRepository(store).list(state="live").alerts} == {"id-2", "id-4", "id-6"}


def test_an_unknown_state_is_refused_with_the_nearest_word(store: Store) -> None:
    with pytest.raises(StoreError, match="did you mean 'resolved'"):
        AlertRepository(store).list(state="resolvd")


def test_an_unknown_alert_is_an_error_that_says_where_to_look(store: Store) -> None:
    with pytest.raises(StoreError, match="foreshock alerts list"):
        AlertRepository(store).get("nope")


def test_nothing_of_a_transaction_that_fails_is_kept(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as c:
        AlertRepository(store).save(c, alert(), event="opened", at_ms=1, who="foreshock", why="test")
        Outbox(store).post(c, "key", "node/log", {"id": "id-1"}, 0)
        raise ZeroDivisionError
    assert AlertRepository(store).list().alerts == []
    assert Outbox(store).unsent() == []


def test_the_state_of_a_scorer_is_restored_bit_for_bit(store: Store) -> None:
    state = Checkpoint("v1", 123, b"\x00\xffmodel", b"policy")
    for each in (state, replace(state, scored_ms=456)):
        with store.begin() as c:
            CheckpointRepository(store).save(c, "node", each)
    assert CheckpointRepository(store).get("node") == replace(state, scored_ms=456)


def test_something_is_posted_once_for_each_key(store: Store) -> None:
    for _ in range(2):
        with store.begin() as c:
            Outbox(store).post(c, "key", "node/log", {"id": "id-1"}, 0)
    assert len(Outbox(store).unsent()) == 1


def test_two_runs_of_a_kind_are_never_active_at_once(store: Store) -> None:
    runs = RunRepository(store)
    with ThreadPoolExecutor(4) as pool:
        begun = list(pool.map(lambda _: runs.begin("node", "train", NOW, now=NOW, cause="test"), range(8)))
    assert sum(run is not None for run in begun) == 1


def test_a_run_that_ended_stays_as_it_is(store: Store) -> None:
    runs = RunRepository(store)
    run = runs.begin("node", "train", NOW, now=NOW, cause="test")
    assert run is not None
    runs.update(run.id, state="cancelled", ended=NOW)
    assert runs.update(run.id, state="succeeded").state == "cancelled"
    assert runs.begin("node", "train", NOW, now=NOW, cause="test") is not None


def test_served_times_only_move_forward(store: Store) -> None:
    runs = RunRepository(store)
    for due in (NOW, NOW - timedelta(hours=1)):
        run = runs.begin("node", "train", due, now=NOW, cause="test")
        assert run is not None
        runs.update(run.id, state="succeeded", ended=NOW)
    assert runs.last_due("node", "train", now=NOW) == NOW


def test_the_tables_are_those_that_the_migrations_make(store: Store) -> None:
    found = sa.inspect(store.engine)
    for table in metadata.sorted_tables:
        assert {c["name"] for c in found.get_columns(table.name)} == set(table.columns.keys())


def test_opening_a_store_twice_migrates_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with ThreadPoolExecutor(3) as pool:
        stores = list(pool.map(open_store, [url] * 3))
    assert all(AlertRepository(s).list().alerts == [] for s in stores)
    for s in stores:
        s.close()


def test_a_database_of_another_kind_is_refused() -> None:
    with pytest.raises(StoreError, match="FORESHOCK_STORE_URL"):
        open_store("mysql://x/y")


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("postgresql+psycopg://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
