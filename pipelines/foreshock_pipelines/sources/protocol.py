"""The protocol of sources: where windows are read from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.progress import PartProgress

if TYPE_CHECKING:
    import ray.data

__all__ = ["Partial", "Source"]

Partial = Literal["accept", "refuse"]
"""Use an answer that lacks data, or refuse it."""


class Source(Protocol):
    """Reads the windows of one job.

    A source is made by ``MySource(job, partial=...)``. `partial`: what to do with a partial answer, if the job does
    not say.
    """

    def read(self, start: datetime, end: datetime, *, progress: PartProgress | None = None) -> Windows:
        """Read the rows with start <= time <= end, on the job's grid.

        Raises
        ------
        SourceUnavailable
            The source cannot be reached, or its partial answer is refused; the text says where it is and why.
        QueryError
            A query is wrong, or its result cannot become a window.
        """

    def dataset(self, start: datetime, end: datetime) -> ray.data.Dataset:
        """Return the same rows as a Ray dataset of Arrow blocks, read by Ray tasks."""

    def latest(self) -> datetime:
        """Return the newest time that can be read: now for a live source, the last row of a file."""

    def check(self) -> None:
        """Raise `SourceUnavailable` if the source cannot be used at present."""

    def discover(self) -> dict[str, int]:
        """Return the number of entities of each feature at present, without reading samples."""
