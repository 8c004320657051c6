"""Runs the queues of notifiers beside each other: one thread for each that has something to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from foreshock.logs import get_logger
from foreshock.notify.queue import NotifierQueue

__all__ = ["WorkerPool"]

log = get_logger("delivery")
THREADS = 16
"""Notifiers that send at the same time. Those that fail get at most half of them."""


@dataclass(slots=True)
class _Turn:
    """A thread that runs a queue; `hangs`: it no longer counts as one of `THREADS`."""

    queue: NotifierQueue
    now_ms: int
    done: bool = False
    hangs: bool = False


class WorkerPool:
    """Gives turns to queues, never two at a time to one notifier.

    Parameters
    ----------
    deadline
        Seconds after which one call of a notifier counts as hanging, if its `timeout` asks for no more: it keeps
        its own queue alone.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._turns: dict[str, _Turn] = {}
        self._served: dict[str, float] = {}
        self._ended = threading.Condition()

    def run(self, queues: Iterable[NotifierQueue], now_ms: int, wait: float) -> None:
        """Give each queue a turn, the one first that had one the longest time ago.

        Parameters
        ----------
        wait
            Seconds after which those that still run are left to themselves, and those that got no thread to the
            next call.
        """
        until = time.monotonic() + wait
        todo = sorted(queues, key=lambda queue: self._served.get(queue.name, 0.0))
        while True:
            self._look_after()
            todo = [queue for queue in todo if not self._start(queue, now_ms)]
            left = until - time.monotonic()
            with self._ended:
                if left <= 0 or not (todo or self._running()):
                    return
                self._ended.wait(min(left, self.deadline / 10))

    def hangs(self, queue: NotifierQueue) -> bool:
        turn = self._turns.get(queue.name)
        return turn is not None and turn.hangs and turn.queue is queue

    def _start(self, queue: NotifierQueue, now_ms: int) -> bool:
        """Begin a turn, unless one is under way; False if there is no thread for it."""
        turn = self._turns.get(queue.name)
        # a queue that hangs may be followed by one of the same notifier with another configuration
        if turn is not None and not turn.done and not (turn.hangs and turn.queue is not queue):
            return True
        if not self._has_room(failing=queue.sender.failures > 0):
            return False
        turn = self._turns[queue.name] = _Turn(queue, now_ms)
        self._served[queue.name] = time.monotonic()
        # a daemon: what hangs in code of others must not keep the process from ending
        threading.Thread(target=self._run, args=(turn,), name=f"notify {queue.name}", daemon=True).start()
        return True

    def _run(self, turn: _Turn) -> None:
        try:
            turn.queue.turn(turn.now_ms)
        except Exception as exc:  # the end of a thread; what is not delivered waits in the store
            log.warning("delivery failed", notifier=turn.queue.name, error=f"{type(exc).__name__}: {exc}")
        finally:
            with self._ended:
                turn.done = True
                self._ended.notify_all()

    def _running(self) -> list[_Turn]:
        return [turn for turn in self._turns.values() if not turn.done and not turn.hangs]

    def _has_room(self, *, failing: bool) -> bool:
        running = self._running()
        if failing and sum(turn.queue.sender.failures > 0 for turn in running) >= THREADS // 2:
            return False
        return len(running) < THREADS

    def _look_after(self) -> None:
        """Note, and say once, which notifiers hang."""
        for name, turn in self._turns.items():
            sender = turn.queue.sender
            limit = max(self.deadline, 2 * sender.config.timeout.total_seconds())
            hangs = not turn.done and sender.busy_seconds > limit
            if hangs and not turn.hangs:
                log.error("notifier hangs; what is for it waits until it returns", notifier=name)
                turn.queue.counts.count("failed")
            turn.hangs = hangs
