"""How alerts become incidents in the store."""

from __future__ import annotations

from typing import Any

import pytest

from foreshock.incidents.builder import IncidentBuilder


def only(house: Any) -> Any:
    (incident,) = house.incidents.list().incidents
    return incident


def test_a_cascade_is_one_incident_that_says_where_it_began(house: Any) -> None:
    house.alert("web", 2)
    house.alert("db", 0)
    house.alert("api", 1)
    house.gather()
    incident = only(house)
    assert [cause["node"] for cause in incident.causes] == ["db", "api", "web"]
    assert incident.causes[0]["reason"] == "db departed first: latency 2, usual 0.5"
    assert "depends on api" in incident.causes[2]["reason"]
    assert (incident.alerts, incident.first_ms, incident.last_ms) == (3, 0, 120_000)
    assert incident.title == "latency of db and 2 more (shop): 3 alerts"
    whys = {member.alert: member.why for member in house.incidents.members([incident.id])}
    assert whys["api"].startswith("joined: ")


def test_faults_of_parts_that_do_not_depend_on_each_other_are_two_incidents(house: Any) -> None:
    house.alert("db")
    house.alert("queue")
    house.gather()
    assert house.groups() == [["db"], ["queue"]]


def test_an_incident_ends_when_the_last_of_its_alerts_does(house: Any) -> None:
    house.alert("db")
    house.alert("api", 1)
    house.gather()
    house.end("db")
    house.gather()
    assert only(house).state == "open"
    house.end("api")
    house.gather()
    assert (only(house).state, only(house).resolved_by) == ("resolved", "foreshock")
    assert house.told(only(house).id) == ["opened", "paged", "resolved"]


def test_an_alert_that_comes_soon_after_the_end_opens_the_incident_again(house: Any) -> None:
    house.alert("db")
    house.gather()
    house.end("db", minute=1)
    house.gather()
    house.alert("api", 2)
    house.gather()
    assert only(house).state == "open"
    assert house.told(only(house).id)[-2:] == ["joined", "reopened"]


def test_an_alert_after_a_person_ended_the_incident_is_another_one(house: Any) -> None:
    house.alert("db")
    house.gather()
    house.people.resolve(only(house).id, who="anna", now_ms=5)
    house.alert("api", 1)
    house.gather()
    assert house.groups() == [["db"], ["api"]]


def test_a_silenced_alert_is_in_no_incident_until_its_silence_ends(house: Any) -> None:
    house.alert("db", silenced_by="s-1", announced=False)
    house.gather()
    assert house.groups() == []
    house.change("db", "unsilenced", silenced_by=None)
    house.gather()
    assert house.groups() == [["db"]]


def test_an_incident_whose_alerts_are_all_silenced_ends(house: Any) -> None:
    house.alert("db")
    house.gather()
    house.change("db", "silenced", silenced_by="s-1")
    house.gather()
    assert only(house).state == "resolved"


def test_people_are_told_of_an_incident_once_it_has_the_size_that_was_asked_for(house: Any) -> None:
    house.builder = IncidentBuilder(house.store, lambda: house.jobs, least=3)
    house.alert("db")
    house.alert("api", 1)
    house.gather()
    assert only(house).paged_ms is None
    house.alert("web", 2)
    house.gather(7)
    assert only(house).paged_ms == 7
    assert house.told(only(house).id) == ["opened", "joined", "paged"]


def test_a_critical_incident_is_told_whatever_its_size(house: Any) -> None:
    house.builder = IncidentBuilder(house.store, lambda: house.jobs, least=3)
    house.alert("db", severity="critical")
    house.gather()
    assert "paged" in house.told(only(house).id)


def test_a_notice_is_no_incident(house: Any) -> None:
    house.alert("db", kind="notice", severity="info")
    house.gather()
    assert house.groups() == []


def test_two_incidents_become_one_when_an_alert_shows_it(house: Any) -> None:
    house.jobs = {"shop": house.jobs["shop"].model_copy(update={"topology": None})}
    house.alert("a", 0, "x", job="one", causes=[])
    house.alert("b", 0, "y", job="two", causes=[])
    house.gather()
    assert house.groups() == [["a"], ["b"]]
    house.jobs = {"shop": _with_calls(house, {"x": ["m"], "m": ["y"]})}
    house.alert("m", 1, "m", job="shop", causes=[])
    house.gather()
    assert house.groups() == [["a", "b", "m"]]
    merged = [i for i in house.incidents.list().incidents if i.state == "merged"]
    assert len(merged) == 1 and house.told(merged[0].id)[-1] == "merged"


def _with_calls(house: Any, calls: dict[str, list[str]]) -> Any:
    from foreshock_pipelines.jobfile import TopologyConfig

    return house.jobs["shop"].model_copy(update={"topology": TopologyConfig(calls=calls)})


@pytest.mark.parametrize("dies_after", range(1, 12, 2))
def test_a_gatherer_that_dies_in_the_middle_loses_and_doubles_nothing(house: Any, dies_after: int) -> None:
    for minute, name in enumerate(["db", "api", "web", "queue", "mail"]):
        house.alert(name, minute)
    writes = 0
    join = type(house.incidents).join

    class Dies(Exception):
        pass

    class Repository(type(house.incidents)):  # type: ignore[misc]
        def join(self, c: Any, member: Any) -> None:
            nonlocal writes
            writes += 1
            if writes == dies_after:
                raise Dies
            join(self, c, member)

    house.builder.incidents = Repository(house.store)
    for _ in range(3):
        try:
            house.gather()
        except Dies:
            house.builder = IncidentBuilder(house.store, lambda: house.jobs)
    assert house.groups() == [["db", "api", "web"], ["queue", "mail"]]
    for incident in house.incidents.list().incidents:
        assert house.told(incident.id).count("opened") == 1


def test_two_gatherers_side_by_side_make_the_same_incidents_as_one(house: Any) -> None:
    other = IncidentBuilder(house.store, lambda: house.jobs)
    for minute, name in enumerate(["db", "queue", "api", "mail", "web"]):
        house.alert(name, minute)
        (house.builder if minute % 2 else other).run(5)
    assert house.groups() == [["db", "api", "web"], ["queue", "mail"]]


def test_an_alert_that_escalates_makes_its_incident_graver_for_good(house: Any) -> None:
    house.alert("db")
    house.gather()
    house.change("db", "escalated", severity="critical")
    house.gather()
    assert only(house).severity == "critical"
