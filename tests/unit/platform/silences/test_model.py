"""Which alerts a silence holds back, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from foreshock.alerts.model import Alert
from foreshock.silences.matchers import parse_matcher
from foreshock.silences.model import Silence
from foreshock.silences.parsing import check_silence
from foreshock_models.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def silence(*matchers: str, **more: Any) -> Silence:
    fields: dict[str, Any] = {
        "start_ms": ms("2026-03-01T00:00"), "end_ms": ms("2026-03-02T00:00"), "owner": "anna",
        "reason": "disk swap", "created_ms": ms("2026-03-01T00:00"), **more,
    }  # fmt: skip
    return Silence("s-1", tuple(map(parse_matcher, matchers or ("job=node",))), **fields)


ALERT = Alert(
    id="a", job="node", entity="web-1", labels={"instance": "web-1"}, kind="anomaly", state="open",
    severity="warning", opened_ms=0, updated_ms=0, score=1.2, peak=1.2, summary="", causes=[],
)  # fmt: skip


@pytest.mark.parametrize(
    ("matcher", "holds"),
    [
        ("instance=web-1", True),
        ('instance="web-1"', True),
        ("instance=web", False),
        ("instance!=web-2", True),
        ("instance=~web-.*", True),
        ("instance=~web", False),
        ('instance=~"web-[0-9]|db"', True),
        (r'instance=~"web-\d"', True),
        ("instance!~db-.*", True),
        ("instance!~web-.*", False),
        ("pod=", True),
        ("pod!=x", True),
        ("job=node", True),
        ("kind=absent", False),
        ("severity=warning", True),
    ],
)
def test_matchers_are_those_of_alertmanager(matcher: str, holds: bool) -> None:
    assert silence(matcher).matches(ALERT) is holds


@pytest.mark.parametrize(
    ("matcher", "holds"),
    [
        ("job=node", True),
        ("job=web", False),
        ("exported_job=web", True),
        ("severity=warning", True),
        ("exported_severity=gold", True),
    ],
)
def test_a_label_of_the_entity_called_as_one_of_foreshocks_is_matched_as_exported(
    matcher: str, holds: bool
) -> None:
    alert = replace(ALERT, labels={"job": "web", "severity": "gold", "instance": "web-1"})
    assert silence(matcher).matches(alert) is holds


def test_rows_are_left_out_of_training_by_the_exported_label() -> None:
    held = silence("exported_job=web", exclude=True)
    (exclusion,) = held.exclusions("node", ["job", "instance"], held.start_ms, held.end_ms)
    assert exclusion.where is not None
    assert exclusion.where("job=web,instance=web-1")
    assert not exclusion.where("job=node,instance=web-1")


def test_all_matchers_of_a_silence_must_match() -> None:
    assert silence("job=node", "instance=~web-.*").matches(ALERT)
    assert not silence("job=node", "instance=~db-.*").matches(ALERT)


@pytest.mark.parametrize("text", ['a=b"c', "=x", "instance", 'instance=~"("', "a b=c"])
def test_a_wrong_matcher_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a matcher|not a regular expression"):
        parse_matcher(text)


def test_a_matcher_is_written_as_it_is_read() -> None:
    for text in ('instance="a\\"b"', 'instance=~"web-\\\\d"', 'pod!=""'):
        matcher = parse_matcher(text)
        assert parse_matcher(str(matcher)) == matcher


def test_a_one_off_silence_covers_from_its_start_to_just_before_its_end() -> None:
    s = silence()
    times = [s.start_ms - 1, s.start_ms, s.end_ms - 1, s.end_ms]
    assert [s.is_active(t) for t in times] == [False, True, True, False]


def weekly(local: str, start: str, end: str) -> Silence:
    """Sundays at that local time in Berlin, for an hour."""
    return check_silence(
        silence(
            start_ms=ms(f"{start}T{local}", "Europe/Berlin"), end_ms=ms(f"{end}T00:00"),
            rule="FREQ=WEEKLY;BYDAY=SU", duration_s=3600.0, timezone="Europe/Berlin",
        )
    )  # fmt: skip


def utc(windows: list[tuple[int, int]]) -> list[str]:
    return [
        f"{datetime.fromtimestamp(a / 1000, ZoneInfo('UTC')):%m-%d %H:%M}-"
        f"{datetime.fromtimestamp(b / 1000, ZoneInfo('UTC')):%H:%M}"
        for a, b in windows
    ]


def test_a_weekly_window_keeps_its_local_time_when_summer_begins() -> None:
    """29 March 2026: 02:30 is skipped in Berlin, and counts with the offset from before."""
    s = weekly("02:30", "2026-03-22", "2026-04-06")
    assert utc(s.windows(s.start_ms, s.end_ms)) == ["03-22 01:30-02:30", "03-29 01:30-02:30", "04-05 00:30-01:30"]
    assert s.is_active(ms("2026-03-29T03:45", "Europe/Berlin"))
    assert not s.is_active(ms("2026-03-29T01:45", "Europe/Berlin"))


def test_a_weekly_window_keeps_its_local_time_when_summer_ends() -> None:
    """25 October 2026: 02:30 comes twice in Berlin; the first counts, and the window lasts an hour."""
    s = weekly("02:30", "2026-10-18", "2026-11-02")
    assert utc(s.windows(s.start_ms, s.end_ms)) == ["10-18 00:30-01:30", "10-25 00:30-01:30", "11-01 01:30-02:30"]


def test_a_recurring_window_is_found_from_any_moment_in_it_and_from_no_other() -> None:
    s = weekly("02:30", "2026-03-01", "2026-12-31")
    for start, end in s.windows(s.start_ms, s.end_ms):
        assert [s.is_active(t) for t in (start - 1, start, end - 1, end)] == [False, True, True, False]


def test_windows_end_with_the_silence() -> None:
    s = silence(rule="FREQ=DAILY", duration_s=7200.0, end_ms=ms("2026-03-02T01:00"))
    assert utc(s.windows(s.start_ms, s.end_ms)) == ["03-01 00:00-02:00", "03-02 00:00-01:00"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"end_ms": ms("2026-03-01T00:00")}, "not after its start"),
        ({"matchers": (parse_matcher("pod=~.*"),)}, "every alert"),
        ({"reason": " "}, "owner and a reason"),
        ({"rule": "FREQ=DAILY"}, "duration"),
        ({"rule": "DAILY", "duration_s": 60.0}, "none of its parts"),
        ({"rule": "FREQ=DAILY;BYDAY=XX", "duration_s": 60.0}, "not a valid RRULE"),
        ({"rule": "FREQ=DAILY;UNTIL=20260101T000000Z", "duration_s": 60.0}, "own start and end"),
        ({"rule": "FREQ=YEARLY;BYMONTH=7", "duration_s": 60.0}, "no window"),
        ({"timezone": "Berlin"}, "not a known time zone"),
        ({"exclude": True, "matchers": (parse_matcher("kind=anomaly"),)}, "rows have no kind"),
    ],
)
def test_a_silence_that_cannot_be_is_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_silence(replace(silence(), **wrong))


def test_the_rows_of_a_silence_leave_the_training_data_for_its_entities_only() -> None:
    s = silence("job=node", "instance=~web-.*", exclude=True)
    (rule,) = s.exclusions("node", ["instance"], 0, s.end_ms + 1)
    assert (rule.start, rule.end) == (s.start_ms, s.end_ms - 1)
    assert [rule.covers(e) for e in ("web-1", "db-1")] == [True, False]
    assert s.exclusions("other", ["instance"], 0, s.end_ms + 1) == []
    assert replace(s, exclude=False).exclusions("node", ["instance"], 0, s.end_ms + 1) == []


def test_a_reminder_comes_at_nine_tenths_of_a_silence_and_at_most_a_day_before_its_end() -> None:
    assert silence(end_ms=ms("2026-03-01T10:00")).remind_at() == ms("2026-03-01T09:00")
    assert silence(end_ms=ms("2026-06-01T00:00")).remind_at() == ms("2026-05-31T00:00")
