"""The one HTTP client: source, notifiers and remote write reach their servers through it, by the same rules."""

from __future__ import annotations

from foreshock_pipelines.http_client.addresses import shown
from foreshock_pipelines.http_client.client import AnswerTooLarge, HttpClient, Response
from foreshock_pipelines.http_client.retries import retried

__all__ = ["AnswerTooLarge", "HttpClient", "Response", "retried", "shown"]
