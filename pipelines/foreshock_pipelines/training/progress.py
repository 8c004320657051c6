"""Progress of fits that run in other processes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from foreshock_models.detectors import Detector, NetworkDetector
from foreshock_pipelines.progress import StepProgress

__all__ = ["FitProgress", "report_epochs"]

POLL_EVERY = 0.25
"""Seconds."""


class FitProgress:
    """Waits for fits, and reports to `steps` how many have ended and how many epochs each network has done.

    Networks report their epochs to a small actor. No fit waits for it: if it dies, the progress bar stands still.
    """

    def __init__(self, steps: StepProgress | None, total: int) -> None:
        import ray

        self._steps, self._total = steps, total
        self._epochs: dict[str, int] = {}
        self._ended: set[str] = set()
        self.counter: Any = None
        if steps is not None:
            actor: Any = ray.remote(num_cpus=0)(_EpochCounter)
            self.counter = actor.remote()
            self._pending = self.counter.read.remote()

    def next(self, waiting: Collection[Any]) -> Any:
        """Return the first of these references that is ready."""
        import ray

        while True:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=None if self._steps is None else POLL_EVERY)
            if ready:
                return ready[0]
            self._report()

    def end(self, name: str) -> None:
        """Report the end of a fit; a network often stops early, before its last epoch."""
        self._ended.add(name)
        if self._steps is not None:
            if (total := self._epochs.get(name)) is not None:
                self._steps(_stage(name), total, total)
            self._steps("fitted", len(self._ended), self._total)

    def _report(self) -> None:
        import ray

        ready, _ = ray.wait([self._pending], timeout=0)
        if not ready or self._steps is None:
            return
        try:
            found = ray.get(self._pending)
        except ray.exceptions.RayError:
            return
        for name, (done, total) in found.items():
            self._epochs[name] = total
            if name not in self._ended:
                self._steps(_stage(name), done, total)
        self._steps("fitted", len(self._ended), self._total)
        self._pending = self.counter.read.remote()


@contextmanager
def report_epochs(detector: Detector, counter: Any) -> Iterator[None]:
    """Report each epoch of this detector, if it is a network, to the counter actor; None: to nobody."""
    if counter is None or not isinstance(detector, NetworkDetector):
        yield
        return
    network = detector
    network.on_epoch = lambda epoch, _: counter.note.remote(network.name, epoch, network.epochs)
    try:
        yield
    finally:
        network.on_epoch = None  # the detector is sent back and saved: it must hold no function


class _EpochCounter:
    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def note(self, name: str, done: int, total: int) -> None:
        self._seen[name] = done, total

    def read(self) -> dict[str, tuple[int, int]]:
        return self._seen


def _stage(name: str) -> str:
    return f"epochs of {name}"
