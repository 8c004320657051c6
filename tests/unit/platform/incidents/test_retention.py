"""Incidents that are over go after a while, with all that is theirs; those that last stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.message_threads import MessageThreads
from foreshock.store import oncall_tables as o
from foreshock.store import tables as t
from foreshock.store.retention import Retention, delete_expired
from foreshock_models.errors import StoreError

DAY = 86_400_000
KEEP = Retention(incidents=timedelta(days=100))


def rows(house: Any, table: sa.Table) -> int:
    with house.store.begin() as c:
        return int(c.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def all_of(house: Any, now_ms: int, keep: Retention = KEEP) -> int:
    gone = 0
    while found := delete_expired(house.store, keep, now_ms):
        gone += found
    return gone


@pytest.fixture
def two(house: Any) -> tuple[str, str]:
    """An incident that was resolved and one that lasts, each with a link and a message in a channel."""
    made = []
    for name in ("db", "queue"):
        house.alert(name)
        house.gather(now_ms=1000)
        incident = house.incidents.list().incidents[0].id
        with house.store.begin() as c:
            AckLinks(house.store).make(c, "default", incident, "anna", 1000)
        MessageThreads(house.store).remember("chat", incident, {"ts": "1"})
        made.append(incident)
    house.people.resolve(made[0], who="anna", why="made room", now_ms=2000)
    return made[0], made[1]


def test_a_resolved_incident_goes_with_its_timeline_links_and_addresses(house: Any, two: tuple[str, str]) -> None:
    over, lasts = two
    all_of(house, 101 * DAY)
    with pytest.raises(StoreError, match="no incident"):
        house.incidents.get(over)
    assert house.incidents.get(lasts).live
    assert house.incidents.timeline(over) == []
    assert house.incidents.members([over]) == []
    assert (rows(house, o.threads), rows(house, t.members)) == (1, 1)


def test_it_stays_until_then_with_a_timeline_that_outlives_other_events(house: Any, two: tuple[str, str]) -> None:
    all_of(house, 99 * DAY)
    assert house.told(two[0])[-1] == "resolved"
    with house.store.begin() as c:
        assert set(c.execute(sa.select(t.events.c.type)).scalars()) == {"incident"}


def test_links_that_are_no_longer_good_go_before_their_incident(house: Any, two: tuple[str, str]) -> None:
    all_of(house, 2 * DAY)
    assert rows(house, o.ack_links) == 2
    all_of(house, 9 * DAY)
    assert rows(house, o.ack_links) == 0


def test_nothing_is_left_to_do_after_that(house: Any, two: tuple[str, str]) -> None:
    all_of(house, 101 * DAY)
    assert delete_expired(house.store, KEEP, 101 * DAY) == 0
