"""Saved windows as a source: everything runs where there is no Prometheus."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from foreshock_models.errors import QueryError, SourceUnavailable, allowed
from foreshock_pipelines.datasets.reading import grid, in_range, read_tasks
from foreshock_pipelines.datasets.source import Progress
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["ParquetSource"]


class ParquetSource:
    """Windows that `foreshock fetch` (or `Windows.write_parquet`) wrote: one file, or a folder of them.

    The file's columns are matched by name with the job's features and entity labels; the queries of the job
    are not evaluated.
    """

    def __init__(self, job: Job) -> None:
        assert job.source.parquet is not None
        self.job = job
        self.path = job.source.parquet
        self._cache: tuple[object, Windows] | None = None

    def read(self, start: datetime, end: datetime, *, progress: Progress | None = None) -> Windows:
        first, last = grid(start, end, self.job.step_seconds)
        windows = self._windows().between(first, last)
        if progress is not None:
            progress(1, 1)
        return windows

    def dataset(self, start: datetime, end: datetime) -> ray.data.Dataset:
        return read_tasks(self.job, start, end)

    def latest(self) -> datetime:
        return self._windows().end

    def check(self) -> None:
        self._windows()

    def discover(self) -> dict[str, int]:
        """Feature to number of entities that have it."""
        windows = self._windows()
        return {name: len(windows.entities) for name in windows.features}

    def _windows(self) -> Windows:
        """All rows, read anew when a file changed."""
        try:
            files = sorted(self.path.glob("*.parquet")) if self.path.is_dir() else [self.path]
            if not files:
                raise SourceUnavailable(f"{self.path}: the folder holds no *.parquet")
            key = tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        except OSError as exc:
            raise SourceUnavailable(f"{self.path}: cannot be read: {exc.strerror or exc}") from exc
        if self._cache is None or self._cache[0] != key:
            parts = [self._fit_to_job(Windows.read_parquet(file)) for file in files]
            self._cache = key, parts[0] if len(parts) == 1 else Windows.concat(parts)
        return self._cache[1]

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
        return in_range(windows.keep(job.features, job=job.name), job)
