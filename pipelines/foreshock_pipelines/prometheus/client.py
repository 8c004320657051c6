"""Requests to Prometheus and all that speak its HTTP API: authentication, retries, errors."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from prometheus_api_client import PrometheusConnect
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util.retry import Retry

from foreshock_models.errors import QueryError, SourceUnavailable
from foreshock_pipelines.jobfile import HttpConfig, SourceConfig

__all__ = ["PrometheusClient", "http_auth", "http_headers", "http_session"]

RETRIED = {408, 425, 429, 500, 502, 503, 504}
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
MAX_FORM = 4000
"""Longer queries go in the body of a POST."""


def http_session(config: HttpConfig) -> requests.Session:
    """A session with the TLS settings of a config."""
    session = requests.Session()
    tls = config.tls
    session.verify = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
    if tls.cert_file and tls.key_file:
        session.cert = (str(tls.cert_file), str(tls.key_file))
    return session


def http_headers(config: HttpConfig) -> dict[str, str]:
    """Headers of one request; the bearer token is read anew, so that it may be rotated."""
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    if config.bearer_token_file is not None:
        headers["Authorization"] = f"Bearer {_secret(config.bearer_token_file)}"
    return headers


def http_auth(config: HttpConfig) -> tuple[str, str] | None:
    """User and password of one request."""
    basic = config.basic_auth
    if basic is None:
        return None
    if basic.password_file is not None:
        return basic.username, _secret(basic.password_file)
    return basic.username, basic.password.get_secret_value() if basic.password else ""


def _secret(path: Any) -> str:
    try:
        return str(path.read_text()).strip()
    except OSError as exc:
        raise SourceUnavailable(f"{path}: cannot read the secret: {exc.strerror or exc}") from exc


class PrometheusClient:
    """One server's API.

    Parameters
    ----------
    config
        URL, how to authenticate, time limits and retries.
    deadline
        Moment (``time.monotonic()``) after which nothing is tried any more.
    """

    def __init__(self, config: SourceConfig, *, deadline: float | None = None) -> None:
        assert config.prometheus is not None
        self.config = config
        self.url = config.prometheus
        self.deadline = deadline
        self.connect = PrometheusConnect(
            self.url, retry=Retry(0), session=http_session(config), timeout=config.timeout.total_seconds()
        )

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host))

    def query_range(self, query: str, start_ms: int, end_ms: int, step: float) -> bytes:
        """The response, as sent, to one range query.

        Raises
        ------
        SourceUnavailable
            After all retries, or past the deadline; says URL and cause.
        QueryError
            The server refused the query.
        """
        params = {
            "query": query,
            "start": f"{start_ms / 1000:.3f}",
            "end": f"{end_ms / 1000:.3f}",
            "step": f"{step:g}",
        }
        return self._send("/api/v1/query_range", params, query)

    def query(self, query: str) -> bytes:
        """The response, as sent, to one instant query, now."""
        return self._send("/api/v1/query", {"query": query}, query)

    def _send(self, path: str, params: Mapping[str, str], query: str) -> bytes:
        wait = FIRST_WAIT
        for attempt in range(self.config.retries + 1):
            cause, after = "", None
            try:
                response = self._request(path, params)
                if response.status_code == 200:
                    return response.content
                cause = f"HTTP {response.status_code}: {_message(response)}"
                if response.status_code not in RETRIED:
                    raise self._refused(response.status_code, cause, query)
                after = response.headers.get("Retry-After")
            except requests.exceptions.SSLError as exc:
                raise SourceUnavailable(f"{self.shown}: TLS failed: {_reason(exc)}") from exc
            except requests.exceptions.RequestException as exc:
                cause = _reason(exc)
            pause = min(float(after), LONGEST_WAIT) if after and after.isdigit() else random.uniform(0, wait)
            if attempt == self.config.retries:
                break
            if self.deadline is not None and time.monotonic() + pause > self.deadline:
                raise SourceUnavailable(f"{self.shown}: no answer before the deadline: {cause}")
            time.sleep(pause)
            wait = min(wait * 2, LONGEST_WAIT)
        tries = self.config.retries + 1
        raise SourceUnavailable(f"{self.shown}: no answer after {tries} {'tries' if tries > 1 else 'try'}: {cause}")

    def _request(self, path: str, params: Mapping[str, str]) -> requests.Response:
        session = self.connect._session
        long = sum(map(len, params.values())) > MAX_FORM
        limit = self.config.timeout.total_seconds()
        if self.deadline is not None:
            limit = max(0.1, min(limit, self.deadline - time.monotonic()))
        with warnings.catch_warnings():
            # asked for by insecure_skip_verify
            warnings.simplefilter("ignore", InsecureRequestWarning)
            return session.request(
                "POST" if long else "GET",
                self.url + path,
                params=None if long else dict(params),
                data=dict(params) if long else None,
                headers={
                    "Accept-Encoding": "gzip" if self.config.compression else "identity",
                    **http_headers(self.config),
                },
                auth=http_auth(self.config),
                timeout=limit,
                # explicit: a CA bundle named in the environment must not replace the configured one
                verify=session.verify,
                cert=session.cert,
            )

    def _refused(self, status: int, cause: str, query: str) -> Exception:
        if status in (400, 422):
            return QueryError(f"{self.shown} refused the query {query!r}: {cause}")
        if status in (401, 403):
            return SourceUnavailable(f"{self.shown}: not let in: {cause}; check bearer_token_file or basic_auth")
        return SourceUnavailable(f"{self.shown}: {cause}")


def _message(response: requests.Response) -> str:
    """What the server says went wrong."""
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text.split())[:200] or response.reason or "no message"


def _reason(exc: BaseException) -> str:
    """The innermost cause, in few words."""
    inner: BaseException = exc
    while True:
        deeper = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    text = getattr(inner, "strerror", None) or str(inner)
    return f"{type(inner).__name__}: {text}"
