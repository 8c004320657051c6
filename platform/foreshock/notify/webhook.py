"""POST the payload as JSON."""

from __future__ import annotations

from typing import Any

import requests

from foreshock_models.errors import ConfigError, ForeshockError, NotifyError
from foreshock_pipelines.jobfile import NotifierConfig
from foreshock_pipelines.prometheus.authentication import http_auth, http_headers, http_session

__all__ = ["Webhook", "post"]

TIMEOUT = 10.0


class Webhook:
    """JSON by POST; the header ``Idempotency-Key`` is the same at every attempt."""

    def __init__(self, config: NotifierConfig) -> None:
        if config.url is None:
            raise ConfigError("notify: a webhook needs a url")
        self.config = config

    def send(self, payload: dict[str, Any]) -> None:
        # an alert may be reopened, or escalate, more than once
        key = f"{payload['id']}-{payload['event']}-{payload['updated']}"
        post(self.config, str(self.config.url), payload, {"Idempotency-Key": key})


def post(config: NotifierConfig, url: str, body: Any, headers: dict[str, str] | None = None) -> None:
    """POST JSON; NotifyError unless it was accepted."""
    session = http_session(config)
    try:
        response = session.post(
            url, json=body, timeout=TIMEOUT, allow_redirects=False,
            headers={**http_headers(config), **(headers or {})}, auth=http_auth(config),
        )  # fmt: skip
    except (requests.RequestException, ForeshockError) as exc:
        raise NotifyError(f"{config.type}: not delivered: {type(exc).__name__}") from exc
    finally:
        session.close()
    if not response.ok:
        raise NotifyError(f"{config.type}: refused with HTTP {response.status_code}: {response.text[:200]}")
