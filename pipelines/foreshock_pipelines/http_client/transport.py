"""Connections that keep to their time, their TLS settings and their proxy, whatever the environment says."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import InsecureRequestWarning

from foreshock_pipelines.http_client.credentials import Credentials
from foreshock_pipelines.http_client.tls import stamp, tls_context
from foreshock_pipelines.jobfile import HttpConfig

__all__ = ["Session", "proxies"]


class Session(requests.Session):
    """A session of requests that follows a config alone: no ``~/.netrc``, no CA bundle of the environment.

    Cookies are not kept, and redirects never followed here. A library that wants a session, as
    prometheus-api-client does, keeps to the same rules with it.
    """

    def __init__(self, config: HttpConfig, connections: int = 4) -> None:
        super().__init__()
        self.config = config
        self.trust_env = False
        self.headers["User-Agent"] = "foreshock"
        self.auth = Credentials(config)
        self.verify = not config.tls.insecure_skip_verify
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        if config.tls.insecure_skip_verify:  # asked for, so not warned about at each request
            urllib3.disable_warnings(InsecureRequestWarning)
        self._connections = connections
        self._stamp: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self.adapters.clear()
        self.mount("http://", _Adapter(connections))

    def get_adapter(self, url: str) -> BaseAdapter:
        """The adapter of a scheme; that of TLS is made again when a file of its config has changed."""
        if url.lower().startswith("https://"):
            with self._lock:
                if (now := stamp(self.config.tls)) != self._stamp:
                    self.mount("https://", _Adapter(self._connections, self.config))
                    self._stamp = now
        return super().get_adapter(url)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["proxies"] = proxies(self.config, request.url or "")
        kwargs["allow_redirects"] = False
        return super().send(request, **kwargs)


def proxies(config: HttpConfig, url: str) -> dict[str, str]:
    """The proxy for a URL, by scheme: that of the config, or, if it says so, of the environment."""
    if config.proxy_url is not None:
        own = config.proxy_url.get_secret_value()
        table = {"http": own, "https": own, "no": config.no_proxy}
    elif config.proxy_from_environment:
        table = getproxies_environment()
    else:
        return {}
    parts = urlsplit(url)
    if proxy_bypass_environment(parts.netloc.rpartition("@")[2], table):
        return {}
    proxy = table.get(parts.scheme) or table.get("all")
    return {parts.scheme: proxy} if proxy else {}


class _Adapter(HTTPAdapter):
    def __init__(self, connections: int, tls: HttpConfig | None = None) -> None:
        self._pool_arguments: dict[str, Any] = {}
        if tls is not None:
            self._pool_arguments = {"ssl_context": tls_context(tls.tls)}
            if tls.tls.server_name is not None:
                self._pool_arguments |= {"server_hostname": tls.tls.server_name}
                if not tls.tls.insecure_skip_verify:
                    self._pool_arguments |= {"assert_hostname": tls.tls.server_name}
        super().__init__(pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, **kwargs, **self._pool_arguments)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs, **self._pool_arguments)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context knows whom to trust; requests would add its own bundle."""


class _Timed(io.RawIOBase):
    """Reads from a socket up to a moment: the limit of a socket itself starts again at each byte."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        limit = sock.gettimeout()
        self._until = None if limit is None else time.monotonic() + limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}
