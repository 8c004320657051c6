"""Use cases of incidents: list, merge, split, assign, comment, acknowledge, resolve, reopen."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.view import postmortem_of, whole
from foreshock_models.errors import ConfigError, StateError, StoreError


def opened(house: Any, *names: str) -> str:
    for minute, name in enumerate(names):
        house.alert(name, minute)
    house.gather()
    found: str = house.incidents.list().incidents[0].id
    return found


def test_each_act_is_an_event_with_its_author_and_reason(house: Any) -> None:
    name = opened(house, "db", "api")
    people = house.people
    people.acknowledge(name, who="anna", why="on it", now_ms=1)
    people.assign(name, to="ben", who="anna", now_ms=2)
    people.comment(name, "the disk is full", who="ben", now_ms=3)
    people.rename(name, "database is out of space", who="ben", now_ms=4)
    people.classify(name, "capacity", who="ben", now_ms=5)
    people.resolve(name, who="ben", why="made room", now_ms=6)
    people.reopen(name, who="anna", why="full again", now_ms=7)
    events = [(e.data["event"], e.data["who"], e.data["why"]) for e in house.incidents.timeline(name)[2:]]
    assert events == [
        ("acknowledged", "anna", "on it"), ("assigned", "anna", ""), ("commented", "ben", "the disk is full"),
        ("renamed", "ben", "database is out of space"), ("classified", "ben", "capacity"),
        ("resolved", "ben", "made room"), ("reopened", "anna", "full again"),
    ]  # fmt: skip
    found = house.incidents.get(name)
    assert (found.state, found.assignee, found.kind, found.acknowledged_by) == ("open", "ben", "capacity", None)


def test_a_title_that_a_person_gave_stays_though_alerts_join(house: Any) -> None:
    name = opened(house, "db")
    house.people.rename(name, "database is out of space", who="ben", now_ms=4)
    house.alert("api", 1)
    house.gather()
    found = house.incidents.get(name)
    assert (found.title, found.alerts) == ("database is out of space", 2)


@pytest.mark.parametrize("act", ["acknowledge", "resolve"])
def test_what_is_over_is_not_acted_on_and_the_error_says_by_whom(house: Any, act: str) -> None:
    name = opened(house, "db")
    house.people.resolve(name, who="anna", now_ms=1)
    with pytest.raises(StateError, match="resolved already, by anna"):
        getattr(house.people, act)(name, who="ben", now_ms=2)


def test_only_a_resolved_incident_can_be_reopened(house: Any) -> None:
    name = opened(house, "db")
    with pytest.raises(StateError, match="is open; only a resolved one"):
        house.people.reopen(name, who="ben", now_ms=2)


def test_merged_incidents_are_one_and_the_part_says_where_it_is(house: Any) -> None:
    first, second = opened(house, "db"), opened(house, "queue")
    house.people.merge(second, first, who="anna", why="one cause", now_ms=3)
    assert house.groups() == [["db", "queue"]]
    assert house.incidents.get(first).alerts == 2
    assert house.incidents.get(second).merged_into == first
    with pytest.raises(StateError, match=f"merged already, into {first}"):
        house.people.acknowledge(second, who="anna", now_ms=4)
    with pytest.raises(StateError, match="into itself"):
        house.people.merge(first, first, who="anna", now_ms=4)


def test_split_alerts_stay_an_incident_of_their_own_though_a_later_alert_belongs_to_both(house: Any) -> None:
    name = opened(house, "db", "api", "web")
    new = house.people.split(name, ["web"], who="anna", why="another cause", now_ms=3)
    assert house.groups() == [["db", "api"], ["web"]]
    house.alert("api-2", 3, "api", feature="errors")
    house.gather()
    assert len(house.groups()) == 2 and sum(map(len, house.groups())) == 4
    assert house.incidents.get(new.id).state == "open"
    assert house.incidents.get(name).alerts + house.incidents.get(new.id).alerts == 4


def test_a_split_of_all_or_of_foreign_alerts_is_refused(house: Any) -> None:
    name, other = opened(house, "db", "api"), opened(house, "queue")
    with pytest.raises(StateError, match="keeps at least one"):
        house.people.split(name, ["db", "api"], who="anna", now_ms=3)
    with pytest.raises(StateError, match="not in the incident"):
        house.people.split(other, ["db"], who="anna", now_ms=3)


def test_an_incident_by_hand_takes_alerts_out_of_others_and_is_told_at_once(house: Any) -> None:
    opened(house, "db", "api")
    made = house.people.create("a customer calls", who="anna", severity="critical", alerts=["api"], now_ms=5)
    assert house.groups() == [["db"], ["api"]]
    assert house.told(made.id) == ["opened", "paged"]


@pytest.mark.parametrize(
    ("act", "given"),
    [("comment", {"text": "  "}), ("comment", {"text": "x" * 10_001}), ("rename", {"title": "\n"})],
)
def test_empty_and_endless_texts_are_refused(house: Any, act: str, given: dict[str, str]) -> None:
    name = opened(house, "db")
    with pytest.raises(ConfigError, match="characters"):
        getattr(house.people, act)(name, **given, who="anna", now_ms=1)


def test_another_tenant_sees_none_of_them(house: Any) -> None:
    name = opened(house, "db")
    others = IncidentRepository(house.store, "others")
    assert others.list().incidents == []
    with pytest.raises(StoreError, match="no incident"):
        others.get(name)


def test_the_post_mortem_tells_what_is_known_and_texts_of_others_stay_text(house: Any) -> None:
    name = opened(house, "db", "api")
    house.people.comment(name, "see <script>alert(1)</script> | [x](http://evil)", who="ben", now_ms=3)
    text = postmortem_of(house.incidents, name, "http://foreshock")
    assert "1. db departed first: latency 2, usual 0.5" in text
    assert r"see \<script\>alert(1)\</script\> \| \[x\](http://evil)" in text
    assert "## Timeline" in text and "db is anomalous" in text


def test_an_incident_as_a_whole_names_its_alerts_with_the_reason_for_each(house: Any) -> None:
    name = opened(house, "db", "api")
    found = whole(house.incidents, name, "http://foreshock")
    assert [m["id"] for m in found["members"]] == ["db", "api"]
    assert found["members"][1]["why"] == "joined: depends on db, latency departs in both, 60 s later"
    assert found["url"] == f"http://foreshock/incidents/{name}"


def test_pages_go_through_all_incidents_once(house: Any) -> None:
    for i in range(5):
        house.people.create(f"number {i}", who="anna", now_ms=i)
    first = house.incidents.list(limit=3)
    rest = house.incidents.list(limit=3, before=first.next)
    assert [i.title for i in [*first.incidents, *rest.incidents]] == [f"number {i}" for i in (4, 3, 2, 1, 0)]
    assert rest.next is None


def test_what_people_do_is_in_the_audit_log_in_the_same_transaction(house: Any) -> None:
    name = opened(house, "db", "api")
    house.people.acknowledge(name, who="anna", why="on it", now_ms=1)
    with pytest.raises(StateError):
        house.people.split(name, ["db", "api"], who="anna", now_ms=2)
    with house.store.begin() as c:
        rows = c.execute(sa.text("SELECT act, subject FROM audit_details")).all()
    assert [tuple(row) for row in rows] == [("incidents:acknowledged", name)]
