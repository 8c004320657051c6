"""Where a job's metrics are: a server that speaks Prometheus' HTTP API, or a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import Field, field_validator, model_validator

from foreshock_pipelines.jobfile.durations import Duration, Timeout, parse_duration
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.urls import Url

__all__ = ["SourceConfig"]

OWN = {"query", "start", "end", "step", "time"}
"""Parameters of each query."""
PAGES = ("/api/v1", "/api/v1/query", "/api/v1/query_range", "/api/v1/write")
"""What is often copied with the address of a server."""


class SourceConfig(HttpConfig):
    """Exactly one of `prometheus` (a URL) and `parquet` (a file of saved windows)."""

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
        if (self.prometheus is None) == (self.parquet is None):
            raise ValueError("give exactly one of prometheus (a URL) and parquet (a file)")
        return self
