"""The source of a job's metrics: a server that speaks Prometheus' HTTP API, a Parquet file, or a plugin's."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.durations import Duration, Timeout, parse_duration
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.urls import Url

__all__ = ["SOURCE_PLUGINS", "SourceConfig", "SourcePlugin"]

OWN = {"query", "start", "end", "step", "time"}
"""Parameters of each query."""
PAGES = ("/api/v1", "/api/v1/query", "/api/v1/query_range", "/api/v1/write")
"""Paths that are often copied with the address of a server."""


SOURCE_PLUGINS = "foreshock.sources"
"""Entry point group of sources."""


class SourcePlugin(Model):
    """A source of another package, by the name of its entry point, with options of its own."""

    name: str = Field(description="name of the entry point")
    options: Any = Field(None, description="options of that source")


class SourceConfig(HttpConfig):
    """Exactly one of `prometheus` (a URL), `parquet` (a file of saved windows) and the source of a plugin."""

    prometheus: Annotated[
        Url | None,
        Field(
            description="URL of Prometheus, VictoriaMetrics, Thanos or Mimir",
            examples=["http://localhost:9090"],
        ),
    ] = None
    parquet: Annotated[
        Path | None, Field(description="Parquet file of windows, as `foreshock fetch` writes it")
    ] = None
    plugin: SourcePlugin | None = Field(
        None, description="a source of another package; `lake: ...` is short for {name: lake, options: ...}"
    )
    parallel: int = Field(4, ge=1, le=64, description="requests under way at once")
    timeout: Timeout = Field(parse_duration("30s"), description="limit of one request")
    deadline: Duration = Field(parse_duration("10m"), description="limit of one whole read, retries included")
    query_offset: Duration | None = Field(
        None, description="score rows so long after their time, where samples arrive late (as in rule groups)"
    )
    retries: int = Field(4, ge=0, le=20, description="on 429, 5xx and timeouts, with backoff and jitter")
    partial: Literal["accept", "refuse"] | None = Field(
        None,
        description="answers that lack data, as of a Thanos with a store that is down: `accept` uses their rows, "
        "says so and concludes no absence; `refuse` fails. Default: fetch refuses, all other jobs accept",
    )
    compression: bool = Field(
        False, description="ask for gzip; Prometheus compresses slowly, so only for slow links"
    )

    @property
    def kind(self) -> str:
        """The name of the source: ``prometheus``, ``parquet``, or that of a plugin."""
        if self.plugin is not None:
            return self.plugin.name
        return "prometheus" if self.parquet is None else "parquet"

    @model_validator(mode="before")
    @classmethod
    def _plugin_by_name(cls, data: Any) -> Any:
        """Read ``lake: ...`` as ``plugin: {name: lake, options: ...}`` if a package provides the source `lake`."""
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if not unknown or "plugin" in data:
            return data
        plugins = {point.name for point in entry_points(group=SOURCE_PLUGINS)}
        named = next((key for key in unknown if key in plugins), None)
        if named is None:
            return data
        rest = {key: value for key, value in data.items() if key != named}
        return {**rest, "plugin": {"name": named, "options": data[named]}}

    @field_validator("prometheus")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if clash := names & OWN:
            raise ValueError(f"the parameter {min(clash)!r} is set by Foreshock for each query; remove it")
        if parts.fragment:
            raise ValueError("the address ends in a fragment (#...), which is never sent; remove it")
        path = parts.path.rstrip("/")
        if ending := next((end for end in PAGES if path.endswith(end)), None):
            raise ValueError(f"write the address of the server alone, without {ending}")
        return urlunsplit(parts._replace(path=path))

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(given is not None for given in (self.prometheus, self.parquet, self.plugin)) != 1:
            raise ValueError("give exactly one of prometheus (a URL), parquet (a file) and the source of a plugin")
        return self
