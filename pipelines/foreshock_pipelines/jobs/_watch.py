"""How far a training in other processes has come."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from foreshock_models.detectors import Detector
from foreshock_models.detectors._network import NetworkDetector
from foreshock_pipelines.datasets.reading import Steps

__all__ = ["Watch", "counted"]

EVERY = 0.25
"""Seconds between two looks."""


class Watch:
    """Waits for fits, and meanwhile tells `steps` how many are done and how many epochs networks have behind them.

    Networks tell of their epochs to a small actor. Nothing waits for it: if it dies, a bar stands still.
    """

    def __init__(self, steps: Steps | None, total: int) -> None:
        import ray

        self._steps, self._total = steps, total
        self._epochs: dict[str, int] = {}
        self._ended: set[str] = set()
        self.tally: Any = None
        if steps is not None:
            actor: Any = ray.remote(num_cpus=0)(_Tally)
            self.tally = actor.remote()
            self._asked = self.tally.read.remote()

    def next(self, waiting: Collection[Any]) -> Any:
        """The first of these references that is ready."""
        import ray

        while True:
            ready, _ = ray.wait(list(waiting), num_returns=1, timeout=None if self._steps is None else EVERY)
            if ready:
                return ready[0]
            self._show()

    def end(self, name: str) -> None:
        """This detector is fitted; a network as a rule before its last epoch, because it stopped early."""
        self._ended.add(name)
        if self._steps is not None:
            if (all_of_them := self._epochs.get(name)) is not None:
                self._steps(_epochs_of(name), all_of_them, all_of_them)
            self._steps("fitted", len(self._ended), self._total)

    def _show(self) -> None:
        import ray

        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready or self._steps is None:
            return
        try:
            found = ray.get(self._asked)
        except ray.exceptions.RayError:
            return
        for name, (done, total) in found.items():
            self._epochs[name] = total
            if name not in self._ended:
                self._steps(_epochs_of(name), done, total)
        self._steps("fitted", len(self._ended), self._total)
        self._asked = self.tally.read.remote()


@contextmanager
def counted(detector: Detector, tally: Any) -> Iterator[None]:
    """Tell the actor (None: nobody) of each epoch of this detector, if it is a network."""
    if tally is None or not isinstance(detector, NetworkDetector):
        yield
        return
    network = detector
    network.on_epoch = lambda epoch, _: tally.note.remote(network.name, epoch, network.epochs)
    try:
        yield
    finally:
        network.on_epoch = None  # it goes back to who asked for it, and into a file


class _Tally:
    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def note(self, name: str, done: int, total: int) -> None:
        self._seen[name] = done, total

    def read(self) -> dict[str, tuple[int, int]]:
        return self._seen


def _epochs_of(name: str) -> str:
    return f"epochs of {name}"
