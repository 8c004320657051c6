"""What sources share: the grid of a job, possible values, Ray read tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["Steps", "from_dataset", "grid", "in_range", "read_tasks"]

MAX_STEPS = 10_000
"""Steps of the grid in one Ray read task; below Prometheus' limit of 11,000 points."""
BLOCK_BYTES = 64 << 20
"""Ray cuts larger blocks in the middle of an entity (from 128 MiB on)."""

Steps = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is of it in all."""
ReadPart = Callable[["Job", datetime, datetime], Windows]
"""Reads a stretch of time in a Ray task; gives empty windows where there is no series."""


def grid(start: datetime, end: datetime, step: float) -> tuple[int, int]:
    """First and last point of the grid within ``[start, end]``, ms since the epoch.

    Raises
    ------
    DataError
        No point lies between them.
    """
    size = round(step * 1000)
    first = math.ceil(round(start.timestamp() * 1000) / size) * size
    last = math.floor(round(end.timestamp() * 1000) / size) * size
    if last < first:
        raise DataError(
            f"no step of {step:g} s lies between {start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S}; "
            "the start must be before the end"
        )
    return first, last


def in_range(windows: Windows, job: Job) -> Windows:
    """Samples outside a query's ``valid_range`` become gaps."""
    table = windows.table
    for name, query in job.queries.items():
        if query.valid_range is None:
            continue
        low, high = query.valid_range
        column = table.column(name)
        bad = pa.scalar(False)
        if low is not None:
            bad = pc.or_kleene(bad, pc.less(column, low))
        if high is not None:
            bad = pc.or_kleene(bad, pc.greater(column, high))
        cleaned = pc.if_else(pc.fill_null(bad, False), pa.scalar(None, pa.float64()), column)
        table = table.set_column(table.column_names.index(name), name, cleaned)
    return Windows(table)


def read_tasks(job: Job, start: datetime, end: datetime, n_entities: int, read: ReadPart) -> ray.data.Dataset:
    """A Ray dataset of windows, each read task a stretch of time; blocks are Arrow.

    Parameters
    ----------
    n_entities
        About how many there are: more of them make shorter stretches.
    read
        A function of a module, so that workers find it by name.
    """
    import ray.data
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    first, last = grid(start, end, job.step_seconds)
    size = round(job.step_seconds * 1000)
    row_bytes = 8 + 4 * len(job.entity) + 8 * len(job.features)
    n_steps = max(1, min(MAX_STEPS, BLOCK_BYTES // (row_bytes * max(1, n_entities))))
    spans = [(a, min(a + (n_steps - 1) * size, last)) for a in range(first, last + 1, n_steps * size)]

    class WindowsDatasource(Datasource):
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]

        def estimate_inmemory_data_size(self) -> int | None:
            return ((last - first) // size + 1) * n_entities * row_bytes

        def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(_reader(job, read, *span), unknown) for span in spans]

    # a task sends one request at a time, so as many tasks as the source takes requests
    return ray.data.read_datasource(
        WindowsDatasource(), override_num_blocks=len(spans), concurrency=min(job.source.parallel, len(spans))
    )


def _reader(job: Job, read: ReadPart, first: int, last: int) -> Callable[[], Iterable[pa.Table]]:
    def part() -> Iterable[pa.Table]:
        yield read(job, *(datetime.fromtimestamp(ms / 1000, UTC) for ms in (first, last))).table

    return part


def from_dataset(dataset: ray.data.Dataset, block_read: Callable[[Windows], None] = lambda part: None) -> Windows:
    """Windows of the blocks of a dataset that a source gave; `block_read` is called with each as it comes."""
    import ray

    parts = []
    for bundle in dataset.iter_internal_ref_bundles():
        for block in ray.get(bundle.block_refs):
            parts.append(Windows(block))
            block_read(parts[-1])
    filled = [part for part in parts if part.n_rows]
    return Windows.concat(filled) if len(filled) > 1 else (filled or parts)[0]
