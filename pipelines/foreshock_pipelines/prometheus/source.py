"""Prometheus as a source of windows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import NoSamples, QueryError, QueryTooLarge, SourceUnavailable, allowed
from foreshock_pipelines.datasets.grid import grid, mask_out_of_range
from foreshock_pipelines.datasets.ray_dataset import ray_dataset
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.progress import PartProgress
from foreshock_pipelines.prometheus.client import PrometheusClient
from foreshock_pipelines.prometheus.decode import Series, decode, decode_instant
from foreshock_pipelines.prometheus.promql import by, is_plain
from foreshock_pipelines.sources.protocol import Partial

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["PrometheusSource"]

MAX_POINTS = 10_000
"""Per series and request; the server refuses more than 11,000."""
FEW_POINTS = 1_000
"""Fewer than so many in a request are not shared out: to ask costs more."""

Entity = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class _Samples:
    """Samples of one feature: entity numbers, points of the grid (from 0) and values, each ``(n,)``.

    `partial`: why others may be missing.
    """

    entities: list[Entity]
    code: NDArray[np.int64]
    slot: NDArray[np.int64]
    values: NDArray[np.float64]
    partial: tuple[str, ...] = ()


class PrometheusSource:
    """Reads the windows of one job with range queries, several at once, each below the server's limits."""

    def __init__(self, job: Job, *, max_points: int = MAX_POINTS, partial: Partial = "accept") -> None:
        if job.source.partial is None:
            job = job.model_copy(update={"source": job.source.model_copy(update={"partial": partial})})
        self.job = job
        self.max_points = max_points

    def read(self, start: datetime, end: datetime, *, progress: PartProgress | None = None) -> Windows:
        windows = self._read(start, end, self.job.source.parallel, progress)
        if windows.n_rows == 0 and windows.partial:
            shown = PrometheusClient(self.job.source).shown
            raise SourceUnavailable(f"{shown}: partial answer without any series: {windows.partial[0]}")
        if windows.n_rows == 0:
            raise NoSamples(
                f"no query of the job {self.job.name!r} gave a series from {start:%Y-%m-%d %H:%M} to "
                f"{end:%Y-%m-%d %H:%M}; try one in the web page of {PrometheusClient(self.job.source).shown}"
            )
        return windows

    def dataset(self, start: datetime, end: datetime) -> ray.data.Dataset:
        return ray_dataset(self.job, start, end, max(self._count(end).values()), _read_part)

    def latest(self) -> datetime:
        """Now, less the source's `query_offset`, down to the grid."""
        size = round(self.job.step_seconds * 1000)
        now = round((datetime.now(UTC) - (self.job.source.query_offset or timedelta(0))).timestamp() * 1000)
        return datetime.fromtimestamp(now // size * size / 1000, UTC)

    def check(self) -> None:
        client = PrometheusClient(self.job.source)
        self._decoded(client, decode_instant, client.query("vector(1)").body)

    def discover(self) -> dict[str, int]:
        return self._count()

    def _count(self, at: datetime | None = None) -> dict[str, int]:
        """Feature to number of entities that have it at a time, or now."""
        client = PrometheusClient(self.job.source)
        found = {}
        for name, query in self.job.queries.items():
            try:
                # the line break ends a comment at the end of a query
                answer = client.query(f"count(count {by(self.job.entity)} (\n{query.query}\n))", at)
                result = self._decoded(client, decode_instant, answer.body)
                found[name] = int(float(result[0]["value"][1])) if result else 0
            except QueryError:
                if all(map(is_plain, self.job.entity)):
                    raise
                # VictoriaMetrics has such labels, and another way to write them
                series = self._decoded(client, decode_instant, client.query(query.query, at).body)
                found[name] = len({self._entity(one["metric"]) for one in series})
        return found

    def _read(self, start: datetime, end: datetime, threads: int, progress: PartProgress | None = None) -> Windows:
        """Windows, with no rows if no query gave a series."""
        job = self.job
        first, last = grid(start, end, job.step_seconds)
        size = round(job.step_seconds * 1000)
        points = self._points((last - first) // size + 1, threads)
        spans = [
            (name, a, min(a + (points - 1) * size, last))
            for name in job.features
            for a in range(first, last + 1, points * size)
        ]
        stop = threading.Event()
        deadline = time.monotonic() + job.source.deadline.total_seconds()
        client = PrometheusClient(job.source, deadline=deadline, stop=stop)
        parts: dict[str, list[_Samples]] = {name: [] for name in job.features}
        with ThreadPoolExecutor(min(threads, len(spans)), "prometheus") as pool:
            futures = {pool.submit(self._fetch, client, span, first): span for span in spans}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    parts[futures[future][0]] += future.result()
                    if progress is not None:
                        progress(done, len(spans))
            except BaseException:  # Ctrl-C too: no request is left behind
                stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return self._join(parts, first, (last - first) // size + 1)

    def _points(self, n_steps: int, threads: int) -> int:
        """Steps of the grid in one request: few enough that each thread has one, if it is worth asking for."""
        share = -(-n_steps * len(self.job.features) // threads)
        return min(self.max_points, max(FEW_POINTS, share))

    def _fetch(self, client: PrometheusClient, span: tuple[str, int, int], first: int) -> list[_Samples]:
        """One query over one stretch of time; split where the server says that it is too much."""
        name, a, b = span
        size = round(self.job.step_seconds * 1000)
        try:
            answer = client.query_range(self.job.queries[name].query, a, b, self.job.step_seconds)
            return [self._place(self._decoded(client, decode, answer.body), first, answer.partial)]
        except QueryError as exc:
            if a == b or not isinstance(exc, QueryTooLarge):
                raise QueryError(f"{name}: {exc}") from exc
        middle = a + (b - a) // size // 2 * size
        halves = [(name, a, middle), (name, middle + size, b)]
        return [part for half in halves for part in self._fetch(client, half, first)]

    @staticmethod
    def _decoded(client: PrometheusClient, read: Callable[[bytes], T], body: bytes) -> T:
        try:
            return read(body)
        except SourceUnavailable as exc:
            raise SourceUnavailable(f"{client.shown}: {exc}") from exc

    def _place(self, series: Series, first: int, partial: tuple[str, ...] = ()) -> _Samples:
        """Put samples on the grid by entity; one entity must have one series at a time."""
        size = round(self.job.step_seconds * 1000)
        owners = [self._entity(labels) for labels in series.labels]
        entities = sorted(set(owners))
        number = {entity: i for i, entity in enumerate(entities)}
        code = np.repeat([number[owner] for owner in owners], series.counts).astype(np.int64)
        slot = (series.timestamps - first) // size
        if len(owners) > len(entities):
            self._refuse_twins(series, code, slot)
        return _Samples(entities, code, slot, series.values, partial)

    def _entity(self, labels: dict[str, str]) -> Entity:
        for label in self.job.entity:
            if label not in labels:
                there = [key for key in labels if key != "__name__"]
                raise QueryError(
                    f"the query gives a series without the entity label {label!r}: {labels}; "
                    f"keep it in the query (as in 'sum {by(self.job.entity)} (...)'); "
                    f"{allowed(label, there)}"
                )
        return tuple(labels[label] for label in self.job.entity)

    def _refuse_twins(self, series: Series, code: NDArray[np.int64], slot: NDArray[np.int64]) -> None:
        owner = np.repeat(np.arange(len(series.labels)), series.counts)
        order = np.lexsort((owner, slot, code))
        same = (np.diff(code[order]) == 0) & (np.diff(slot[order]) == 0) & (np.diff(owner[order]) != 0)
        if same.any():
            at = int(np.flatnonzero(same)[0])
            one, two = series.labels[owner[order[at]]], series.labels[owner[order[at + 1]]]
            differ = sorted(key for key in {*one, *two} if one.get(key) != two.get(key))
            raise QueryError(
                f"the query gives several series for one entity: they differ in {', '.join(differ)} "
                f"({one} and {two}); aggregate, as in 'sum {by(self.job.entity)} (...)', or add the label to entity"
            )

    def _join(self, parts: dict[str, list[_Samples]], first: int, n_steps: int) -> Windows:
        job = self.job
        entities = sorted({entity for found in parts.values() for part in found for entity in part.entities})
        queries = {name: query.query for name, query in job.queries.items()}
        partial = sorted({reason for found in parts.values() for part in found for reason in part.partial})
        if not entities:
            return Windows.build(
                [], dict.fromkeys(job.entity, ()), dict.fromkeys(job.features, ()),
                step=job.step_seconds, job=job.name, queries=queries, partial=partial,
            )  # fmt: skip
        number = {entity: i for i, entity in enumerate(entities)}
        features = {name: _dense(found, number, len(entities), n_steps) for name, found in parts.items()}
        labels = {label: [entity[i] for entity in entities] for i, label in enumerate(job.entity)}
        windows = Windows.dense(
            labels, features, first=first, n_steps=n_steps, step=job.step_seconds, job=job.name, queries=queries,
            partial=partial,
        )  # fmt: skip
        return mask_out_of_range(windows, job)


def _dense(
    parts: Sequence[_Samples], number: dict[Entity, int], n_entities: int, n_steps: int
) -> NDArray[np.float64]:
    """Values on the grid ``(n_entities * n_steps,)``; of samples on one point, the last sent counts."""
    out = np.full(n_entities * n_steps, np.nan)
    for part in parts:
        if not part.entities:
            continue
        rows = np.array([number[entity] for entity in part.entities], dtype=np.int64)
        inside = (part.slot >= 0) & (part.slot < n_steps)
        out[rows[part.code[inside]] * n_steps + part.slot[inside]] = part.values[inside]
    return out


def _read_part(job: Job, start: datetime, end: datetime) -> Windows:
    return PrometheusSource(job)._read(start, end, threads=1)
