"""Credentials and headers of a config, set again for each request."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from requests import PreparedRequest
from requests.auth import AuthBase
from requests.utils import get_auth_from_url

from foreshock_models.errors import HttpError
from foreshock_pipelines.jobfile import HttpConfig

__all__ = ["Credentials", "NoCredentials"]

LONGEST_SECRET = 1 << 16


class Credentials(AuthBase):
    """Sets ``Authorization`` and the headers of a config; files are read each time, so that secrets may be rotated.

    `login`: user and password of the URL; those of the config go first.
    """

    def __init__(self, config: HttpConfig, login: tuple[str, str] = ("", "")) -> None:
        self.config = config
        self.login = login

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        for name, value in self.config.headers.items():
            request.headers[name] = value.get_secret_value()
        authorization = self._authorization(request.url or "")
        if authorization is not None:
            request.headers["Authorization"] = authorization
        return request

    def _authorization(self, url: str) -> str | None:
        config = self.config
        if config.bearer_token_file is not None:
            return f"Bearer {_token(_read(config.bearer_token_file), config.bearer_token_file)}"
        if (own := config.authorization) is not None:
            if own.credentials_file is not None:
                return f"{own.type} {_token(_read(own.credentials_file), own.credentials_file)}"
            secret = own.credentials.get_secret_value() if own.credentials else ""
            return f"{own.type} {_token(secret, 'authorization: credentials')}"
        if (basic := config.basic_auth) is not None:
            if basic.password_file is not None:
                return _basic(basic.username, _read(basic.password_file))
            return _basic(basic.username, basic.password.get_secret_value() if basic.password else "")
        user, password = self.login if any(self.login) else get_auth_from_url(url)
        return _basic(user, password) if user or password else None


class NoCredentials(AuthBase):
    """Leaves a request as it is: for the target of a redirect that leads elsewhere."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_SECRET + 1)
    except OSError as exc:
        raise HttpError(f"{path}: cannot read the secret: {exc.strerror or exc}") from exc
    if len(content) > LONGEST_SECRET:
        raise HttpError(f"{path}: cannot read the secret: the file is larger than {LONGEST_SECRET} bytes")
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise HttpError(f"{path}: cannot read the secret: it is not UTF-8 text") from None
    if not secret:
        raise HttpError(f"{path}: cannot read the secret: the file is empty")
    return secret


def _token(value: str, where: object) -> str:
    # http.client would refuse it too, but with the secret in its message
    if not (value.isascii() and value.isprintable()):
        raise HttpError(f"{where}: must be one line of ASCII text to be sent as a header")
    return value
