"""Sources of metrics, by name; imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foreshock_pipelines.sources.protocol import Partial, Source

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job

__all__ = ["Partial", "Source", "open_source"]


def open_source(job: Job, *, partial: Partial = "accept") -> Source:
    """Open the source that a job names.

    Parameters
    ----------
    partial
        Use partial answers or refuse them, if the job does not say so.
    """
    if job.source.parquet is not None:
        from foreshock_pipelines.sources.parquet import ParquetSource

        return ParquetSource(job)
    from foreshock_pipelines.prometheus.source import PrometheusSource

    return PrometheusSource(job, partial=partial)
