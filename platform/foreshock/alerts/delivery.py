"""Empties the outbox: at least once, in order per notifier, with growing pauses while a receiver is down."""

from __future__ import annotations

import random
from collections.abc import Iterable

from foreshock.logs import get_logger
from foreshock.notify import Notifier, make_notifier, notifier_id
from foreshock.store.store import Store
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import Job

__all__ = ["Deliverer"]

log = get_logger("delivery")
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0


class Deliverer:
    """Sends what is due.

    Parameters
    ----------
    jobs
        Whose notifiers there are; an entry for a notifier that no job names any more is dropped with a log.
    """

    def __init__(self, store: Store, jobs: Iterable[Job]) -> None:
        self.store = store
        self.notifiers: dict[str, Notifier] = {}
        for job in jobs:
            self.watch(job)

    def watch(self, job: Job) -> None:
        """Take up the notifiers of a job."""
        for config in job.notify:
            self.notifiers[notifier_id(job.name, config)] = make_notifier(config)

    def run(self, now_ms: int) -> int:
        """Send what is due; gives how much was delivered. A failure holds back later ones to that receiver."""
        delivered = 0
        down: set[str] = set()
        for item in self.store.unsent():
            if item.notifier in down or item.due_ms > now_ms:
                down.add(item.notifier)  # what was posted later must not overtake
                continue
            notifier = self.notifiers.get(item.notifier)
            if notifier is None:
                log.warning("notifier is gone", notifier=item.notifier, alert=item.payload.get("id"))
                self.store.sent(item.seq, now_ms)
                continue
            try:
                notifier.send(item.payload)
            except ForeshockError as exc:
                down.add(item.notifier)
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**item.attempts) * random.uniform(0.5, 1.0)
                log.warning("not delivered", notifier=item.notifier, error=str(exc), attempts=item.attempts + 1)
                self.store.not_sent(item.seq, str(exc), now_ms + round(pause * 1000))
            else:
                self.store.sent(item.seq, now_ms)
                delivered += 1
        return delivered
