"""Silences that somebody who may see some jobs may see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from foreshock.silences.parsing import parse_silence
from foreshock.silences.visibility import concerns, names_of

KNOWN = ("web-1", "web-2", "db-1")


@pytest.mark.parametrize(
    ("matchers", "patterns", "seen"),
    [
        (["job=web-1"], ["web-*"], True),
        (["job=db-1"], ["web-*"], False),
        (["job=web-9"], ["web-*"], True),  # a job that is not there any more
        (["instance=host-1"], ["web-*"], True),  # whatever the job
        (["job!=db-1"], ["web-*"], True),
        (["job!=web-1"], ["web-1"], False),
        (['job=~"db-.*"'], ["web-*"], False),
        (['job=~"db-.*|web-2"'], ["web-*"], True),
        (['job!~"web-.*"'], ["web-*"], False),
        (['job=~"web-.*"', "job!=web-1"], ["web-1"], False),
        (['job=~"api-.*"'], ["api-*"], True),  # of no job that is known
        (["job=db-1"], ["web-*", "db-*"], True),
    ],
)
def test_a_silence_is_seen_if_it_could_hold_back_alerts_of_ones_jobs(
    matchers: list[str], patterns: list[str], seen: bool
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    silence = parse_silence([*matchers, "kind=anomaly"], owner="anna", reason="upgrade", duration="1h", now=now)
    own = [name for name in KNOWN if any(name.startswith(pattern.rstrip("*")) for pattern in patterns)]
    assert concerns(silence, names_of(patterns, own, silence)) is seen
