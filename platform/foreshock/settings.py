"""Settings of an installation: the environment, under ``FORESHOCK_``; jobs have files of their own."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.durations import Duration

if TYPE_CHECKING:
    from foreshock.store.retention import Retention

__all__ = ["Settings", "load_settings"]


def _home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "foreshock"


class Settings(BaseSettings):
    """Read from the environment, at start."""

    model_config = SettingsConfigDict(env_prefix="FORESHOCK_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=_home, description="folder of everything that is kept")
    store_url: str | None = Field(None, description="SQLAlchemy URL of the store; default SQLite under home")
    registry_uri: str | None = Field(None, description="folder or filesystem URI of models; default under home")
    api_token: SecretStr | None = Field(
        None, description="bearer token of the HTTP API; default: made on first start"
    )
    host: str = Field("127.0.0.1", description="address that the HTTP API listens on")
    port: int = Field(8700, ge=1, le=65535, description="port of the HTTP API")
    public_url: str | None = Field(
        None, description="URL under which people reach the API; used in links of alerts"
    )
    ray_address: str | None = Field(None, description="Ray cluster; default: start one here")
    max_replicas: int = Field(1, ge=1, le=1000, description="of each part of the HTTP API, added as requests wait")
    max_body: int = Field(64 * 2**20, ge=1024, description="largest accepted request body, bytes")
    keep_alerts: Duration = Field(
        timedelta(days=90), description="how long resolved alerts stay, with their history; also silences"
    )
    keep_runs: Duration = Field(timedelta(days=30), description="how long runs that have ended stay")
    keep_outbox: Duration = Field(timedelta(days=7), description="how long notifications stay after they were sent")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_json: bool = False

    @cached_property
    def store(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.store_url or f"sqlite:///{self.home / 'foreshock.db'}"

    @cached_property
    def retention(self) -> Retention:
        """How long the store keeps what is over."""
        from foreshock.store.retention import Retention

        return Retention(self.keep_alerts, self.keep_runs, self.keep_outbox)

    @cached_property
    def registry(self) -> str:
        """Where models are kept."""
        return self.registry_uri or str(self.home / "models")

    @cached_property
    def url(self) -> str:
        """URL of the API, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` win.

    Raises
    ------
    ConfigError
        One line per wrong variable, with what is allowed.
    """
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        lines = [f"FORESHOCK_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in exc.errors()]
        raise ConfigError("\n".join(lines)) from exc
