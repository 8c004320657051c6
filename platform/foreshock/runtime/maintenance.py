"""Maintenance by the alert actor beside scoring: silences without rows, reminders, retention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.identity.repository import IdentityRepository
from foreshock.logs import get_logger
from foreshock.store.retention import Retention, delete_expired
from foreshock.store.scope import Scope, within
from foreshock_pipelines.jobfile import Job

__all__ = ["Maintenance"]

log = get_logger("alerts")
EVERY_MS = 5_000
QUIET_MS = 60_000
"""A job without a pass for so long has its silences looked after here; else its passes do, in the time of rows."""
DAY_MS = 86_400_000
KEEP_SESSIONS_MS = 30 * DAY_MS
"""Sessions that ended, and failed logins, are kept for so long: a refresh token that comes again is known."""


@dataclass
class Maintenance:
    """Call `run` often; it does what is due."""

    engine: AlertPipeline
    keep: Retention = field(default_factory=Retention)
    _next: int = 0
    _tidied: int = 0

    def run(self, jobs: Mapping[str, Job], passed: Mapping[str, int], now_ms: int) -> None:
        """Do what is due.

        Parameters
        ----------
        passed
            Job to when its last pass was taken, ms since the epoch.
        """
        if self._next - EVERY_MS <= now_ms < self._next:  # before: the clock has been set back
            return
        self._next = now_ms + EVERY_MS
        for name, job in jobs.items():
            if now_ms - passed.get(name, 0) > QUIET_MS:
                with within(Scope(job.tenant)):
                    self.engine.apply_silences(job, now_ms)
        for tenant in {job.tenant for job in jobs.values()}:
            with within(Scope(tenant)):
                self._remind([name for name, job in jobs.items() if job.tenant == tenant], now_ms)
        self._delete_expired(now_ms)

    def keep_for(self, keep: Retention) -> None:
        """Keep things for another time from now on; what is too old by it is deleted at the next call of `run`."""
        self.keep, self._tidied = keep, -DAY_MS

    def _remind(self, jobs: list[str], now_ms: int) -> None:
        publisher = self.engine.publisher
        for silence in publisher.unexpired_silences(now_ms).silences:
            if silence.reminded_ms is None and silence.remind_at() <= now_ms:
                with self.engine.store.begin() as c:
                    publisher.remind(c, silence, jobs, now_ms)

    def _delete_expired(self, now_ms: int) -> None:
        """A batch each time until nothing old is left, then not for a day."""
        if now_ms - self._tidied < DAY_MS:
            return
        store = self.engine.store
        gone = delete_expired(store, self.keep, now_ms)
        with store.begin() as c:
            gone += IdentityRepository(store).drop_old_sessions(c, now_ms - KEEP_SESSIONS_MS)
        if gone:
            log.info("expired rows deleted", rows=gone)
        else:
            self._tidied = now_ms
