"""The append-only record of what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.stores import empty_tables

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import acknowledge, resolve
from foreshock.events.repository import EventRepository
from foreshock.store import Store, open_store
from foreshock_models.errors import StoreError


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    yield store
    empty_tables(store)
    store.close()


def append(store: Store, *subjects: str, tenant: str = "default") -> list[int]:
    with store.begin() as c:
        return [EventRepository(store, tenant).append(c, "run", s, {"event": "began"}, 5) for s in subjects]


def test_events_are_read_from_behind_a_number_in_their_order(store: Store) -> None:
    first, second, third = append(store, "a", "b", "c")
    events = EventRepository(store)
    assert [e.subject for e in events.since(first)] == ["b", "c"]
    assert first < second < third == events.newest()
    assert events.since(0, ["alert"]) == []
    assert [e.seq for e in events.since(0, subject="b")] == [second]


def test_one_tenant_never_sees_the_events_of_another(store: Store) -> None:
    append(store, "ours", tenant="red")
    append(store, "theirs", tenant="blue")
    assert [e.subject for e in EventRepository(store, "red").since(0)] == ["ours"]
    assert EventRepository(store, "green").newest() == 0


def test_an_unknown_type_is_refused_with_the_nearest_one(store: Store) -> None:
    with store.begin() as c, pytest.raises(StoreError, match="did you mean 'alert'"):
        EventRepository(store).append(c, "alerts", "a", {}, 0)


def test_an_event_of_a_transaction_that_fails_is_not_there(store: Store) -> None:
    with pytest.raises(RuntimeError), store.begin() as c:
        EventRepository(store).append(c, "run", "a", {}, 0)
        raise RuntimeError("dies in the middle")
    assert EventRepository(store).since(0) == []


def test_a_reader_misses_nothing_though_a_slow_transaction_began_first(store: Store) -> None:
    events, seen, began = EventRepository(store), list[str](), threading.Event()

    def slow() -> None:
        with store.begin() as c:
            events.append(c, "run", "slow", {}, 0)
            began.set()
            time.sleep(0.2)

    thread = threading.Thread(target=slow)
    thread.start()
    began.wait(5)
    quick = threading.Thread(target=append, args=(store, "quick"))
    quick.start()
    reached = 0
    while len(seen) < 2:
        for event in events.since(reached):
            seen.append(event.subject)
            reached = event.seq
        time.sleep(0.01)
    thread.join()
    quick.join()
    assert seen == ["slow", "quick"]


def test_what_a_consumer_reached_is_written_with_what_it_made_of_the_events(store: Store) -> None:
    events = EventRepository(store)
    with pytest.raises(RuntimeError), store.begin() as c:
        assert events.reached(c, "incidents") == 0
        events.reach(c, "incidents", 7)
        raise RuntimeError("dies in the middle")
    with store.begin() as c:
        assert events.reached(c, "incidents") == 0
        events.reach(c, "incidents", 7)
    with store.begin() as c:
        assert events.reached(c, "incidents") == 7


def test_what_happens_to_an_alert_is_an_event_of_the_same_transaction(store: Store) -> None:
    alert = Alert(
        id="a1", job="node", entity="web-1", labels={"instance": "web-1"}, kind="anomaly", state="open",
        severity="warning", opened_ms=1000, updated_ms=1000, score=1.5, peak=1.5, summary="cpu is high", causes=[],
    )  # fmt: skip
    with store.begin() as c:
        AlertRepository(store).save(c, alert, event="opened", at_ms=1000, who="foreshock", why="3 of 5")
    acknowledge(store, "a1", who="anna", why="on it", now_ms=2000)
    resolve(store, "a1", who="anna", why="restarted", now_ms=3000)
    found = EventRepository(store).since(0, ["alert"])
    assert [(e.subject, e.data["event"], e.data["state"], e.at_ms) for e in found] == [
        ("a1", "opened", "open", 1000),
        ("a1", "acknowledged", "acknowledged", 2000),
        ("a1", "resolved", "resolved", 3000),
    ]
    assert found[1].data["who"] == "anna" and found[0].data["labels"] == {"instance": "web-1"}
