"""Requests to Prometheus and all that speak its HTTP API: retries, deadlines, errors."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, IncompleteRead
from urllib3.util.retry import Retry

from foreshock_models.errors import QueryError, SourceUnavailable
from foreshock_pipelines.jobfile import SourceConfig
from foreshock_pipelines.prometheus.authentication import HttpAuth, http_auth, http_headers, http_session

__all__ = ["PrometheusClient", "http_auth", "http_headers", "http_session"]

RETRIED = {408, 425, 429, 500, 502, 503, 504}
PASSING = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    HTTPError,
)
"""What may be gone at the next try."""
NO_POST = {403, 405, 501}
"""What gateways that let only GET through say to a POST."""
CUT = "the response was cut"
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
PIECE = 1 << 20
"""Bytes of a response read at once; between two pieces the clock is looked at."""


class PrometheusClient:
    """One server's API.

    Parameters
    ----------
    config
        URL, how to authenticate, time limits and retries.
    deadline
        Moment (``time.monotonic()``) after which nothing is tried any more; default: each call has the
        `deadline` of the config.
    stop
        When set, from any thread, what is under way ends soon with `SourceUnavailable`.

    Attributes
    ----------
    connect
        The library's own client, authenticated in the same way, for all that is asked rarely: rules, targets,
        label values.
    """

    def __init__(
        self, config: SourceConfig, *, deadline: float | None = None, stop: threading.Event | None = None
    ) -> None:
        assert config.prometheus is not None
        self.config = config
        self.url = config.prometheus
        self.deadline = deadline
        self.stop = stop or threading.Event()
        self.connect = PrometheusConnect(
            self.url, retry=Retry(0), session=http_session(config), timeout=config.timeout.total_seconds(),
            auth=HttpAuth(config),
        )  # fmt: skip
        adapter = HTTPAdapter(max_retries=Retry(0), pool_maxsize=config.parallel)
        self.connect._session.mount(self.url, adapter)
        self._method = "POST"

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def query_range(self, query: str, start_ms: int, end_ms: int, step: float) -> bytes:
        """The response, as sent, to one range query.

        Raises
        ------
        SourceUnavailable
            After all retries, or past the deadline; names URL and cause.
        QueryError
            The server refused the query.
        """
        params = {
            "query": query,
            "start": f"{start_ms / 1000:.3f}",
            "end": f"{end_ms / 1000:.3f}",
            "step": str(step),
        }
        return self._send("/api/v1/query_range", params, query)

    def query(self, query: str, at: datetime | None = None) -> bytes:
        """The response, as sent, to one instant query; `at` a time, or now."""
        time_param = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        return self._send("/api/v1/query", {"query": query, **time_param}, query)

    def _send(self, path: str, params: Mapping[str, str], query: str) -> bytes:
        wait = FIRST_WAIT
        deadline = self.deadline or time.monotonic() + self.config.deadline.total_seconds()
        for attempt in range(self.config.retries + 1):
            pause = random.uniform(0, wait)  # full jitter, so that many clients do not come back together
            try:
                status, reply, after = self._request(path, params, deadline)
            except PASSING as exc:
                cause = _reason(exc)
            else:
                if status == 200 and (reply.rstrip(b" \r\n").endswith(b"}") or reply[:1] not in b"{"):
                    return reply
                cause = CUT if status == 200 else f"HTTP {status}: {_message(reply)}"
                if status not in RETRIED | {200}:
                    raise self._refused(status, cause, query)
                pause = _seconds(after) or pause
            if attempt == self.config.retries:
                break
            if time.monotonic() + pause > deadline:
                raise SourceUnavailable(f"{self.shown}: no answer before the deadline: {cause}")
            if self.stop.wait(pause):
                raise SourceUnavailable(f"{self.shown}: stopped waiting: {cause}")
            wait = min(wait * 2, LONGEST_WAIT)
        tries = self.config.retries + 1
        raise SourceUnavailable(f"{self.shown}: no answer after {tries} {'tries' if tries > 1 else 'try'}: {cause}")

    def _request(self, path: str, params: Mapping[str, str], deadline: float) -> tuple[int, bytes, str | None]:
        """Status, body, and ``Retry-After`` of one request."""
        session = self.connect._session
        until = min(time.monotonic() + self.config.timeout.total_seconds(), deadline)
        post = self._method == "POST"
        if self.stop.is_set():
            raise SourceUnavailable(f"{self.shown}: stopped")
        try:
            with session.request(
                self._method,
                self.url + path,
                params=None if post else dict(params),
                data=dict(params) if post else None,
                headers={"Accept-Encoding": "gzip" if self.config.compression else "identity"},
                auth=self.connect.auth,
                timeout=max(0.1, until - time.monotonic()),
                # explicit: a CA bundle named in the environment must not replace the configured one
                verify=session.verify,
                cert=session.cert,
                stream=True,
            ) as response:
                body = self._body(response, until)
        except requests.exceptions.SSLError as exc:
            raise SourceUnavailable(f"{self.shown}: TLS failed: {_reason(exc)}") from exc
        except PASSING:
            raise
        except (requests.exceptions.RequestException, OSError) as exc:  # OSError: no such certificate file
            raise SourceUnavailable(f"{self.shown}: cannot be asked: {_reason(exc)}") from exc
        if post and response.status_code in NO_POST:
            self._method = "GET"
            return self._request(path, params, deadline)
        return response.status_code, body, response.headers.get("Retry-After")

    def _body(self, response: requests.Response, until: float) -> bytes:
        """All of a body; the socket's own limit notices a server that is silent, this one a server that drips."""
        pieces = []
        while piece := response.raw.read1(PIECE, decode_content=True):
            pieces.append(piece)
            if time.monotonic() > until or self.stop.is_set():
                raise requests.exceptions.ReadTimeout("the response took too long")
        return b"".join(pieces)

    def _refused(self, status: int, cause: str, query: str) -> Exception:
        if status in (400, 422):
            return QueryError(f"{self.shown} refused the query {query!r}: {cause}")
        if status in (401, 403):
            return SourceUnavailable(f"{self.shown}: not let in: {cause}; check bearer_token_file or basic_auth")
        return SourceUnavailable(f"{self.shown}: {cause}")


def _message(body: bytes) -> str:
    """What the server says went wrong."""
    try:
        return str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return " ".join(body.decode(errors="replace").split())[:200] or "no message"


def _seconds(retry_after: str | None) -> float | None:
    """How long a server asks to wait: it says seconds, or a date."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return None


def _reason(exc: BaseException) -> str:
    """The innermost cause, in few words."""
    inner: BaseException = exc
    while True:
        deeper = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
        if not isinstance(deeper, BaseException):
            break
        inner = deeper
    if isinstance(inner, IncompleteRead | http.client.IncompleteRead):
        return CUT
    text = getattr(inner, "strerror", None) or str(inner)
    return f"{type(inner).__name__}: {text}"
