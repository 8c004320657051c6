"""Windows as a Ray dataset: one read task for each stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from foreshock_models.errors import ForeshockError
from foreshock_pipelines.datasets.grid import grid
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.ray_errors import TaskFailed, keep_ray_data_quiet

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["collect_windows", "ray_dataset"]

MAX_STEPS = 10_000
"""Steps of the grid in one Ray read task; below Prometheus' limit of 11,000 points."""
BLOCK_BYTES = 64 << 20
"""Ray splits larger blocks in the middle of an entity (from 128 MiB on)."""

ReadPart = Callable[["Job", datetime, datetime], Windows]
"""Reads a stretch of time in a Ray task; returns empty windows where there is no series."""


def ray_dataset(job: Job, start: datetime, end: datetime, n_entities: int, read: ReadPart) -> ray.data.Dataset:
    """Return a Ray dataset of windows in Arrow blocks; each read task covers a stretch of time.

    Parameters
    ----------
    n_entities
        Approximate number of entities: more entities make shorter stretches.
    read
        A function at module level, which workers can import by name.
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
            return [ReadTask(_read_task(job, read, *span), unknown) for span in spans]

    # a task sends one request at a time, so as many tasks as the source takes requests
    return ray.data.read_datasource(
        WindowsDatasource(), override_num_blocks=len(spans), concurrency=min(job.source.parallel, len(spans))
    )


def _read_task(job: Job, read: ReadPart, first: int, last: int) -> Callable[[], Iterable[pa.Table]]:
    def part() -> Iterable[pa.Table]:
        try:
            windows = read(job, *(datetime.fromtimestamp(ms / 1000, UTC) for ms in (first, last)))
        except ForeshockError as exc:
            raise TaskFailed(exc) from None
        yield windows.table

    return part


def collect_windows(dataset: ray.data.Dataset, on_block: Callable[[Windows], None] = lambda part: None) -> Windows:
    """Join the blocks of a source's dataset into windows; call `on_block` with each block as it arrives."""
    import ray

    keep_ray_data_quiet()
    parts = []
    for bundle in dataset.iter_internal_ref_bundles():
        for block in ray.get(bundle.block_refs):
            parts.append(Windows(block))
            on_block(parts[-1])
    return Windows.join(parts)
