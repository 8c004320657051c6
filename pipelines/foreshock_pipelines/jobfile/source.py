"""Where a job's metrics are: Prometheus' own http_config, or a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, Field, SecretStr, TypeAdapter, field_validator, model_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.durations import Duration, parse_duration

__all__ = ["BasicAuth", "HttpConfig", "SourceConfig", "TlsConfig"]


class BasicAuth(Model):
    username: str
    password: SecretStr | None = None
    password_file: Path | None = Field(None, description="file that holds the password")

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("give exactly one of password and password_file")
        return self


class TlsConfig(Model):
    ca_file: Path | None = Field(None, description="certificates that the server's is checked against")
    cert_file: Path | None = Field(None, description="client certificate")
    key_file: Path | None = Field(None, description="key of the client certificate")
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together; give both or neither")
        return self


class HttpConfig(Model):
    """How to reach a server: the words of Prometheus' own http_config."""

    bearer_token_file: Path | None = Field(
        None, description="file that holds a bearer token, read anew at each use"
    )
    basic_auth: BasicAuth | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with every request")
    tls: TlsConfig = Field(default_factory=TlsConfig)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token_file is not None and self.basic_auth is not None:
            raise ValueError("give bearer_token_file or basic_auth, not both")
        return self


class SourceConfig(HttpConfig):
    """Exactly one of `prometheus` (a URL) and `parquet` (a file of saved windows)."""

    prometheus: Annotated[
        str | None,
        Field(
            description="URL of Prometheus, VictoriaMetrics, Thanos or Mimir",
            examples=["http://localhost:9090"],
        ),
    ] = None
    parquet: Annotated[
        Path | None, Field(description="Parquet file of windows, as `foreshock fetch` writes it")
    ] = None
    parallel: int = Field(4, ge=1, le=64, description="requests under way at once")
    timeout: Duration = Field(parse_duration("30s"), description="limit of one request")
    deadline: Duration = Field(parse_duration("10m"), description="limit of one whole read, retries included")
    query_offset: Duration | None = Field(
        None, description="score rows so long after their time, where samples arrive late (as in rule groups)"
    )
    retries: int = Field(4, ge=0, le=20, description="on 429, 5xx and timeouts, with backoff and jitter")
    compression: bool = Field(
        False, description="ask for gzip; Prometheus compresses slowly, so only for slow links"
    )

    @field_validator("prometheus")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return None if value is None else str(TypeAdapter(AnyHttpUrl).validate_python(value)).rstrip("/")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.prometheus is None) == (self.parquet is None):
            raise ValueError("give exactly one of prometheus (a URL) and parquet (a file)")
        return self
