"""Which alerts are one incident, and why."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from foreshock.incidents.correlation import AlertFacts, CorrelationWindow, Correlator, Placement, in_order
from foreshock.incidents.topology import Topology

MINUTE = 60_000
SHOP = Topology({"web": ["api"], "api": ["db", "cache"], "mail": ["queue"]})


def signal(
    name: str, minute: float = 0, node: str = "", job: str = "shop", labels: Mapping[str, str] | None = None,
    causes: Mapping[str, float] | None = None, step_ms: int = MINUTE,
) -> AlertFacts:  # fmt: skip
    given_causes = {name: 1.0} if causes is None else causes
    return AlertFacts(name, round(minute * MINUTE), node or name, job, labels or {}, given_causes, step_ms)


def place(correlator: Correlator, *signals: AlertFacts) -> list[Placement]:
    return [correlator.place(each, f"I-{each.id}") for each in signals]


def test_an_alert_of_a_caller_joins_that_of_the_node_that_it_depends_on_and_says_so() -> None:
    first, second = place(Correlator(SHOP), signal("db"), signal("web", 2))
    assert first.new and not second.new
    assert second.group == "I-db"
    assert second.why == "joined: depends on db, 2 min later"


def test_nodes_without_dependence_are_two_incidents_though_they_are_of_one_job() -> None:
    first, second = place(Correlator(SHOP), signal("db"), signal("queue", 0))
    assert first.group != second.group


def test_two_alerts_of_a_job_without_a_graph_join_at_the_same_time_and_not_minutes_later() -> None:
    together = place(Correlator(), signal("a"), signal("b", 0.5))
    assert [p.group for p in together] == ["I-a", "I-a"]
    assert "same job shop" in together[1].why
    apart = place(Correlator(), signal("a"), signal("b", 4))
    assert [p.group for p in apart] == ["I-a", "I-b"]


def test_alerts_of_two_jobs_that_share_nothing_never_join() -> None:
    first, second = place(Correlator(), signal("a"), signal("b", job="mail"))
    assert first.group != second.group


def test_a_label_that_few_have_joins_alerts_and_one_that_all_have_does_not() -> None:
    correlator = Correlator()
    others = [
        signal(f"h{i}", -600, job=f"j{i}", labels={"rack": f"r{i}", "region": "eu"}, causes={}) for i in range(9)
    ]
    place(correlator, *others)
    _, near, far = place(
        correlator,
        signal("a", job="x", labels={"rack": "7", "region": "eu"}),
        signal("b", job="y", labels={"rack": "7", "region": "eu"}),
        signal("c", job="z", labels={"rack": "8", "region": "eu"}),
    )
    assert near.why == "joined: same rack 7, at the same time"
    assert far.new


def test_the_window_extends_while_alerts_come_up_to_a_cap() -> None:
    correlator = Correlator(policy=CorrelationWindow(longest=20 * MINUTE))
    placed = place(correlator, *(signal(f"n{i}", 3 * i, node="db", causes={"latency": 1.0}) for i in range(12)))
    assert {p.group for p in placed[:7]} == {"I-n0"}
    assert placed[7].group == "I-n7"


def test_the_window_of_a_job_with_long_steps_is_longer() -> None:
    for step, joins in ((MINUTE, False), (10 * MINUTE, True)):
        placed = place(Correlator(SHOP), signal("db", step_ms=step), signal("api", 12, step_ms=step))
        assert (placed[1].group == "I-db") is joins


def test_an_alert_between_two_incidents_shows_that_they_are_one() -> None:
    correlator = Correlator(Topology({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["e"], "e": ["f"], "f": ["g"]}))
    first, second, bridge = place(correlator, signal("a"), signal("g", 1), signal("d", 2))
    assert second.new
    assert (bridge.group, bridge.absorbed) == (first.group, (second.group,))
    assert list(correlator.groups) == ["I-a"]


def test_a_node_that_all_use_relates_nobody() -> None:
    everybody = {f"s{i}": ["log"] for i in range(30)}
    first, second = place(Correlator(Topology(everybody)), signal("s1"), signal("s2"))
    assert first.group != second.group


def test_an_incident_that_was_closed_takes_in_nothing_more() -> None:
    correlator = Correlator(SHOP)
    place(correlator, signal("db"))
    correlator.close("I-db")
    assert place(correlator, signal("db", 1))[0].new


def test_a_correlator_that_was_restored_goes_on_as_the_first_one_did() -> None:
    signals = [signal("db"), signal("api", 1), signal("queue", 1), signal("web", 3), signal("mail", 4)]
    whole = [p.group for p in place(Correlator(SHOP), *signals)]
    again = Correlator(SHOP)
    for name in dict.fromkeys(whole[:3]):
        again.restore(name, [s for s, group in zip(signals, whole[:3], strict=False) if group == name])
    assert [p.group for p in place(again, *signals[3:])] == whole[3:]


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 120), st.sampled_from("xy")), max_size=40))
def test_every_alert_is_in_one_incident_and_none_lasts_longer_than_the_cap(
    rows: list[tuple[str, int, str]],
) -> None:
    correlator = Correlator(Topology({"a": ["b"], "b": ["c"], "e": ["f"]}))
    parents: dict[str, str] = {}
    placed: dict[str, AlertFacts] = {}
    groups: dict[str, str] = {}
    for i, (node, minute, job) in enumerate(rows):
        each = signal(f"n{i}", minute, node, job)
        found = correlator.place(each, f"I-{each.id}")
        placed[each.id], groups[each.id] = each, found.group
        parents.update(dict.fromkeys(found.absorbed, found.group))
    members: dict[str, list[int]] = {}
    for name, group in groups.items():
        while group in parents:
            group = parents[group]
        assert group in correlator.groups
        members.setdefault(group, []).append(placed[name].at_ms)
    assert all(max(times) - min(times) <= CorrelationWindow().longest for times in members.values())
    assert sum(group.size for group in correlator.groups.values()) == len(rows)


def test_ten_thousand_open_alerts_are_placed_in_about_a_second() -> None:
    graph = Topology({f"s{i}": [f"s{i // 3}", f"s{(i * 7) % 1000}"] for i in range(1, 1000)})
    correlator = Correlator(graph)
    signals = [signal(f"a{i}", i / 60, f"s{i % 1000}", causes={f"f{i % 20}": 1.0}) for i in range(10_000)]
    began = time.process_time()
    for each in in_order(signals):
        correlator.place(each, each.id)
    assert time.process_time() - began < 2.0  # twice the goal, for machines that do other work
