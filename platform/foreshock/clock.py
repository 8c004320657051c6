"""The time, as the platform sees it: the real one, or one that replays the past quickly."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ReplayClock", "SystemClock", "iso"]


class Clock(Protocol):
    """Gives the time and waits for it."""

    def now(self) -> datetime:
        """The present, in UTC."""

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        """Wait for `seconds` of this clock, or until `stop` is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        if stop is None:
            time.sleep(max(0.0, seconds))
        else:
            stop.wait(max(0.0, seconds))


class ReplayClock:
    """A clock that jumps: a wait moves it forward at once, up to `end`; then it runs as the real one does.

    Parameters
    ----------
    start, end
        First and last moment of the replay.
    speed
        Be at most so many times as fast as the real one; None: as fast as what it waits for.
    """

    def __init__(self, start: datetime, end: datetime, speed: float | None = None) -> None:
        self._start = self._now = start
        self.end = end
        self.speed = speed
        self._began = time.monotonic()
        self._real: float | None = None
        self._lock = threading.Lock()

    @property
    def done(self) -> bool:
        """True once the end was reached."""
        return self._now >= self.end

    def now(self) -> datetime:
        if self._real is not None:
            return self.end + timedelta(seconds=time.monotonic() - self._real)
        return self._now

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        with self._lock:
            if not self.done:
                self._now = min(self.end, self._now + timedelta(seconds=seconds))
                if self.speed is not None:
                    due = self._began + (self._now - self._start).total_seconds() / self.speed
                    time.sleep(max(0.0, due - time.monotonic()))
                if self.done:
                    self._real = time.monotonic()
                return
        SystemClock().sleep(seconds, stop)


def iso(ms: int, precision: str = "seconds") -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
