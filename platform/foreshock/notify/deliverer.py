"""Empties the outbox: at least once, in order per notifier, each notifier in a thread of its own.

A process that dies, or two that run side by side for a moment, may send a notification twice; its
``Idempotency-Key`` is the same both times.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from foreshock.events.model import DEFAULT_TENANT
from foreshock.logs import get_logger
from foreshock.notify import Notifier, Sender, make_notifier, notifier_ids
from foreshock.notify.channels.queue import PREFIX, ChannelQueue, channel_of_queue, queue_of_channel
from foreshock.notify.outbox import EVERY, Outbox
from foreshock.notify.queue import NotifierQueue, Payload, Record
from foreshock.notify.worker_pool import WorkerPool
from foreshock.store.store import Store
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import Job, NotifierConfig

__all__ = ["Deliverer"]

log = get_logger("delivery")
DEADLINE = 60.0
"""Seconds that one call of a notifier may take; far above the limit of an HTTP request."""
GONE_AFTER_MS = 600_000
"""Age at which an entry for an unknown notifier or job is dropped; a new one may be about to be made known."""
LONGEST_KEY = 160
RESULTS = ("sent", "failed", "repeated", "dropped")


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counters of one notifier."""

    counter: Counter
    job: str
    kind: str

    def count(self, result: str, number: int = 1) -> None:
        self.counter.labels(self.job, self.kind, result).inc(number)


class Deliverer:
    """Sends what is due; a notifier that is slow, down or broken delays no other.

    Parameters
    ----------
    jobs
        Whose notifiers there are; what is for one that no job names any more is dropped with a log.
    live
        Gives, of a job at a time in ms, what is sent again to receivers that forget; default nothing.
    record
        See `NotifierQueue`; default: nowhere.
    make
        Makes the notifier of a config.
    deadline
        Seconds after which a call of a notifier counts as hanging.
    """

    def __init__(
        self,
        store: Store,
        jobs: Iterable[Job],
        *,
        live: Callable[[str, int], list[Payload]] = lambda job, now_ms: [],
        record: Record = lambda c, subject, event, why, at_ms: None,
        make: Callable[[NotifierConfig], Notifier] = make_notifier,
        deadline: float = DEADLINE,
    ) -> None:
        self.store = store
        self.outbox = Outbox(store)
        self._live, self._record = live, record
        self.make = make
        self.pool = WorkerPool(deadline)
        self.queues: dict[str, NotifierQueue] = {}
        self.receivers: dict[str, list[str]] = {}
        self.counted = CollectorRegistry()
        names = ["job", "notifier"]
        self._count = Counter(
            "foreshock_notifications", "Attempts to deliver, by what came of them.", [*names, "result"],
            registry=self.counted,
        )  # fmt: skip
        self._failing = Gauge(
            "foreshock_notifiers_failing", "Notifiers whose last attempt failed, or that hang.", names,
            registry=self.counted,
        )  # fmt: skip
        self._measured: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        for job in jobs:
            self.watch(job)

    def watch(self, job: Job) -> None:
        """Take up the notifiers of a job, in place of those that it had; none of their code runs here."""
        named = notifier_ids(job.name, job.notify)
        everyone = f"{job.name}/{EVERY}"
        with self._lock:
            for name in set(self.receivers.get(everyone, [])) - set(named):
                self.queues[name].retired = True  # what waits for it is still sent
            for name, config in named.items():
                known = self.queues.get(name)
                if known is None or known.retired or known.sender.config != config:
                    self.queues[name] = self._queue(job.name, name, config)
            self.receivers[everyone] = list(named)

    def watch_channels(
        self,
        configs: Mapping[str, Any],
        make: Callable[[str, Any], Any],
        live: Callable[[str, int], list[Payload]] = lambda channel, now_ms: [],
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        """Take up the channels of a tenant's notifications file, in place of those that there were.

        Parameters
        ----------
        make
            Makes the channel of a name and a config.
        live
            Gives, of a channel at a time in ms, what is sent again to receivers that forget.
        """
        wanted = {queue_of_channel(name, tenant): config for name, config in configs.items()}
        with self._lock:
            for name, queue in self.queues.items():
                if isinstance(queue, ChannelQueue) and queue.tenant == tenant and name not in wanted:
                    queue.retired = True
            for name, config in wanted.items():
                known = self.queues.get(name)
                if known is None or known.retired or known.sender.config != config:
                    self.queues[name] = self._channel(name, config, make, live)

    def run(self, now_ms: int, wait: float = 5.0) -> int:
        """Send what is due.

        Parameters
        ----------
        wait
            Seconds after which notifiers that are still sending are left to themselves.

        Returns
        -------
        How many notifications were delivered since the last call.
        """
        for name in self.outbox.waiting():
            try:
                self._address(name, now_ms)
            except ForeshockError as exc:  # what cannot be addressed holds up no other job
                log.warning("not addressed to its notifiers", to=name, error=str(exc))
        waiting = set(self.outbox.waiting())
        with self._lock:
            for name in [name for name, queue in self.queues.items() if queue.retired and name not in waiting]:
                del self.queues[name]
            queues = list(self.queues.values())
        self.pool.run([q for q in queues if q.has_work(now_ms, q.name in waiting)], now_ms, wait)
        self._measure(queues)
        return sum(queue.take_delivered() for queue in queues)

    def _address(self, name: str, now_ms: int) -> None:
        """Make what was posted for all notifiers of a job one entry for each, in the order of posting."""
        with self._lock:
            receivers, known = self.receivers.get(name), name in self.queues
        if receivers is None:
            if not known:
                self._drop(name, now_ms)
            return
        for item in self.outbox.unsent(name):
            with self.store.begin() as c:
                for receiver in receivers:
                    self.outbox.post(c, _key(item.key, receiver), receiver, item.payload, item.due_ms)
                self.outbox.settle(c, item.seq, now_ms)

    def _drop(self, name: str, now_ms: int) -> None:
        """Drop what is for a notifier, or a job, that is gone."""
        for item in self.outbox.unsent(name):
            if now_ms - item.due_ms > GONE_AFTER_MS:
                log.warning("notifier is gone", notifier=name, alert=item.payload.get("id"))
                with self.store.begin() as c:
                    self.outbox.settle(c, item.seq, now_ms, "the notifier is gone")

    def _queue(self, job: str, name: str, config: NotifierConfig) -> NotifierQueue:
        counts = _Counts(self._count, job, config.type)
        for result in RESULTS:
            counts.count(result, 0)

        def live(now_ms: int) -> list[Payload]:
            return self._live(job, now_ms)

        return NotifierQueue(name, Sender(config, self.make), self.store, counts, live, self._record)

    def _channel(
        self, name: str, config: Any, make: Callable[[str, Any], Any], live: Callable[[str, int], list[Payload]]
    ) -> ChannelQueue:
        short = channel_of_queue(name)
        counts = _Counts(self._count, "", name.removeprefix(PREFIX))
        for result in RESULTS:
            counts.count(result, 0)
        sender = Sender(config, lambda config: make(short, config))

        def alive(now_ms: int) -> list[Payload]:
            return live(short, now_ms)

        return ChannelQueue(name, sender, self.store, counts, alive, self._record, config)

    def _measure(self, queues: Iterable[NotifierQueue]) -> None:
        failing: Tally[tuple[str, str]] = Tally()
        for queue in queues:
            bad = queue.sender.failures > 0 or self.pool.hangs(queue)
            labels = (queue.name.partition("/")[0], queue.sender.config.type)
            failing[("", queue.name.removeprefix(PREFIX)) if isinstance(queue, ChannelQueue) else labels] += bad
        for labels in self._measured - set(failing):
            self._failing.remove(*labels)
        for labels, number in failing.items():
            self._failing.labels(*labels).set(number)
        self._measured = set(failing)


def _key(posted: str, name: str) -> str:
    """Key of the entry for one notifier: always the same, and not longer than the store allows."""
    key = f"{posted}/{name}"
    if len(key) <= LONGEST_KEY:
        return key
    subject = posted.partition("/")[0]
    return f"{subject}/{hashlib.sha256(key.encode()).hexdigest()}"
