from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.times import parse_time

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        (" now ", NOW),
        ("-7d", NOW - timedelta(days=7)),
        ("-1h30m", NOW - timedelta(minutes=90)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T06:00:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01T06:00:00Z", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        ("2026-03-01T06:00:00+02:00", datetime(2026, 3, 1, 4, tzinfo=UTC)),
        ("1772388060", datetime.fromtimestamp(1772388060, UTC)),
        ("1772388060.5", datetime.fromtimestamp(1772388060.5, UTC)),
    ],
)
def test_times_are_read_in_every_form(text: str, time: datetime) -> None:
    assert parse_time(text, NOW) == time


def test_a_datetime_passes_and_is_utc_unless_it_says_otherwise() -> None:
    east = datetime(2026, 3, 1, 6, tzinfo=timezone(timedelta(hours=2)))
    assert parse_time(east, NOW) is east
    assert parse_time(datetime(2026, 3, 1), NOW) == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "-7 days", "2026-13-01", "-", "", "99999999999999999999", "-9999999y", "²²²²²²²²²²"]
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a time; write 'now', '-14d', '2026-03-01'.*epoch seconds"):
        parse_time(text, NOW)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "9999-12-31", "99999999999", "-99y200d", datetime.min, datetime.max]
)
def test_a_time_that_a_history_cannot_be_taken_from_is_out_of_range(text: str | datetime) -> None:
    now = datetime(1999, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigError, match="out of range; write a time from 1900 to 2200"):
        parse_time(text, now)
