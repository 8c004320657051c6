from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from foreshock_pipelines.jobfile.cron import next_due, parse_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("0 3 * * *", "2026-03-02 03:00", "2026-03-03 03:00"),
        ("0 4 * * 0", "2026-03-02 00:00", "2026-03-08 04:00"),  # a Sunday, not APScheduler's Monday
        ("0 4 * * 7", "2026-03-02 00:00", "2026-03-08 04:00"),
        ("0 4 * * 5-1", "2026-03-03 00:00", "2026-03-06 04:00"),  # Friday to Monday
        ("*/15 * * * 1-5", "2026-03-06 23:50", "2026-03-09 00:00"),
    ],
)
def test_a_cron_line_is_due_as_crontab_says(cron: str, after: str, due: str) -> None:
    assert next_due(parse_schedule(cron), at(after)) == at(due)


def test_a_daily_run_keeps_its_local_hour_over_the_change_to_summer_time() -> None:
    schedule = parse_schedule("0 3 * * *", "Europe/Berlin")
    before = next_due(schedule, at("2026-03-27 12:00"))
    after = next_due(schedule, at("2026-03-29 12:00"))
    assert (before, after) == (at("2026-03-28 02:00"), at("2026-03-30 01:00"))


def test_an_interval_counts_from_the_run_before() -> None:
    assert next_due(parse_schedule("90m"), at("2026-03-02 00:00")) == at("2026-03-02 01:30")
    assert parse_schedule("1h") == timedelta(hours=1)


@pytest.mark.parametrize("wrong", ["99 3 * * *", "0 3 * * 9", "sometimes", "0 3 * *", "0s"])
def test_what_is_neither_cron_nor_interval_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError):
        parse_schedule(wrong)
