"""Scores on their way into Prometheus: a thread of its own, so that nothing there can hold up scoring."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from foreshock.logs import get_logger
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.datasets.windows import entity_labels
from foreshock_pipelines.jobfile import Job, WriteConfig
from foreshock_pipelines.jobs.score import Scored
from foreshock_pipelines.prometheus.remote_write import RemoteWriter, TimeSeries

__all__ = ["METRICS", "ScoreWriter", "WriteStats", "score_labels", "series_of"]

log = get_logger("write")
CAPACITY = 2_000_000
"""Samples that wait; of more, the oldest are dropped, and counted."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
OURS = ("job", "detector", "feature")
METRICS = {
    "foreshock_anomaly_score": "Calibrated score; 1 is the alert line.",
    "foreshock_detector_score": "Calibrated score of one detector of an ensemble.",
    "foreshock_expected": "Usual value of a feature at this hour.",
    "foreshock_lower": "Lower end of what is usual.",
    "foreshock_upper": "Upper end of what is usual.",
}


@dataclass(frozen=True, slots=True)
class WriteStats:
    """Counted in samples, since this writer began; `failures` in requests."""

    waiting: int = 0
    written: int = 0
    refused: int = 0
    dropped: int = 0
    failures: int = 0


def score_labels(job: str, entity: str, names: Iterable[str]) -> dict[str, str]:
    """Labels of an entity's series; one of the entity's that has a name of ours is called ``exported_<name>``."""
    labels = entity_labels(entity, list(names))
    return {"job": job, **{f"exported_{k}" if k in OURS else k: v for k, v in labels.items()}}


def series_of(job: Job, scored: Scored, detector: str, *, features: bool) -> Iterator[TimeSeries]:
    """A pass as series: rows without a sample are left out."""
    panel = scored.panel
    there = np.asarray(~np.isnan(panel.values).all(axis=1))
    for entity, rows in panel:
        labels = score_labels(job.name, entity, job.entity)
        kept = there[rows]
        times = panel.timestamps[rows][kept]
        score = scored.score[rows][kept]
        yield TimeSeries.of("foreshock_anomaly_score", {**labels, "detector": detector}, times, score)
        for name, values in scored.members.items():
            part = values[rows][kept]
            yield TimeSeries.of("foreshock_detector_score", {**labels, "detector": name}, times, part)
        if not features or scored.usual is None:
            continue
        for metric in ("expected", "lower", "upper"):
            values = getattr(scored.usual, metric)[rows][kept]
            for j, feature in enumerate(panel.features):
                yield TimeSeries.of(f"foreshock_{metric}", {**labels, "feature": feature}, times, values[:, j])


class ScoreWriter:
    """Writes passes in their order, again and again while the receiver is down.

    Parameters
    ----------
    capacity
        Samples that may wait. What is dropped beyond that, or refused as too old or out of order, is counted. What
        waits dies with the process: scores are in the alerts and can be computed again.
    """

    def __init__(self, config: WriteConfig, *, capacity: int = CAPACITY) -> None:
        self.config = config
        self.writer = RemoteWriter(config)
        self.capacity = capacity
        self._queue: deque[tuple[Job, Scored, str, int]] = deque()
        self._stats = WriteStats()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)
        self._thread.start()

    def put(self, job: Job, scored: Scored, detector: str) -> None:
        """Take a pass; returns at once."""
        per_row = 1 + len(scored.members) + (3 * scored.panel.n_features if self.config.features else 0)
        size = scored.panel.n_rows * per_row
        with self._changed:
            self._queue.append((job, scored, detector, size))
            self._count(waiting=size)
            while self._stats.waiting > self.capacity and len(self._queue) > 1:
                gone = self._queue.popleft()[3]
                self._count(waiting=-gone, dropped=gone)
            self._changed.notify()

    @property
    def stats(self) -> WriteStats:
        with self._changed:
            return self._stats

    def close(self) -> None:
        """End; what still waits is not written."""
        self._stop.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(self.config.timeout.total_seconds() + 1)
        self.writer.close()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            with self._changed:
                while not self._queue and not self._stop.is_set():
                    self._changed.wait()
                if self._stop.is_set():
                    return
                item = self._queue[0]
            try:
                self._write(*item)
                pause = FIRST_PAUSE
            except ForeshockError as exc:
                with self._changed:
                    self._count(failures=1)
                self._say(str(exc))
                self._stop.wait(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            except Exception as exc:  # one pass that cannot be written must not hold up all others
                self._say(f"{type(exc).__name__}: {exc}")
                with self._changed:
                    self._count(dropped=item[3])
            with self._changed:
                if self._queue and self._queue[0] is item:
                    self._queue.popleft()
                    self._count(waiting=-item[3])

    def _write(self, job: Job, scored: Scored, detector: str, _: int) -> None:
        series = list(series_of(job, scored, detector, features=self.config.features))
        done = self.writer.write(series)
        with self._changed:
            self._count(written=done.samples, refused=done.refused)
        self._say(f"{done.refused} samples refused: {done.reason}" if done.refused else "")

    def _say(self, problem: str) -> None:
        """Once for each problem, not at each try."""
        kind = problem.partition(" refused")[2] or problem
        if kind and kind != self._said:
            log.warning("scores not written", to=self.writer.shown, error=problem)
        elif not kind and self._said:
            log.info("scores are written again", to=self.writer.shown)
        self._said = kind

    def _count(self, **more: int) -> None:
        now = self._stats
        self._stats = replace(now, **{name: getattr(now, name) + n for name, n in more.items()})
