"""Whom escalation tells, when, and how often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.notify.outbox import Outbox
from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.escalation import Escalation
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
    team = oncall(CONFIG)
    team.house.alert("db")
    assert team.at(0) == ["chat paged"]
    assert team.at(4.9) == []
    assert team.at(5) == ["anna escalated"]
    assert team.at(14.9) == []
    assert sorted(team.at(15)) == ["ben escalated", "chat escalated"]
    assert team.at(24.9) == []
    assert team.at(25) == ["chat escalated"]
    assert team.at(30) == ["anna escalated"]
    assert sorted(team.at(40)) == ["ben escalated", "chat escalated"]
    assert team.at(10_000) == []
    assert team.house.told(team.incident.id)[-1] == "unanswered"


def test_an_acknowledgement_stops_it_and_those_who_know_are_told(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.at(0)
    team.at(5)
    team.house.people.acknowledge(team.incident.id, who="anna", now_ms=team.now)
    assert sorted(team.at(6)) == ["anna acknowledged", "chat acknowledged"]
    assert team.at(60) == []
    team.house.end("db")
    assert sorted(team.at(61)) == ["anna resolved", "chat resolved"]
    assert team.at(100) == []


def test_what_is_over_before_the_wait_is_over_is_told_to_nobody(oncall: Make) -> None:
    team = oncall(CONFIG.replace("wait: 0s", "wait: 2m"))
    team.house.alert("db")
    assert team.at(0) == []
    team.house.end("db")
    assert team.at(1) == []
    assert team.at(60) == []


def test_an_incident_that_opens_again_begins_its_escalation_anew(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.at(0)
    team.house.people.resolve(team.incident.id, who="anna", now_ms=team.now)
    assert team.at(1) == ["chat resolved"]
    team.house.people.reopen(team.incident.id, who="anna", now_ms=team.now)
    assert team.at(2) == ["chat paged"]
    assert team.at(7) == ["anna escalated"]


def test_a_merged_incident_escalates_no_more_and_the_other_one_does(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.house.alert("queue")
    assert team.at(0) == ["chat paged", "chat paged"]
    first, second = [i.id for i in reversed(team.house.incidents.list().incidents)]
    team.house.people.merge(second, first, who="anna", now_ms=team.now)
    assert team.at(1) == ["chat resolved"]
    assert team.at(5) == ["anna escalated"]


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
    team = oncall(text)
    team.house.alert("db")
    assert team.at(0) == ["chat paged"]
    team.house.alert("queue", 30, severity="critical")
    assert sorted(team.at(30)) == ["anna escalated", "anna paged", "ben paged"]


def test_nobody_on_call_is_told_later_when_a_shift_begins_unless_it_is_over(oncall: Make) -> None:
    text = CONFIG.replace('start: "2025-12-01T00:00"', 'start: "2026-01-01T01:00"')
    team = oncall(text.replace('["channel:chat"]}', '["schedule:primary"]}', 1))
    team.house.alert("db")
    assert team.at(0) == []
    assert team.at(5) == []
    assert sorted(team.at(15)) == ["ben escalated", "chat escalated"]
    team.house.alert("queue", 16)
    team.at(16)
    over = next(i for i in team.house.incidents.list().incidents if i.entities == ["queue"])
    team.house.people.resolve(over.id, who="ben", now_ms=team.now)
    told = team.at(60)
    assert "anna paged" in told
    assert all(p["id"] != over.id for name, p in team.wire.got if name == "anna")


def test_a_message_waits_for_the_end_of_quiet_hours_in_the_zone_of_the_person_and_critical_ones_do_not(
    oncall: Make,
) -> None:
    text = CONFIG.replace(
        "anna: {channels: [anna]}",
        'anna: {channels: [anna], timezone: Asia/Tokyo, quiet: [{from: "06:00", to: "10:00"}]}',
    ).replace('["channel:chat"]}', '["person:anna"]}', 1)  # it is nine in Tokyo
    team = oncall(text)
    team.house.alert("db")
    assert team.at(0) == []
    assert "anna paged" not in team.at(59)
    assert "anna paged" in team.at(60)
    team.house.alert("queue", 61, severity="critical")
    assert "anna paged" in team.at(61)


def test_a_message_waits_for_working_hours(oncall: Make) -> None:
    text = CONFIG.replace(
        "anna: {channels: [anna]}", 'anna: {channels: [anna], working: [{days: [fri], from: "09:00", to: "17:00"}]}'
    ).replace('["channel:chat"]}', '["person:anna"]}', 1)
    team = oncall(text)
    team.house.alert("db")
    team.at(0)
    assert "anna paged" not in team.at(24 * 60 + 9 * 60 - 1)
    assert "anna paged" in team.at(24 * 60 + 9 * 60)


@pytest.mark.parametrize("dies_after", range(1, 8))
def test_a_process_that_dies_between_steps_tells_nobody_twice_and_forgets_nobody(
    oncall: Make, dies_after: int
) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
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
        team.escalation.outbox = Fragile(team.house.store)
        try:
            team.at(minute)
        except Dies:
            team.start()
            team.at(minute)
    once = ["anna escalated", "ben escalated", "chat escalated"]
    assert sorted(team.wire.told) == sorted(["chat paged", "chat escalated", *once, *once])


def test_two_pagers_side_by_side_tell_each_step_once(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    other = Escalation(team.house.store, lambda: team.valid, url="http://f")
    for minute in range(16):
        team.at(minute)
        other.run(team.now)
        team.at(minute)
    assert sorted(team.wire.told) == ["anna escalated", "ben escalated", "chat escalated", "chat paged"]


def test_a_clock_that_is_set_back_delays_no_step_and_repeats_none(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.at(600)
    assert team.at(0) == []
    assert team.at(5) == ["anna escalated"]
    assert team.wire.told == ["chat paged", "anna escalated"]


def test_a_receiver_that_is_down_through_three_steps_gets_all_of_them_when_it_is_back(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.wire.down = {"chat", "anna", "ben"}
    team.house.alert("db")
    for minute in range(17):
        assert team.at(minute) == []
    team.wire.down = set()
    told = [each for minute in range(17, 20) for each in team.at(minute)]
    assert sorted(told) == ["anna escalated", "ben escalated", "chat escalated", "chat paged"]


def test_a_channel_that_fails_is_stood_in_for_by_another_one(oncall: Make) -> None:
    team = oncall(CONFIG.replace('url: "http://chat"', 'url: "http://chat", fallback: ben, fallback_after: 2'))
    team.wire.down = {"chat"}
    team.house.alert("db")
    told = [each for minute in range(4) for each in team.at(minute)]
    assert told == ["ben paged"]


def test_channels_that_stand_in_for_each_other_do_not_hand_a_message_to_and_fro(oncall: Make) -> None:
    text = CONFIG.replace('"http://chat"', '"http://chat", fallback: ben, fallback_after: 1')
    team = oncall(text.replace('"http://ben"', '"http://ben", fallback: chat, fallback_after: 1'))
    team.wire.down = {"chat", "ben"}
    team.house.alert("db")
    for minute in range(5):
        team.at(minute)
    with team.house.store.begin() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(outbox)).scalar_one() <= 4
    team.wire.down = set()
    assert "ben paged" in [each for minute in range(5, 9) for each in team.at(minute)]


def test_messages_over_a_rate_limit_come_as_one_when_it_allows_it(oncall: Make) -> None:
    team = oncall(CONFIG.replace('"http://chat"', '"http://chat", limits: [{most: 2, within: 10m}]'))
    for i, name in enumerate(["a", "b", "c", "d"]):
        team.house.alert(name, 30 * i)
        team.at(i / 10)
    assert [t for t in team.wire.told if t.startswith("chat")] == ["chat paged", "chat paged"]
    team.at(10.05)
    (digest,) = [p for name, p in team.wire.got if name == "chat"][2:]
    assert len(digest["messages"]) == 2


def test_a_digest_gathers_what_is_not_critical(oncall: Make) -> None:
    team = oncall(CONFIG.replace('"http://chat"', '"http://chat", digest: 15m'))
    team.house.alert("db", 0)
    team.house.alert("queue", 0)
    team.at(1)
    assert "chat paged" not in team.wire.told
    team.house.alert("x", 30, severity="critical", job="other")
    assert "chat paged" in team.at(2)
    team.at(15)
    assert [len(p["messages"]) for name, p in team.wire.got if "messages" in p and name == "chat"] == [2]


def test_a_link_acknowledges_once_and_looking_at_it_does_not(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.at(0)
    token = team.wire.got[0][1]["links"]["ack"].partition("token=")[2]
    links = AckLinks(team.house.store)
    assert links.look(token, team.now)[1].state == "open"
    assert team.incident.state == "open"
    assert links.use(token, team.now).acknowledged_by == "chat"
    for wrong, why in ((token, "used already"), ("guess", "not known")):
        with pytest.raises(StateError, match=why):
            links.use(wrong, team.now)
    with pytest.raises(StateError, match="too old"):
        team.house.alert("queue", 30)
        team.at(30)
        links.look(team.wire.got[-1][1]["links"]["ack"].partition("token=")[2], team.now + 10**9)


def test_people_are_told_of_their_shift_once_before_it_begins(oncall: Make) -> None:
    text = CONFIG.replace(
        'people: [anna], start: "2025-12-01T00:00"', 'people: [anna, ben], every: 1d, start: "2025-12-01T12:00"'
    )
    team = oncall(text)
    told = [each for minute in range(600, 800, 5) for each in team.at(minute)]
    assert told == ["ben shift"]


def test_what_came_of_messages_is_an_event(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.house.alert("db")
    team.at(0)
    found = team.escalation.events.since(0, ["notification"])
    assert [(e.data["event"], e.data["channel"]) for e in found] == [("sent", "chat")]


def test_a_clock_that_is_set_back_after_a_failure_does_not_keep_the_receiver_waiting(oncall: Make) -> None:
    team = oncall(CONFIG)
    team.wire.down = {"chat"}
    team.house.alert("db")
    assert team.at(600) == []
    team.wire.down = set()
    team.house.alert("queue", 30)
    assert "chat paged" in team.at(1)
