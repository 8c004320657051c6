"""Requests over HTTP by one set of rules."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import requests
from requests.utils import get_auth_from_url

from foreshock_models.errors import ForeshockError, HttpError
from foreshock_pipelines.http_client.addresses import (
    same_host,
    same_origin,
    shown,
    without_parameters,
    without_user,
)
from foreshock_pipelines.http_client.credentials import Credentials, NoCredentials
from foreshock_pipelines.http_client.failures import decoded, failure, server_message
from foreshock_pipelines.http_client.retries import RETRIED, retry_after
from foreshock_pipelines.http_client.transport import Session
from foreshock_pipelines.jobfile import HttpConfig

__all__ = ["AnswerTooLarge", "HttpClient", "Response"]

CONNECT_SECONDS = 10.0
PIECE = 1 << 20
"""Bytes of a body read at once; between two pieces the clock is looked at."""
SMALL = 1 << 16
"""Bytes kept of an answer that is not a success, and by default of any."""
MOST_REDIRECTS = 5
MOVED = {301, 302, 303, 307, 308}
SAME_METHOD = {307, 308}
Params = Mapping[str, str | Sequence[str]]


class AnswerTooLarge(HttpError):
    """The answer is larger than the limit of the request."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with a status of 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return decoded(self.body, self.headers.get("Content-Type", ""))


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    params: Params
    body: bytes | Mapping[str, str] | None
    headers: Mapping[str, str]
    until: float
    limit: int
    login: tuple[str, str]
    status_only: bool
    trusted: bool = True
    """True if credentials are sent."""
    came_from: list[str] = field(default_factory=list)


class HttpClient:
    """Sends requests as a config says; may be used by several threads at once.

    The rules, the same for source, notifiers and remote write:

    - Only 2xx is success.
    - 307 and 308 are followed to the same host (never from https to http), method and body unchanged. 301, 302 and
      303 are followed only for a request that merely asks (`read_only`), with the same parameters. Any other
      redirect is an error that names its target. Credentials and configured headers go to the same scheme, host
      and port alone (or from port 80 to 443 of the same host).
    - TLS, credentials and proxy are those of the config; see `HttpConfig` for what of the environment counts.
    - A request has a limit in time as a whole, from connecting to the last byte, and its answer one in size.
    - Whatever goes wrong is an `HttpError`.

    Parameters
    ----------
    connections
        Kept open to one host.
    path_is_secret
        Paths are left out of messages, as of webhooks whose path lets anybody in who knows it.
    stop
        When set, from any thread, what is under way ends soon.

    Attributes
    ----------
    session
        For libraries that want one of requests; it keeps to the same rules, but follows no redirect.
    """

    def __init__(
        self,
        config: HttpConfig,
        *,
        connections: int = 4,
        path_is_secret: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        self.session = Session(config, connections)
        self.stop = stop or threading.Event()
        self._show_path = not path_is_secret

    def close(self) -> None:
        self.session.close()

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        body: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        until: float = float("inf"),
        limit: int = SMALL,
        read_only: bool = False,
        status_only: bool = False,
    ) -> Response:
        """Send one request, and read the answer.

        Parameters
        ----------
        params
            Added to the query of the URL; a name may have several values.
        body
            Bytes, or the fields of a form.
        timeout
            Seconds for all of it, redirects included.
        until
            Moment (``time.monotonic()``) that ends it too.
        limit
            Most bytes of the answer, after decompression.
        read_only
            It changes nothing, so that it may be sent again to where any redirect leads.
        status_only
            A status of 2xx is success whatever follows it: a body that is too long, slow or cut is not an error.

        Raises
        ------
        HttpError
            No answer, or none of 2xx.
        """
        until = min(until, time.monotonic() + timeout)
        bare, login = without_user(url), get_auth_from_url(url)
        request = _Request(method, bare, params or {}, body, headers or {}, until, limit, login, status_only)
        # a boundary: requests, urllib3, http.client, ssl, idna and zlib each have errors of their own
        try:
            while True:
                status, answered, content = self._exchange(request)
                if status not in MOVED or "Location" not in answered:
                    break
                self._redirect(request, status, answered["Location"], read_only)
        except ForeshockError:
            raise
        except Exception as exc:
            raise failure(exc, request.url, self._shown(request.url)) from exc
        if 200 <= status < 300:
            return Response(status, answered, content)
        reason = server_message(content, answered.get("Content-Type", ""))
        if request.came_from and not request.trusted:
            reason += f" (after a redirect to {self._shown(request.url)}, where credentials are not sent)"
        raise HttpError(
            f"HTTP {status}: {reason}", status=status, server_message=reason, retriable=status in RETRIED,
            retry_after=retry_after(answered.get("Retry-After")),
        )  # fmt: skip

    def _exchange(self, request: _Request) -> tuple[int, Mapping[str, str], bytes]:
        left = request.until - time.monotonic()
        if self.stop.is_set():
            raise HttpError("stopped")
        if left <= 0:
            raise HttpError("the answer took too long", retriable=True)
        prepared = self.session.prepare_request(
            requests.Request(
                request.method, request.url, params=request.params, data=request.body,
                headers={"Accept-Encoding": "identity", **request.headers},
                auth=Credentials(self.session.config, request.login) if request.trusted else NoCredentials(),
            )
        )  # fmt: skip
        with self.session.send(
            prepared, stream=True, timeout=(min(CONNECT_SECONDS, left), left), verify=self.session.verify
        ) as response:
            try:
                content = self._body(response, request)
            except Exception:  # see above; nothing of it is told
                if not (request.status_only and 200 <= response.status_code < 300):
                    raise
                content = b""
            return response.status_code, response.headers, content

    def _body(self, response: requests.Response, request: _Request) -> bytes:
        """All of a body; of one that is not a success, the beginning."""
        success = 200 <= response.status_code < 300
        pieces, size = [], 0
        while piece := response.raw.read1(PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > (request.limit if success else SMALL):
                if not success:
                    break
                raise AnswerTooLarge(f"the answer is larger than {request.limit} bytes")
            if time.monotonic() > request.until or self.stop.is_set():
                raise HttpError("the answer took too long", retriable=True)
        return b"".join(pieces)

    def _redirect(self, request: _Request, status: int, location: str, read_only: bool) -> None:
        """Point a request at the target of a redirect."""
        target = without_user(urljoin(request.url, location))
        if why := self._not_followed(request, status, target, read_only):
            raise HttpError(
                f"HTTP {status}: a redirect to {self._shown(target)}, which is not followed: {why}; "
                "give the address that it leads to",
                status=status,
            )  # fmt: skip
        request.trusted = request.trusted and same_origin(request.url, target)
        request.came_from.append(request.url)
        if status == 303 and isinstance(request.body, Mapping):
            request.method, request.params, request.body = "GET", {**request.params, **request.body}, None
        # the parameters are added again; those that the server has put into its Location would be there twice
        request.url = without_parameters(target, set(request.params))

    def _not_followed(self, request: _Request, status: int, target: str, read_only: bool) -> str | None:
        if urlsplit(target).scheme not in ("http", "https") or not urlsplit(target).hostname:
            return "it is not an HTTP address"
        if not same_host(request.url, target):
            return "it leads to another host, or from https to http"
        if status not in SAME_METHOD and not read_only:
            return "only 307 and 308 keep method and body"
        if len(request.came_from) >= MOST_REDIRECTS:
            return f"it is the {MOST_REDIRECTS + 1}th in a row"
        return None

    def _shown(self, url: str) -> str:
        return shown(url, path=self._show_path)
