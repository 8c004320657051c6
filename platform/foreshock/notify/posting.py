"""POST as JSON, as webhooks and Alertmanager take it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from foreshock_models.errors import ConfigError, HttpError, NotificationRefused, NotifyError
from foreshock_pipelines.http_client import HttpClient, Response, shown
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["JsonPoster", "encoded"]

ABOUT_THE_RECEIVER = {401, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429, 451}
"""Client errors that say nothing about the notification: address, credentials, limits of requests."""


class JsonPoster:
    """Posts JSON to one URL; the rules of redirects, TLS, credentials and deadlines are those of `HttpClient`.

    Raises
    ------
    ConfigError
        The config has no URL.
    """

    def __init__(self, config: NotifierConfig, path: str = "", *, path_is_secret: bool = True) -> None:
        self.url = _url(config, path)
        self.type = config.type
        self.timeout = config.timeout.total_seconds()
        self.client = HttpClient(config, path_is_secret=path_is_secret)

    def post(self, body: Any, headers: Mapping[str, str] | None = None) -> None:
        """Return if it was accepted with a status of 2xx; errors as `send` raises them."""
        self.send(encoded(body), headers)

    def send(self, content: bytes, headers: Mapping[str, str] | None = None, *, read: bool = False) -> Response:
        """Post JSON that is encoded already; gives the answer, whose body is there if `read`.

        Raises
        ------
        NotificationRefused
            The receiver refuses this body, as too large or malformed.
        NotifyError
            It is down, too slow, moved, or does not let us in.
        """
        try:
            return self.client.request(
                "POST", self.url, body=content, timeout=self.timeout, status_only=not read,
                headers={"Content-Type": "application/json", **(headers or {})},
            )  # fmt: skip
        except HttpError as exc:
            status = exc.status or 0
            refused = 400 <= status < 500 and status not in ABOUT_THE_RECEIVER
            kind = NotificationRefused if refused else NotifyError
            text = f"{self.type} {shown(self.url, path=False)}: {exc}"
            raise kind(text, retry_after=exc.retry_after) from exc


def encoded(body: Any) -> bytes:
    """JSON of a body."""
    try:
        return orjson.dumps(body)  # NaN and infinity become null
    except TypeError:  # text that is not valid UTF-8, or a number of more than 64 bits
        return json.dumps(body).encode()


def _url(config: NotifierConfig, path: str) -> str:
    if config.url is None:
        raise ConfigError(f"notify: {config.type} needs a url")
    if not path:
        return config.url
    parts = urlsplit(config.url)  # parameters stay behind the path
    return parts._replace(path=parts.path.rstrip("/") + path).geturl()
