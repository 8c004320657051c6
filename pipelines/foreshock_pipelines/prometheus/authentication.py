"""How to be let in: TLS, passwords, tokens and headers, in the words of Prometheus' own http_config."""

from __future__ import annotations

from pathlib import Path

import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url
from urllib3.exceptions import InsecureRequestWarning

from foreshock_models.errors import SourceUnavailable
from foreshock_pipelines.jobfile import HttpConfig

__all__ = ["HttpAuth", "http_auth", "http_headers", "http_session"]


def http_session(config: HttpConfig) -> requests.Session:
    """A session with the TLS settings of a config."""
    session = requests.Session()
    tls = config.tls
    if tls.insecure_skip_verify:  # asked for, so not warned about at each request
        urllib3.disable_warnings(InsecureRequestWarning)
    session.verify = False if tls.insecure_skip_verify else str(tls.ca_file) if tls.ca_file else True
    if tls.cert_file and tls.key_file:
        session.cert = (str(tls.cert_file), str(tls.key_file))
    return session


def http_headers(config: HttpConfig) -> dict[str, str]:
    """Headers of one request; the bearer token is read each time, so that it may be rotated."""
    headers = {name: _header(value.get_secret_value(), name) for name, value in config.headers.items()}
    if config.bearer_token_file is not None:
        headers["Authorization"] = "Bearer " + _header(
            _secret(config.bearer_token_file), str(config.bearer_token_file)
        )
    return headers


def http_auth(config: HttpConfig) -> tuple[str, str] | None:
    """User and password of one request."""
    basic = config.basic_auth
    if basic is None:
        return None
    if basic.password_file is not None:
        return basic.username, _secret(basic.password_file)
    return basic.username, basic.password.get_secret_value() if basic.password else ""


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as exc:
        raise SourceUnavailable(f"{path}: cannot read the secret: {exc.strerror or exc}") from exc
    except UnicodeDecodeError:
        raise SourceUnavailable(f"{path}: cannot read the secret: it is not text") from None


def _header(value: str, where: str) -> str:
    # http.client would refuse it too, but with the secret in its message
    if not (value.isascii() and value.isprintable()):
        raise SourceUnavailable(f"{where}: must be one line of ASCII text to be sent as a header")
    return value


class HttpAuth(AuthBase):
    """Headers and secrets of a config, set again for each request.

    Given as `auth`, not as headers, because requests would put a password of ``~/.netrc`` in their place.
    """

    def __init__(self, config: HttpConfig) -> None:
        self.config = config

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        login = http_auth(self.config) or get_auth_from_url(request.url or "")
        if any(login):
            request = HTTPBasicAuth(*(word.encode() for word in login))(request)
        request.headers.update(http_headers(self.config))
        return request
