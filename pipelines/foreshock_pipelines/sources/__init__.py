"""Sources of metrics, by name; imported when first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from foreshock_models.errors import ConfigError, allowed
from foreshock_pipelines.jobfile.source import SOURCE_PLUGINS
from foreshock_pipelines.sources.protocol import Partial, Source

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job

__all__ = ["SOURCES", "Partial", "Source", "find_source", "open_source"]

SOURCES = {
    "prometheus": "foreshock_pipelines.prometheus.source:PrometheusSource",
    "parquet": "foreshock_pipelines.sources.parquet:ParquetSource",
}
"""Name of a source, which is its key in a job file, to its class."""


def open_source(job: Job, *, partial: Partial = "accept") -> Source:
    """Open the source that a job names.

    Parameters
    ----------
    partial
        Use partial answers or refuse them, if the job does not say so.

    Raises
    ------
    ConfigError
        The job names a source of a package that is not installed, or that cannot be imported.
    """
    return find_source(job.source.kind)(job, partial=partial)


def find_source(name: str) -> Callable[..., Source]:
    """Return the class of a source: a built-in one, or an entry point of the group ``foreshock.sources``.

    Raises
    ------
    ConfigError
        No source has that name, or its package cannot be imported.
    """
    points = {point.name: point for point in entry_points(group=SOURCE_PLUGINS)}
    points |= {own: EntryPoint(own, path, SOURCE_PLUGINS) for own, path in SOURCES.items()}
    if name not in points:
        raise ConfigError(f"source: no source {name!r}; {allowed(name, points)}")
    try:
        loaded: Callable[..., Source] = points[name].load()
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"source: {name} cannot be imported from {points[name].value}: {exc}") from exc
    return loaded
