"""Whom escalation tells, when, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.notify.outbox import Outbox
from foreshock.oncall.links import AckLinks
from foreshock.oncall.pager import Pager
from foreshock.store.tables import outbox
from foreshock_models.errors import StateError

Make = Callable[[str], Any]
CONFIG = """
channels:
  chat: {type: webhook, url: "http://chat"}
  anna: {type: webhook, url: "http://anna"}
  ben: {type: webhook, url: "http://ben"}
people:
  anna: {channels: [anna]}
  ben: {channels: [ben]}
schedules:
  primary: {rotations: [{people: [anna], start: "2025-12-01T00:00"}]}
policies:
  default:
    steps:
      - {to: ["channel:chat"]}
      - {after: 5m, to: ["schedule:primary"]}
      - {after: 10m, to: ["person:ben", "channel:chat"]}
    repeat: 1
route: {policy: default, wait: 0s}
"""


def test_steps_follow_each_other_until_the_policy_is_at_its_end(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    assert desk.at(0) == ["chat paged"]
    assert desk.at(4.9) == []
    assert desk.at(5) == ["anna escalated"]
    assert desk.at(14.9) == []
    assert sorted(desk.at(15)) == ["ben escalated", "chat escalated"]
    assert desk.at(24.9) == []
    assert desk.at(25) == ["chat escalated"]
    assert desk.at(30) == ["anna escalated"]
    assert sorted(desk.at(40)) == ["ben escalated", "chat escalated"]
    assert desk.at(10_000) == []
    assert desk.house.told(desk.incident.id)[-1] == "unanswered"


def test_an_acknowledgement_stops_it_and_those_who_know_are_told(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.at(0)
    desk.at(5)
    desk.house.people.acknowledge(desk.incident.id, who="anna", now_ms=desk.now)
    assert sorted(desk.at(6)) == ["anna acknowledged", "chat acknowledged"]
    assert desk.at(60) == []
    desk.house.end("db")
    assert sorted(desk.at(61)) == ["anna resolved", "chat resolved"]
    assert desk.at(100) == []


def test_what_is_over_before_the_wait_is_over_is_told_to_nobody(oncall: Make) -> None:
    desk = oncall(CONFIG.replace("wait: 0s", "wait: 2m"))
    desk.house.alert("db")
    assert desk.at(0) == []
    desk.house.end("db")
    assert desk.at(1) == []
    assert desk.at(60) == []


def test_an_incident_that_opens_again_begins_its_escalation_anew(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.at(0)
    desk.house.people.resolve(desk.incident.id, who="anna", now_ms=desk.now)
    assert desk.at(1) == ["chat resolved"]
    desk.house.people.reopen(desk.incident.id, who="anna", now_ms=desk.now)
    assert desk.at(2) == ["chat paged"]
    assert desk.at(7) == ["anna escalated"]


def test_a_merged_incident_escalates_no_more_and_the_other_one_does(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.house.alert("queue")
    assert desk.at(0) == ["chat paged", "chat paged"]
    first, second = [i.id for i in reversed(desk.house.incidents.list().incidents)]
    desk.house.people.merge(second, first, who="anna", now_ms=desk.now)
    assert desk.at(1) == ["chat resolved"]
    assert desk.at(5) == ["anna escalated"]


def test_routes_choose_the_policy_by_labels_and_severity(oncall: Make) -> None:
    text = CONFIG.replace(
        "route: {policy: default, wait: 0s}",
        """route:
  policy: default
  wait: 0s
  routes:
    - {match: ["severity=critical"], policy: loud, continue: true}
    - {match: ['service=~"queue|mail"'], policy: quiet}
""",
    ).replace(
        "policies:\n",
        'policies:\n  loud: {steps: [{to: ["person:ben"]}]}\n  quiet: {steps: [{to: ["person:anna"]}]}\n',
    )
    desk = oncall(text)
    desk.house.alert("db")
    assert desk.at(0) == ["chat paged"]
    desk.house.alert("queue", 30, severity="critical")
    assert sorted(desk.at(30)) == ["anna escalated", "anna paged", "ben paged"]


def test_nobody_on_call_is_told_later_when_a_shift_begins_unless_it_is_over(oncall: Make) -> None:
    text = CONFIG.replace('start: "2025-12-01T00:00"', 'start: "2026-01-01T01:00"')
    desk = oncall(text.replace('["channel:chat"]}', '["schedule:primary"]}', 1))
    desk.house.alert("db")
    assert desk.at(0) == []
    assert desk.at(5) == []
    assert sorted(desk.at(15)) == ["ben escalated", "chat escalated"]
    desk.house.alert("queue", 16)
    desk.at(16)
    over = next(i for i in desk.house.incidents.list().incidents if i.entities == ["queue"])
    desk.house.people.resolve(over.id, who="ben", now_ms=desk.now)
    told = desk.at(60)
    assert "anna paged" in told
    assert all(p["id"] != over.id for name, p in desk.wire.got if name == "anna")


def test_a_message_waits_for_the_end_of_quiet_hours_in_the_zone_of_the_person_and_critical_ones_do_not(
    oncall: Make,
) -> None:
    text = CONFIG.replace(
        "anna: {channels: [anna]}",
        'anna: {channels: [anna], timezone: Asia/Tokyo, quiet: [{from: "06:00", to: "10:00"}]}',
    ).replace('["channel:chat"]}', '["person:anna"]}', 1)  # it is nine in Tokyo
    desk = oncall(text)
    desk.house.alert("db")
    assert desk.at(0) == []
    assert "anna paged" not in desk.at(59)
    assert "anna paged" in desk.at(60)
    desk.house.alert("queue", 61, severity="critical")
    assert "anna paged" in desk.at(61)


def test_a_message_waits_for_working_hours(oncall: Make) -> None:
    text = CONFIG.replace(
        "anna: {channels: [anna]}", 'anna: {channels: [anna], working: [{days: [fri], from: "09:00", to: "17:00"}]}'
    ).replace('["channel:chat"]}', '["person:anna"]}', 1)
    desk = oncall(text)
    desk.house.alert("db")
    desk.at(0)
    assert "anna paged" not in desk.at(24 * 60 + 9 * 60 - 1)
    assert "anna paged" in desk.at(24 * 60 + 9 * 60)


@pytest.mark.parametrize("dies_after", range(1, 8))
def test_a_process_that_dies_between_steps_tells_nobody_twice_and_forgets_nobody(
    oncall: Make, dies_after: int
) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    posts, post = 0, Outbox.post

    class Dies(Exception):
        pass

    class Fragile(Outbox):
        def post(self, *args: Any, **more: Any) -> None:
            nonlocal posts
            posts += 1
            if posts == dies_after:
                raise Dies
            post(self, *args, **more)

    for minute in range(60):
        desk.pager.outbox = Fragile(desk.house.store)
        try:
            desk.at(minute)
        except Dies:
            desk.start()
            desk.at(minute)
    once = ["anna escalated", "ben escalated", "chat escalated"]
    assert sorted(desk.wire.told) == sorted(["chat paged", "chat escalated", *once, *once])


def test_two_pagers_side_by_side_tell_each_step_once(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    other = Pager(desk.house.store, lambda: desk.valid, url="http://f")
    for minute in range(16):
        desk.at(minute)
        other.run(desk.now)
        desk.at(minute)
    assert sorted(desk.wire.told) == ["anna escalated", "ben escalated", "chat escalated", "chat paged"]


def test_a_clock_that_is_set_back_delays_no_step_and_repeats_none(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.at(600)
    assert desk.at(0) == []
    assert desk.at(5) == ["anna escalated"]
    assert desk.wire.told == ["chat paged", "anna escalated"]


def test_a_receiver_that_is_down_through_three_steps_gets_all_of_them_when_it_is_back(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.wire.down = {"chat", "anna", "ben"}
    desk.house.alert("db")
    for minute in range(17):
        assert desk.at(minute) == []
    desk.wire.down = set()
    told = [each for minute in range(17, 20) for each in desk.at(minute)]
    assert sorted(told) == ["anna escalated", "ben escalated", "chat escalated", "chat paged"]


def test_a_channel_that_fails_is_stood_in_for_by_another_one(oncall: Make) -> None:
    desk = oncall(CONFIG.replace('url: "http://chat"', 'url: "http://chat", fallback: ben, fallback_after: 2'))
    desk.wire.down = {"chat"}
    desk.house.alert("db")
    told = [each for minute in range(4) for each in desk.at(minute)]
    assert told == ["ben paged"]


def test_channels_that_stand_in_for_each_other_do_not_hand_a_message_to_and_fro(oncall: Make) -> None:
    text = CONFIG.replace('"http://chat"', '"http://chat", fallback: ben, fallback_after: 1')
    desk = oncall(text.replace('"http://ben"', '"http://ben", fallback: chat, fallback_after: 1'))
    desk.wire.down = {"chat", "ben"}
    desk.house.alert("db")
    for minute in range(5):
        desk.at(minute)
    with desk.house.store.begin() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one() <= 4
    desk.wire.down = set()
    assert "ben paged" in [each for minute in range(5, 9) for each in desk.at(minute)]


def test_messages_over_a_rate_limit_come_as_one_when_it_allows_it(oncall: Make) -> None:
    desk = oncall(CONFIG.replace('"http://chat"', '"http://chat", limits: [{most: 2, within: 10m}]'))
    for i, name in enumerate(["a", "b", "c", "d"]):
        desk.house.alert(name, 30 * i)
        desk.at(i / 10)
    assert [t for t in desk.wire.told if t.startswith("chat")] == ["chat paged", "chat paged"]
    desk.at(10.05)
    (digest,) = [p for name, p in desk.wire.got if name == "chat"][2:]
    assert len(digest["messages"]) == 2


def test_a_digest_gathers_what_is_not_critical(oncall: Make) -> None:
    desk = oncall(CONFIG.replace('"http://chat"', '"http://chat", digest: 15m'))
    desk.house.alert("db", 0)
    desk.house.alert("queue", 0)
    desk.at(1)
    assert "chat paged" not in desk.wire.told
    desk.house.alert("x", 30, severity="critical", job="other")
    assert "chat paged" in desk.at(2)
    desk.at(15)
    assert [len(p["messages"]) for name, p in desk.wire.got if "messages" in p and name == "chat"] == [2]


def test_a_link_acknowledges_once_and_looking_at_it_does_not(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.at(0)
    token = desk.wire.got[0][1]["links"]["ack"].partition("token=")[2]
    links = AckLinks(desk.house.store)
    assert links.look(token, desk.now)[1].state == "open"
    assert desk.incident.state == "open"
    assert links.use(token, desk.now).acknowledged_by == "chat"
    for wrong, why in ((token, "used already"), ("guess", "not known")):
        with pytest.raises(StateError, match=why):
            links.use(wrong, desk.now)
    with pytest.raises(StateError, match="too old"):
        desk.house.alert("queue", 30)
        desk.at(30)
        links.look(desk.wire.got[-1][1]["links"]["ack"].partition("token=")[2], desk.now + 10**9)


def test_people_are_told_of_their_shift_once_before_it_begins(oncall: Make) -> None:
    text = CONFIG.replace(
        'people: [anna], start: "2025-12-01T00:00"', 'people: [anna, ben], every: 1d, start: "2025-12-01T12:00"'
    )
    desk = oncall(text)
    told = [each for minute in range(600, 800, 5) for each in desk.at(minute)]
    assert told == ["ben shift"]


def test_what_came_of_messages_is_an_event(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.house.alert("db")
    desk.at(0)
    found = desk.pager.events.since(0, ["notification"])
    assert [(e.data["event"], e.data["channel"]) for e in found] == [("sent", "chat")]


def test_a_clock_that_is_set_back_after_a_failure_does_not_keep_the_receiver_waiting(oncall: Make) -> None:
    desk = oncall(CONFIG)
    desk.wire.down = {"chat"}
    desk.house.alert("db")
    assert desk.at(600) == []
    desk.wire.down = set()
    desk.house.alert("queue", 30)
    assert "chat paged" in desk.at(1)
