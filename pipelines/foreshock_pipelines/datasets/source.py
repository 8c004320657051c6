"""Where windows come from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    import ray.data

    from foreshock_pipelines.jobfile import Job

__all__ = ["Progress", "Source", "open_source"]

Progress = Callable[[int, int], None]
"""Called with (done, total) as parts arrive."""


class Source(Protocol):
    """Gives the windows of one job."""

    def read(self, start: datetime, end: datetime, *, progress: Progress | None = None) -> Windows:
        """Windows with start <= time <= end, on the job's grid.

        Raises
        ------
        SourceUnavailable
            The source cannot be reached; the text says where it is and why.
        QueryError
            A query is wrong, or its result cannot become a window.
        """

    def dataset(self, start: datetime, end: datetime) -> ray.data.Dataset:
        """The same rows as a Ray dataset of Arrow blocks, read by Ray tasks."""

    def latest(self) -> datetime:
        """The newest time that can be read: now for a live source, the last row of a file."""

    def check(self) -> None:
        """Raise `SourceUnavailable` if the source cannot be used at present."""

    def discover(self) -> dict[str, int]:
        """Feature to number of entities that have it at present, without reading samples."""


def open_source(job: Job) -> Source:
    """The source that a job names."""
    if job.source.parquet is not None:
        from foreshock_pipelines.datasets.parquet import ParquetSource

        return ParquetSource(job)
    from foreshock_pipelines.prometheus.source import PrometheusSource

    return PrometheusSource(job)
