"""Where a job's metrics are: a server that speaks Prometheus' HTTP API, or a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from foreshock_pipelines.jobfile.durations import Duration, Timeout, parse_duration
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.urls import Url

__all__ = ["SourceConfig"]


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
    compression: bool = Field(
        False, description="ask for gzip; Prometheus compresses slowly, so only for slow links"
    )

    @field_validator("prometheus")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.prometheus is None) == (self.parquet is None):
            raise ValueError("give exactly one of prometheus (a URL) and parquet (a file)")
        return self
