"""A made-up fleet, a sample a second, sent as an agent does: what cannot be sent is kept and sent later."""

from __future__ import annotations

import threading
import time
import zlib

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import WriteError
from foreshock_pipelines.jobfile import WriteConfig
from foreshock_pipelines.prometheus.remote_write import RemoteWriter, TimeSeries

FEATURES = ("cpu", "latency")
LONG = 8
"""Seconds that a planted anomaly lasts."""


class Agent:
    """Values follow from entity, time and seed; an anomaly is planted by its start."""

    def __init__(self, url: str, entities: list[str], seed: int) -> None:
        self.entities = entities
        self.seed = seed
        self.writer = RemoteWriter(WriteConfig(url=f"{url}/api/v1/write"))
        self.planted: dict[str, list[int]] = {name: [] for name in entities}
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)

    def values(self, entity: str, seconds: NDArray[np.int64]) -> NDArray[np.float64]:
        """``(n, n_features)`` at these times."""
        base = zlib.crc32(f"{self.seed}/{entity}".encode())
        noise = np.stack([np.random.default_rng([base, s]).normal(size=len(FEATURES)) for s in seconds.tolist()])
        wave = np.sin(seconds / 60 * 2 * np.pi + base % 7)[:, None]
        out = 10 + wave + 0.3 * noise
        for start in self.planted[entity]:
            out[(seconds >= start) & (seconds < start + LONG)] += 40.0
        return out

    def send(self, first: int, last: int) -> None:
        """Samples of ``first <= second <= last``."""
        seconds = np.arange(first, last + 1)
        series = []
        for entity in self.entities:
            values = self.values(entity, seconds)
            for j, feature in enumerate(FEATURES):
                labels = {"instance": entity}
                series.append(TimeSeries.of(f"fleet_{feature}", labels, seconds * 1000, values[:, j]))
        done = self.writer.write(series)
        assert done.refused == 0, done.reason

    def start(self, since: int) -> None:
        self.sent = since
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            now = int(time.time())
            if now > self.sent:
                try:
                    self.send(self.sent + 1, now)
                    self.sent = now
                except WriteError:
                    continue  # kept: sent at the next try
