"""Empties the outbox: at least once, in order per notifier, with growing pauses while a receiver is down."""

from __future__ import annotations

import random
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from foreshock.alerts.announce import EVERY
from foreshock.logs import get_logger
from foreshock.notify import Notifier, make_notifier, notifier_id
from foreshock.store.store import Store
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import Job

__all__ = ["Deliverer"]

log = get_logger("delivery")
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
GONE_AFTER_MS = 600_000
"""What is for a notifier, or a job, that is not known is dropped when it is older than this; a new one may be about
to be made known."""


class Deliverer:
    """Sends what is due.

    Parameters
    ----------
    jobs
        Whose notifiers there are; what is for one that no job names any more is dropped with a log.
    """

    def __init__(self, store: Store, jobs: Iterable[Job]) -> None:
        self.store = store
        self.notifiers: dict[str, Notifier] = {}
        self.receivers: dict[str, list[str]] = {}
        self.counted = CollectorRegistry()
        names = ["job", "notifier", "result"]
        self._count = Counter(
            "foreshock_notifications", "Attempts to deliver, by what came of them.", names, registry=self.counted
        )
        for job in jobs:
            self.watch(job)

    def watch(self, job: Job) -> None:
        """Take up the notifiers of a job, in place of those that it had."""
        made = {notifier_id(job.name, config): make_notifier(config) for config in job.notify}
        self.notifiers.update(made)
        self.receivers[f"{job.name}/{EVERY}"] = list(made)
        for config in job.notify:
            for result in ("sent", "failed"):
                self._count.labels(job.name, config.type, result)

    def run(self, now_ms: int) -> int:
        """Send what is due; gives how much was delivered. A failure holds back later ones to that receiver only."""
        for everyone in self.store.waiting():
            if everyone in self.receivers:
                self._address(everyone, now_ms)
        return sum(self._send(name, now_ms) for name in self.store.waiting())

    def _address(self, everyone: str, now_ms: int) -> None:
        """Make what was posted for all notifiers of a job one entry for each, in the order of posting."""
        for item in self.store.unsent(everyone):
            with self.store.begin() as c:
                for name in self.receivers[everyone]:
                    self.store.post(c, f"{item.key}/{name}", name, item.payload, item.due_ms)
                self.store.settle(c, item.seq, now_ms)

    def _send(self, name: str, now_ms: int) -> int:
        """Send to one notifier, in order, up to the first that is not due or not delivered."""
        notifier = self.notifiers.get(name)
        delivered = 0
        for item in self.store.unsent(name):
            if notifier is None:
                if now_ms - item.due_ms > GONE_AFTER_MS:
                    log.warning("notifier is gone", notifier=name, alert=item.payload.get("id"))
                    self.store.sent(item.seq, now_ms)
                continue
            if item.due_ms > now_ms:
                break
            try:
                notifier.send(item.payload)
            except ForeshockError as exc:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**item.attempts) * random.uniform(0.5, 1.0)
                log.warning("not delivered", notifier=name, error=str(exc), attempts=item.attempts + 1)
                self._counter(name, "failed").inc()
                self.store.not_sent(item.seq, str(exc), now_ms + round(pause * 1000))
                break
            self.store.sent(item.seq, now_ms)
            self._counter(name, "sent").inc()
            delivered += 1
        return delivered

    def _counter(self, notifier: str, result: str) -> Counter:
        job, kind, _ = notifier.split("/")
        return self._count.labels(job, kind, result)
