"""``notify:`` of a job file: the receivers of its alerts."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Self

from pydantic import Field, PlainSerializer, model_validator

from foreshock_pipelines.jobfile.durations import Timeout, parse_duration
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.urls import check_url, shown_url

__all__ = ["NotifierConfig"]

NEED_URL = {"webhook": "http://host:port/path", "alertmanager": "http://localhost:9093"}
"""Types that speak HTTP, with an example."""


class NotifierConfig(HttpConfig):
    """A receiver of alerts: one `type`, with what that type needs."""

    type: str = Field(description="log, webhook, alertmanager, or the name of a plugin")
    url: Annotated[
        str | None,
        PlainSerializer(partial(shown_url, path=False), return_type=str, when_used="json-unless-none"),
    ] = Field(None, max_length=2048, description="address of a webhook or of Alertmanager")
    timeout: Timeout = Field(parse_duration("10s"), description="limit of one request")

    @model_validator(mode="after")
    def _url_of_http(self) -> Self:
        if self.type not in NEED_URL:
            return self
        if self.url is None:
            raise ValueError(f"{self.type} needs a url, as in {NEED_URL[self.type]}")
        check_url(self.url)
        return self
