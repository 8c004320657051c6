"""Scores on their way into Prometheus.

A pass puts them into the store, in one transaction with what it means for alerts; a thread of its own sends them,
so that nothing there can hold up scoring, and goes on where the one before it died. To write a sample twice is
harmless.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from foreshock.logs import get_logger
from foreshock.scoring.report import WriteStats
from foreshock.scoring.write_queue import Block, WaitingBlock, WriteQueue
from foreshock.store.store import open_patiently
from foreshock_models.errors import ForeshockError
from foreshock_pipelines.datasets.entity_key import entity_labels
from foreshock_pipelines.jobfile import Job, WriteConfig
from foreshock_pipelines.prometheus.labels import exported_labels
from foreshock_pipelines.scoring.scored_rows import ScoredRows

if TYPE_CHECKING:
    from foreshock_pipelines.prometheus.remote_write import TimeSeries

__all__ = ["METRICS", "ScoreWriter", "blocks_of", "score_labels", "series_of"]

log = get_logger("write")
BLOCK = 200_000
"""Values in one block, about: what is sent again if its sender dies."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LOOK_EVERY = 5.0
"""Seconds after which a writer looks for what another one has left."""
METRICS = {
    "foreshock_anomaly_score": "Calibrated score; 1 is the alert line.",
    "foreshock_detector_score": "Calibrated score of one detector of an ensemble.",
    "foreshock_expected": "Usual value of a feature at this hour.",
    "foreshock_lower": "Lower end of what is usual.",
    "foreshock_upper": "Upper end of what is usual.",
}


def score_labels(job: str, entity: str, names: Iterable[str]) -> dict[str, str]:
    """Labels of an entity's series; see `exported_labels`."""
    return {"job": job, **exported_labels(entity_labels(entity, list(names)))}


def blocks_of(job: Job, scored: ScoredRows, detector: str, *, features: bool) -> list[Block]:
    """A pass as blocks for the store, one after the other in time; rows without a sample are left out."""
    panel = scored.panel
    there = np.flatnonzero(~np.isnan(panel.values).all(axis=1))
    columns = [("foreshock_anomaly_score", {"detector": detector}, scored.score)]
    columns += [("foreshock_detector_score", {"detector": n}, values) for n, values in scored.members.items()]
    if features and scored.usual is not None:
        for metric in ("expected", "lower", "upper"):
            table = getattr(scored.usual, metric)
            columns += [(f"foreshock_{metric}", {"feature": f}, table[:, j]) for j, f in enumerate(panel.features)]
    labels = [json.dumps(score_labels(job.name, entity, job.entity)) for entity in panel.entities]
    fields = [pa.field("labels", pa.dictionary(pa.int32(), pa.string())), pa.field("timestamp", pa.int64())]
    fields += [pa.field(name, pa.float64(), metadata={"labels": json.dumps(own)}) for name, own, _ in columns]
    schema = pa.schema(fields)
    blocks = []
    in_time = there[np.argsort(panel.timestamps[there], kind="stable")]
    size = max(1, BLOCK // len(columns))
    for start in range(0, len(there), size):
        rows = np.sort(in_time[start : start + size])  # as the panel has them: entity by entity
        values = [column[rows] for _, _, column in columns]
        names = pa.DictionaryArray.from_arrays(panel.codes[rows].astype(np.int32), labels)
        batch = pa.record_batch([names, panel.timestamps[rows], *values], schema=schema)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_batch(batch)
        samples = sum(int(np.count_nonzero(~np.isnan(column))) for column in values)
        blocks.append(Block(samples, sink.getvalue().to_pybytes()))
    return blocks


def series_of(block: Block) -> Iterator[TimeSeries]:
    """Unpack the series that `blocks_of` packed."""
    from foreshock_pipelines.prometheus.remote_write import TimeSeries

    with pa.ipc.open_stream(block.data) as stream:
        batch = stream.read_next_batch()
    names = batch.column(0)
    codes, times = names.indices.to_numpy(), batch.column(1).to_numpy()
    columns = [(field.name, json.loads(field.metadata[b"labels"])) for field in list(batch.schema)[2:]]
    starts = np.flatnonzero(np.r_[True, np.diff(codes) != 0])
    for first, end in zip(starts, [*starts[1:], len(codes)], strict=True):
        labels = json.loads(names.dictionary[codes[first]].as_py())
        for j, (metric, own) in enumerate(columns):
            values = batch.column(j + 2).to_numpy()[first:end]
            yield TimeSeries.of(metric, {**labels, **own}, times[first:end], values)


class ScoreWriter:
    """Writes what waits in the store for a job, in its order, again and again while the receiver is down.

    What has waited for longer than the job's ``write: {retain: ...}``, or is refused as too old or out of order, is
    lost, said, and counted.
    """

    def __init__(self, job: str, config: WriteConfig, store_url: str) -> None:
        from foreshock_pipelines.prometheus.remote_write import RemoteWriter

        self.job = job
        self.config = config
        self.writer = RemoteWriter(config)
        self._store_url = store_url
        self._stats = WriteStats()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    @property
    def stats(self) -> WriteStats:
        with self._lock:
            return self._stats

    def close(self) -> None:
        """End; what still waits stays in the store."""
        self._stop.set()
        self._wake.set()
        self._thread.join(self.config.timeout.total_seconds() + 1)
        self.writer.close()

    def _run(self) -> None:
        store = open_patiently(self._store_url)
        blocks = WriteQueue(store)
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            self._wake.clear()
            try:
                more = self._next(blocks)
                pause = FIRST_PAUSE
                if not more:
                    self._wake.wait(LOOK_EVERY)
            except ForeshockError as exc:
                self._count(failures=1)
                self._say(str(exc))
                self._stop.wait(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
        store.close()

    def _next(self, blocks: WriteQueue) -> bool:
        """Write one block; False if there is none.

        Raises
        ------
        ForeshockError
            The receiver, or the store, is away for the moment.
        """
        self._drop(blocks)
        found = blocks.first(self.job)
        self._set_waiting(blocks.waiting(self.job) if found is not None else 0)
        if found is None:
            return False
        try:
            self._write(found)
        except ForeshockError:
            raise
        except Exception as exc:  # one that cannot be written must not hold up all others
            self._say(f"{type(exc).__name__}: {exc}")
            self._count(dropped=found.block.samples)
        blocks.done(found.seq)
        self._count(waiting=-found.block.samples)
        return True

    def _write(self, found: WaitingBlock) -> None:
        done = self.writer.write(list(series_of(found.block)))
        self._count(written=done.samples, refused=done.refused)
        self._say(f"{done.refused} samples refused: {done.reason}" if done.refused else "")

    def _drop(self, blocks: WriteQueue) -> None:
        """Drop samples that have waited too long."""
        dropped = blocks.drop(self.job, round((time.time() - self.config.retain.total_seconds()) * 1000))
        if dropped:
            self._count(dropped=dropped)
            log.warning("scores dropped: they waited too long", to=self.writer.shown, samples=dropped)

    def _say(self, problem: str) -> None:
        """Once for each problem, not at each try."""
        kind = problem.partition(" refused")[2] or problem
        if kind and kind != self._said:
            log.warning("scores not written", to=self.writer.shown, error=problem)
        elif not kind and self._said:
            log.info("scores are written again", to=self.writer.shown)
        self._said = kind

    def _count(self, **more: int) -> None:
        with self._lock:
            now = self._stats
            self._stats = replace(now, **{name: getattr(now, name) + n for name, n in more.items()})

    def _set_waiting(self, samples: int) -> None:
        with self._lock:
            self._stats = replace(self._stats, waiting=samples)
