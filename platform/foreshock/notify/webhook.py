"""POST the payload as JSON."""

from __future__ import annotations

from typing import Any

from foreshock.notify.posting import JsonPoster
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["Webhook"]


class Webhook:
    """JSON by POST; the header ``Idempotency-Key`` is the same at every attempt."""

    def __init__(self, config: NotifierConfig) -> None:
        self.poster = JsonPoster(config)

    def send(self, payload: dict[str, Any]) -> None:
        # an alert may be reopened, or acknowledged, more than once
        times = (payload[name] for name in ("updated", "posted") if name in payload)
        self.poster.post(payload, {"Idempotency-Key": "-".join([payload["id"], payload["event"], *times])})
