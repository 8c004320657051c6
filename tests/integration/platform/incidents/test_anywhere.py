"""Incidents on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

from foreshock.incidents.builder import IncidentBuilder


def test_a_cascade_becomes_an_incident_that_people_handle(house_anywhere: Any) -> None:
    house = house_anywhere
    for minute, name in enumerate(["db", "api", "queue", "web"]):
        house.alert(name, minute)
    house.gather()
    assert house.groups() == [["db", "api", "web"], ["queue"]]
    name = house.incidents.list().incidents[-1].id
    house.people.acknowledge(name, who="anna", now_ms=1)
    new = house.people.split(name, ["web"], who="anna", now_ms=2)
    house.people.merge(new.id, name, who="anna", now_ms=3)
    house.end("db", "api", "web")
    house.gather()
    assert house.incidents.get(name).state == "resolved"
    assert house.incidents.list(job="shop", state="live").incidents[0].alerts == 1


def test_gatherers_at_the_same_time_take_in_each_event_once(house_anywhere: Any) -> None:
    house = house_anywhere
    for i in range(30):
        house.alert(f"a{i}", i / 60, "db", feature=f"f{i}")
    threads = [
        threading.Thread(target=IncidentBuilder(house.store, lambda: house.jobs).run, args=(5,)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(house.groups()) == 1
    (incident,) = house.incidents.list().incidents
    assert incident.alerts == 30
    joined = [a for e in house.incidents.timeline(incident.id) for a in e.data.get("joined", [])]
    assert len(joined) == 30
