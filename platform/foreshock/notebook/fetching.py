"""From a PromQL query to windows, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from foreshock_models.errors import ConfigError
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job, load_job
from foreshock_pipelines.jobfile.times import parse_time
from foreshock_pipelines.progress import PartProgress
from foreshock_pipelines.sources import open_source

__all__ = ["fetch"]


def fetch(
    job: Job | str | Path | None = None,
    *,
    prometheus: str | None = None,
    queries: Mapping[str, str] | None = None,
    entity: Sequence[str] = ("instance",),
    start: str | datetime | timedelta = "-7d",
    end: str | datetime = "now",
    step: str = "60s",
    progress: PartProgress | None = None,
) -> Windows:
    """Read metric windows.

    Parameters
    ----------
    job
        A job, or the path of a job file. Or, without one, `prometheus` (its URL), `queries` (feature name to
        PromQL), `entity` (the labels that name one thing) and `step`.
    start, end
        Datetimes, ISO texts, or relative: ``"-7d"``, ``"now"``.

    Raises
    ------
    SourceUnavailable
        The source is down; the text says where it is and why. Also if its answer is partial, unless the job says
        ``source: {partial: accept}``: then `Windows.partial` says why data may be missing.
    QueryError
        A query is wrong, or its result cannot become a window.
    """
    if isinstance(job, str | Path):
        job = load_job(job)
    if job is None:
        if prometheus is None or not queries:
            raise ConfigError("fetch needs a job, or prometheus= (a URL) with queries= (name to PromQL)")
        job = Job.model_validate(
            {
                "name": "notebook",
                "source": {"prometheus": prometheus},
                "queries": dict(queries),
                "entity": list(entity),
                "step": step,
            }
        )
    source = open_source(job, partial="refuse")
    now = source.latest()
    first = now + start if isinstance(start, timedelta) else parse_time(start, now)
    return source.read(first, parse_time(end, now), progress=progress)
