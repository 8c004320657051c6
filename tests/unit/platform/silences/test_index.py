"""The index gives for every alert what looking through all silences gives, and fast."""

from __future__ import annotations

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from foreshock.alerts.model import Alert
from foreshock.silences.index import SilenceIndex
from foreshock.silences.matchers import Matcher, parse_matcher
from foreshock.silences.model import Silence

ALERT = Alert(
    id="a", job="node", entity="web-1", labels={"instance": "web-1"}, kind="anomaly", state="open",
    severity="warning", opened_ms=0, updated_ms=0, score=1.2, peak=1.2, summary="", causes=[],
)  # fmt: skip


def silence(name: str, *matchers: str, end: int = 1000) -> Silence:
    return Silence(name, tuple(map(parse_matcher, matchers)), 0, end, "anna", "x", 0)


NAMES = st.sampled_from(["job", "instance", "pod", "severity"])
VALUES = st.sampled_from(["", "node", "web-1", "web-2", "WEB-1", "ü", "warning"])
PATTERNS = st.sampled_from(["web-.*", "web-[12]|ü", ".*", ".+", "", "(?i)WEB-1", "n?ode|Ü", "[^w].*"])
MATCHERS = st.one_of(
    st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), VALUES),
    st.builds(Matcher, NAMES, st.sampled_from(["=~", "!~"]), PATTERNS),
)


@given(st.lists(st.lists(MATCHERS, min_size=1, max_size=3), max_size=40), VALUES, st.none() | VALUES)
def test_the_index_gives_what_looking_through_all_silences_gives(
    matchers: list[list[Matcher]], instance: str, pod: str | None
) -> None:
    silences = [Silence(str(i), tuple(m), 0, 1000 - i, "anna", "x", 0) for i, m in enumerate(matchers)]
    labels = {"instance": instance, **({"pod": pod} if pod is not None else {})}
    alert = replace(ALERT, labels=labels)
    expected = next((s for s in silences if s.matches(alert)), None)
    assert SilenceIndex(silences).silence_of(alert, 5) == expected


def test_of_several_silences_the_one_that_ends_last_is_named() -> None:
    index = SilenceIndex([silence("a", "job=node", end=20), silence("b", "instance=~web-.*", end=30)])
    assert [found and found.id for found in (index.silence_of(ALERT, at) for at in (10, 40))] == ["b", None]


def test_thousands_of_silences_are_held_against_ten_thousand_alerts_within_seconds() -> None:
    silences = [silence(f"e{i}", "job=node", f"instance=web-{i}") for i in range(2000)]
    silences += [silence(f"p{i}", "job=node", f"instance=~ip-10-{i}-.*") for i in range(2000)]
    silences += [
        replace(silence(f"r{i}", f"instance=db-{i}"), rule="FREQ=DAILY", duration_s=3600.0, end_ms=10**10)
        for i in range(1000)
    ]
    alerts = [replace(ALERT, labels={"instance": f"ip-10-{i}-7.internal:9100"}) for i in range(4000)]
    alerts += [replace(ALERT, labels={"instance": f"web-{i}"}) for i in range(4000)]
    alerts += [replace(ALERT, labels={"instance": f"db-{i}"}) for i in range(2000)]
    began = time.perf_counter()
    index = SilenceIndex(silences)
    made = time.perf_counter()
    held = sum(index.silence_of(alert, 10) is not None for alert in alerts)
    assert held == 2000 + 2000 + 1000
    assert made - began < 10
    assert time.perf_counter() - made < 5


def test_a_silence_of_an_older_version_that_is_refused_today_holds_nothing_and_others_do() -> None:
    lookahead = Silence("old", (Matcher("instance", "=~", "web-1(?!0)"),), 0, 1000, "anna", "x", 0)
    easter = replace(silence("older", "job=node"), rule="FREQ=YEARLY;BYEASTER=0", duration_s=60.0)
    index = SilenceIndex([lookahead, easter, silence("new", "instance=web-1", end=10)])
    assert [found and found.id for found in (index.silence_of(ALERT, at) for at in (5, 50))] == ["new", None]
    assert [(s.id, why.split("; ")[0]) for s, why in index.unusable] == [
        ("old", "'web-1(?!0)' is not a regular expression: invalid perl operator: (?!"),
        ("older", "'FREQ=YEARLY;BYEASTER=0' is not a valid RRULE for a silence: 'BYEASTER=0' is none of its parts"),
    ]
    assert (lookahead.as_json(5)["state"], "lookahead" in lookahead.as_json(5)["problem"]) == ("unusable", True)
