"""The target of scores and forecasts: a receiver of Prometheus' remote write."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from foreshock_pipelines.jobfile.durations import Duration, Timeout, parse_duration
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.urls import Url, shown_url

__all__ = ["WriteConfig"]


class WriteConfig(HttpConfig):
    """A receiver of remote write, reached as Prometheus' own http_config says."""

    url: Url = Field(description="whole address of the receiver", examples=["http://localhost:9090/api/v1/write"])
    features: bool = Field(True, description="write what is usual for each feature too, not scores alone")
    future: bool | None = Field(
        None,
        description="write forecasts at the times that they are about, in place of gauges of now; "
        "default: if the receiver is a VictoriaMetrics. Never set it for a Prometheus",
    )
    timeout: Timeout = Field(parse_duration("30s"), description="limit of one request")

    retain: Duration = Field(
        parse_duration("6h"), description="how long scores wait for a receiver that is down; older ones are dropped"
    )

    @field_validator("url")
    @classmethod
    def _whole_address(cls, value: str) -> str:
        if urlsplit(value).path.strip("/") == "":
            raise ValueError(
                f"{shown_url(value)} names a server, not its receiver; write the whole address, as in "
                "http://localhost:9090/api/v1/write"
            )
        return value
