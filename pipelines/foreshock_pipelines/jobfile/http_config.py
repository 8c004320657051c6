"""How to reach a server, in the words of Prometheus' own http_config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from foreshock_pipelines.jobfile.base import Model

__all__ = ["Authorization", "BasicAuth", "HttpConfig", "TlsConfig"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
RESERVED = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "host", "keep-alive",
    "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
"""Headers that the client sets itself."""


class BasicAuth(Model):
    """User name and password, sent as UTF-8 (RFC 7617)."""

    username: str = Field(description="user name, without a colon")
    password: SecretStr | None = Field(None, description="the password; a file keeps it out of the job file")
    password_file: Path | None = Field(None, description="file that holds the password, read again at each use")

    @field_validator("username")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("username: a colon would end it; basic authentication has no way to send one")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("give exactly one of password and password_file")
        return self


class Authorization(Model):
    """The ``Authorization`` header: a type and credentials."""

    type: str = Field("Bearer", pattern=r"^[A-Za-z0-9_-]+$", description="authentication scheme")
    credentials: SecretStr | None = Field(
        None, description="what follows the scheme; a file keeps it out of the job file"
    )
    credentials_file: Path | None = Field(
        None, description="file that holds the credentials, read again at each use"
    )

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.type.lower() == "basic":
            raise ValueError("type: Basic is written as basic_auth: {username: ..., password_file: ...}")
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("give exactly one of credentials and credentials_file")
        return self


class TlsConfig(Model):
    """Certificates and checks of a TLS connection."""

    ca_file: Path | None = Field(
        None, description="certificates that the server's is checked against; default: those of the system"
    )
    cert_file: Path | None = Field(None, description="client certificate")
    key_file: Path | None = Field(None, description="key of the client certificate")
    server_name: str | None = Field(None, description="name in the server's certificate, if not that of the URL")
    insecure_skip_verify: bool = Field(False, description="accept any certificate of the server")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; give both or neither")
        return self


class HttpConfig(Model):
    """How to reach a server: the words of Prometheus' own http_config.

    The same keys mean the same for the source, each notifier and remote write. Only these keys count:
    ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``, ``SSL_CERT_FILE`` and ``~/.netrc`` are not read, and the proxy
    variables of the environment only with `proxy_from_environment`.
    """

    bearer_token_file: Path | None = Field(
        None, description="file that holds a bearer token, read again at each use"
    )
    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with every request")
    tls: TlsConfig = Field(default_factory=TlsConfig)
    proxy_url: SecretStr | None = Field(None, description="proxy, as in http://proxy:3128")
    no_proxy: str = Field("", description="hosts that `proxy_url` is not used for, separated by commas")
    proxy_from_environment: bool = Field(False, description="use HTTP_PROXY, HTTPS_PROXY and NO_PROXY")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = [self.bearer_token_file, self.basic_auth, self.authorization]
        named = any(name.lower() == "authorization" for name in self.headers)
        if sum(way is not None for way in ways) + named > 1:
            raise ValueError("give one of bearer_token_file, basic_auth, authorization and a header Authorization")
        if self.proxy_url is not None and self.proxy_from_environment:
            raise ValueError("give proxy_url or proxy_from_environment, not both")
        return self

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, secret in headers.items():
            if not TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} cannot name a header; use letters, digits and -")
            if name.lower() in RESERVED:
                raise ValueError(f"{name!r} is set by Foreshock itself; remove it")
            value = secret.get_secret_value()
            if not (value.isascii() and value.isprintable()):  # the value may be a secret: it is not shown
                raise ValueError(f"the value of {name!r} must be one line of ASCII text")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header is named twice; their case does not count")
        return headers

    @field_validator("proxy_url")
    @classmethod
    def _proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("must be the address of an HTTP proxy, as in http://proxy:3128")
        return value
