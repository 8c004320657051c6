"""Requests to Prometheus and all that speak its HTTP API."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from prometheus_api_client import PrometheusConnect
from urllib3.util.retry import Retry

from foreshock_models.errors import ForeshockError, HttpError, QueryError, QueryTooLarge, SourceUnavailable
from foreshock_pipelines.http_client import AnswerTooLarge, HttpClient, Response, retried, shown
from foreshock_pipelines.jobfile import SourceConfig
from foreshock_pipelines.prometheus.answers import Answer, error_of, is_too_much, partial_reasons

__all__ = ["PrometheusClient"]

NO_POST = {403, 405, 501}
"""Status codes with which gateways that pass only GET refuse a POST."""
PASSING = {"timeout", "canceled", "unavailable", "internal"}
"""Types of error that say nothing about the query."""
CUT = "the response was cut"
PARTIAL_RETRIES = 2
"""More would hold up every pass while one of several stores is down."""
LARGEST = 512 << 20
"""Bytes of one answer; what is larger is asked for in halves."""


class PrometheusClient:
    """One server's API, by the rules of `HttpClient`.

    Parameters
    ----------
    config
        URL, how to authenticate, time limits and retries. Parameters in the URL (``?dedup=true``) go with each
        request.
    deadline
        Moment (``time.monotonic()``) after which nothing is tried any more; default: each call has the
        `deadline` of the config.
    stop
        When set, from any thread, what is under way ends soon with `SourceUnavailable`.

    Attributes
    ----------
    connect
        The library's own client over the same session, for all that is asked rarely: rules, targets, label values.
    """

    def __init__(
        self, config: SourceConfig, *, deadline: float | None = None, stop: threading.Event | None = None
    ) -> None:
        assert config.prometheus is not None
        self.config = config
        parts = urlsplit(config.prometheus)
        self.url = urlunsplit(parts._replace(query="", fragment="")).rstrip("/")
        self.parameters = _parameters(parts.query)
        self.deadline = deadline
        self.stop = stop or threading.Event()
        self.http = HttpClient(config, connections=config.parallel, stop=self.stop)
        self.connect = PrometheusConnect(
            self.url, retry=Retry(0), session=self.http.session, timeout=config.timeout.total_seconds()
        )
        self.http.session.adapters.pop(self.url)  # the library mounts one of its own
        self._method = "POST"

    @property
    def shown(self) -> str:
        """The URL without user, password and parameters."""
        return shown(self.url)

    def query_range(self, query: str, start_ms: int, end_ms: int, step: float) -> Answer:
        """The answer to one range query.

        Raises
        ------
        SourceUnavailable
            After all retries, or past the deadline; names URL and cause. Also for a partial answer, if the source
            refuses them.
        QueryError
            The server refused the query; `QueryTooLarge` if it asks for a shorter range.
        """
        params = {
            "query": query,
            "start": f"{start_ms / 1000:.3f}",
            "end": f"{end_ms / 1000:.3f}",
            "step": str(step),
        }
        return self._send("/api/v1/query_range", params, query)

    def query(self, query: str, at: datetime | None = None) -> Answer:
        """The answer to one instant query; `at` a time, or now."""
        time_param = {} if at is None else {"time": f"{at.timestamp():.3f}"}
        return self._send("/api/v1/query", {"query": query, **time_param}, query)

    def _send(self, path: str, params: Mapping[str, str], query: str) -> Answer:
        until = self.deadline or time.monotonic() + self.config.deadline.total_seconds()
        partial: list[Answer] = []

        def attempt() -> Answer:
            try:
                answer = self._ask(path, params, until)
            except HttpError as exc:
                if isinstance(exc, AnswerTooLarge) or is_too_much(exc.status, exc.server_message):
                    raise QueryTooLarge(f"{self.shown} refused the query {query!r}: {exc}") from exc
                raise
            if answer.partial:
                partial.append(answer)
                if len(partial) <= min(PARTIAL_RETRIES, self.config.retries):
                    raise HttpError(_partial(answer), retriable=True)
            return answer

        try:
            answer = retried(attempt, retries=self.config.retries, until=until, stop=self.stop)
        except HttpError as exc:
            if not partial or self.stop.is_set():
                raise self._translated(exc, query) from exc
            answer = partial[-1]
        if answer.partial and self.config.partial == "refuse":
            raise SourceUnavailable(
                f"{self.shown}: {_partial(answer)}; series may be missing, so it is refused. Ask again later, or "
                "take what there is with source: {partial: accept}"
            )
        return answer

    def _ask(self, path: str, params: Mapping[str, str], until: float) -> Answer:
        """One request, and what its answer says of itself."""
        response = self._request(path, params, until)
        body = response.body
        if body[:1] == b"{" and not body.rstrip(b" \r\n").endswith(b"}"):
            raise HttpError(CUT, retriable=True)
        if (error := error_of(body)) is not None:
            kind, text = error
            message = f"{kind}: {text}" if kind else text
            status = 503 if kind in PASSING else 422
            raise HttpError(
                f"HTTP {response.status} with an error: {message}",
                status=status,
                server_message=message,
                retriable=status == 503,
            )
        return Answer(body, partial_reasons(body))

    def _request(self, path: str, params: Mapping[str, str], until: float) -> Response:
        post = self._method == "POST"
        try:
            return self.http.request(
                self._method,
                self.url + path,
                params=self.parameters if post else {**self.parameters, **params},
                body=dict(params) if post else None,
                headers={"Accept-Encoding": "gzip" if self.config.compression else "identity"},
                timeout=self.config.timeout.total_seconds(),
                until=until,
                limit=LARGEST,
                read_only=True,
            )
        except HttpError as exc:
            if post and exc.status in NO_POST:
                self._method = "GET"
                return self._request(path, params, until)
            raise

    def _translated(self, exc: HttpError, query: str) -> ForeshockError:
        if exc.status in (400, 422):
            return QueryError(f"{self.shown} refused the query {query!r}: {exc}")
        if exc.status in (401, 403):
            return SourceUnavailable(f"{self.shown}: access denied: {exc}; check bearer_token_file or basic_auth")
        return SourceUnavailable(f"{self.shown}: {exc}")


def _parameters(query: str) -> dict[str, list[str]]:
    """Parameters of a URL by name, each with all of its values (``?extra_label=a=b&extra_label=c=d``)."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def _partial(answer: Answer) -> str:
    more = f" and {len(answer.partial) - 1} more" if len(answer.partial) > 1 else ""
    return f"partial answer: {answer.partial[0]}{more}"
