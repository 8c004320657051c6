"""Saved windows as a source, for use without Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from foreshock_models.errors import DataError, QueryError, SourceUnavailable, allowed
from foreshock_pipelines.datasets.columns import TIMESTAMP
from foreshock_pipelines.datasets.grid import grid, mask_out_of_range
from foreshock_pipelines.datasets.ray_dataset import ray_dataset
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.progress import PartProgress
from foreshock_pipelines.sources.protocol import Partial

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["ParquetSource"]


class ParquetSource:
    """Source of windows that `foreshock fetch` (or `Windows.write_parquet`) wrote: one file, or a folder of them.

    The file's columns are matched by name with the job's features and entity labels; the queries of the job
    are not evaluated. A file is always complete, so `partial` means nothing here.
    """

    def __init__(self, job: Job, *, partial: Partial = "accept") -> None:
        assert job.source.parquet is not None
        self.job = job
        self.path = job.source.parquet
        self._cache: tuple[object, Windows] | None = None

    def read(self, start: datetime, end: datetime, *, progress: PartProgress | None = None) -> Windows:
        """Read the rows with start <= time <= end; times outside of the file have none."""
        first, last = grid(start, end, self.job.step_seconds)
        windows = self._windows().between(first, last)
        if progress is not None:
            progress(1, 1)
        return windows

    def dataset(self, start: datetime, end: datetime) -> ray.data.Dataset:
        n_entities = max(self.discover().values(), default=1)
        return ray_dataset(self.job, start, end, n_entities, _read_part)

    def latest(self) -> datetime:
        windows = self._windows()
        if windows.n_rows == 0:
            raise QueryError(f"{self.path}: holds no rows")
        return windows.end

    def check(self) -> None:
        self._windows()

    def discover(self) -> dict[str, int]:
        """Return the number of entities that have a sample of each feature."""
        windows = self._windows()
        table = windows.table.unify_dictionaries()  # each row group of a file has its own
        counts = table.group_by(list(windows.labels)).aggregate([(f, "count") for f in windows.features])
        return {name: pc.sum(pc.greater(counts[f"{name}_count"], 0)).as_py() or 0 for name in windows.features}

    def _windows(self) -> Windows:
        """Return all rows; they are read again when a file has changed."""
        files = self._files()
        try:
            key = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        except OSError as exc:
            raise SourceUnavailable(f"{self.path}: cannot be read: {exc.strerror or exc}") from exc
        if self._cache is None or self._cache[0] != key:
            self._cache = key, self._load(files)
        return self._cache[1]

    def _files(self) -> list[Path]:
        files = sorted(self.path.glob("*.parquet")) if self.path.is_dir() else [self.path]
        if not files:
            raise SourceUnavailable(f"{self.path}: the folder holds no *.parquet")
        return files

    def _load(self, files: Sequence[Path], rows: Any = None) -> Windows:
        """Load the windows of files; `rows` is a pyarrow filter: a large file is not in memory as a whole."""
        parts = []
        for file in files:
            try:
                parts.append(self._fit_to_job(Windows(pq.read_table(file, filters=rows))))
            except FileNotFoundError as exc:
                raise SourceUnavailable(f"{file}: no such file; `foreshock fetch` writes one") from exc
            except (OSError, pa.ArrowInvalid, DataError) as exc:
                raise SourceUnavailable(f"{file}: cannot be read as windows: {exc}") from exc
        return Windows.join(parts)

    def _fit_to_job(self, windows: Windows) -> Windows:
        job = self.job
        if windows.step != job.step_seconds:
            raise QueryError(
                f"{self.path}: its step is {windows.step:g} s, the job's is {job.step_seconds:g} s; "
                "set the job's step to that of the file"
            )
        for kind, wanted, there in (
            ("feature", job.features, windows.features),
            ("entity label", job.entity, windows.labels),
        ):
            for name in wanted:
                if name not in there:
                    raise QueryError(f"{self.path}: the file has no {kind} {name!r}; {allowed(name, there)}")
        if set(windows.labels) != set(job.entity):
            extra = min(set(windows.labels) - set(job.entity))
            raise QueryError(f"{self.path}: the file has an entity label {extra!r} that the job does not name")
        return mask_out_of_range(windows.keep(job.features, job=job.name), job)


def _read_part(job: Job, start: datetime, end: datetime) -> Windows:
    source = ParquetSource(job)
    first, last = grid(start, end, job.step_seconds)
    edges = [pa.scalar(ms, pa.int64()).cast(TIMESTAMP) for ms in (first, last)]
    between = (pc.field("timestamp") >= edges[0]) & (pc.field("timestamp") <= edges[1])
    return source._load(source._files(), between)
