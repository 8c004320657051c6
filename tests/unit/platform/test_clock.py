from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from foreshock.clock import ReplayClock

START = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_replay_jumps_to_its_end_and_then_runs_like_the_real_clock() -> None:
    clock = ReplayClock(START, START + timedelta(hours=1))
    clock.sleep(1800)
    assert clock.now() == START + timedelta(minutes=30)
    assert not clock.done
    clock.sleep(3600)
    assert clock.done
    stop = threading.Event()
    stop.set()
    clock.sleep(3600, stop)  # returns at once: the real clock waits for `stop`
    assert START + timedelta(hours=1) <= clock.now() < START + timedelta(hours=1, minutes=5)


def test_a_replay_with_a_speed_waits_for_its_turn() -> None:
    began = time.monotonic()
    clock = ReplayClock(START, START + timedelta(hours=1), speed=36_000)
    clock.sleep(1800)
    assert clock.now() == START + timedelta(minutes=30)
    assert time.monotonic() - began >= 1800 / 36_000
