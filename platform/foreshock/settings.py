"""Settings of an installation: the environment, under ``FORESHOCK_``; jobs have files of their own."""

from __future__ import annotations

import os
import pwd
import re
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.durations import Duration, Pause

if TYPE_CHECKING:
    from foreshock.store.retention import Retention

__all__ = ["LiveSettings", "Settings", "load_settings"]

REDIS = ("redis", "rediss", "redis+unix")
RATE = re.compile(r"(\d{1,9}) per (second|minute|hour|day)")
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
"""An origin as browsers write it: in lower case, without a path."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _home() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "foreshock"
    try:
        user = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise ConfigError(
            "FORESHOCK_HOME: must be set to a folder, because HOME is not set and this user has no home directory"
        ) from None
    return Path(user).absolute() / ".local" / "share" / "foreshock"


class LiveSettings(BaseModel):
    """Settings that may change while an installation runs: ``/admin/config``, ``foreshock config``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    anomaly_detection: bool = Field(
        True,
        validation_alias=AliasChoices("FORESHOCK_ANOMALY_DETECTION", "ENABLE_ANOMALY_DETECTION"),
        description="score the jobs and raise alerts; without it, models are trained and served all the same",
    )
    retrain_interval_hours: float | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_RETRAIN_INTERVAL_HOURS", "RETRAIN_INTERVAL_HOURS"),
        gt=0,
        le=8760,
        description="train jobs so often whose files have no `schedule: {train: ...}`; default: daily at 3:00",
    )
    max_body: int = Field(64 * 2**20, ge=1024, description="largest accepted request body, bytes")
    keep_alerts: Duration = Field(
        timedelta(days=90), description="how long resolved alerts stay, with their history; also silences"
    )
    keep_runs: Duration = Field(timedelta(days=30), description="how long runs that have ended stay")
    keep_outbox: Duration = Field(timedelta(days=7), description="how long notifications stay after they were sent")
    keep_incidents: Duration = Field(
        timedelta(days=365), description="how long resolved incidents stay, with their timeline"
    )
    limit_failures: str = Field(
        "20 per minute", description="wrong tokens and logins that an address may send, before it has to wait"
    )
    limit_address: str = Field(
        "6000 per minute",
        description="requests without a token from each address; ten times as many of health; fewer after failures",
    )
    limit_person: str = Field("1200 per minute", description="requests of each person")
    limit_program: str | None = Field(None, description="requests of each token of a program; default: no limit")
    limit_tenant: str | None = Field(
        None, description="requests of the people and programs of each tenant; default: no limit"
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="lowest level that is logged"
    )

    @field_validator("limit_failures", "limit_address", "limit_person", "limit_program", "limit_tenant")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        found = None if value is None else RATE.fullmatch(value)
        if value is not None and (found is None or int(found[1]) == 0):
            raise ValueError("write a number and a unit, as in 600 per minute; units: second, minute, hour, day")
        return value

    @property
    def retention(self) -> Retention:
        """How long the store keeps what is over."""
        from foreshock.store.retention import Retention

        return Retention(self.keep_alerts, self.keep_runs, self.keep_outbox, self.keep_incidents)


class Settings(BaseSettings, LiveSettings):
    """Read from the environment, at start."""

    model_config = SettingsConfigDict(env_prefix="FORESHOCK_", frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(default_factory=_home, description="folder of everything that is kept")
    store_url: str | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_STORE_URL", "DATABASE_URL"),
        description="SQLAlchemy URL of the store; default SQLite under home",
    )
    store_pool_size: int | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_STORE_POOL_SIZE", "DATABASE_POOL_SIZE"),
        ge=1,
        le=1000,
        description="connections that each process keeps to PostgreSQL, and as many more for a while; default: 5",
    )
    registry_uri: str | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_REGISTRY_URI", "AI_MODELS_PATH"),
        description="folder or filesystem URI of models; default under home",
    )
    api_token: SecretStr | None = Field(
        None, description="bearer token of the HTTP API; default: made on first start"
    )
    host: str = Field("127.0.0.1", description="address that the HTTP API listens on")
    port: int = Field(8700, ge=1, le=65535, description="port of the HTTP API")
    tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate and its chain; with it, the API speaks HTTPS"
    )
    tls_key: Path | None = Field(
        None, description="PEM file of its private key, which only its owner can read; default: the same file"
    )
    tls_min_version: Literal["1.2", "1.3"] = Field("1.3", description="lowest version of TLS that is spoken")
    tls_ca: Path | None = Field(
        None, description="PEM file of authorities that clients of the API trust, beside those of the system"
    )
    hsts: Pause = Field(
        timedelta(days=365), description="how long browsers insist on HTTPS for the host (HSTS); 0s: not at all"
    )
    allow_plain_http: bool = Field(False, description="listen without TLS beyond loopback")
    public_url: str | None = Field(
        None, description="URL under which people reach the API; used in links of alerts"
    )
    ray_address: str | None = Field(None, description="Ray cluster; default: start one here")
    max_replicas: int = Field(1, ge=1, le=1000, description="of each part of the HTTP API, added as requests wait")
    notifications: Path | None = Field(
        None,
        description="notifications file: channels, people, schedules, policies; or a folder with TENANT.yaml for "
        "each tenant; default: the log alone",
    )
    oidc: Path | None = Field(
        None, description="single sign-on file: provider, client, roles of groups; default: no single sign-on"
    )
    cors_origins: str = Field(
        "", description="origins of other sites whose pages may use the API, with commas between; default: none"
    )
    redis_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_REDIS_URL", "REDIS_URL"),
        description="Redis in which all processes count requests together; default: each counts for itself",
    )
    redis_password: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("FORESHOCK_REDIS_PASSWORD", "REDIS_PASSWORD"),
        description="password of that Redis, if its URL has none",
    )
    audit: str = Field(
        "", pattern="^((sox|gdpr)(,(sox|gdpr))?)?$",
        description="profiles of the audit log, with a comma between: `sox` (reads are audited, too; nothing is "
        "erased for seven years), `gdpr` (pseudonyms take the place of people in time)",
    )  # fmt: skip
    audit_pseudonyms: Duration = Field(
        timedelta(days=90), description="with `gdpr`: after how long pseudonyms take the place of people"
    )
    log_json: bool = Field(False, description="one JSON object a line, instead of text")

    @field_validator("home", mode="before")
    @classmethod
    def _absolute(cls, value: Any) -> Path:
        """One folder for all processes, whatever folder they run in."""
        if str(value) == "":
            return _home()
        try:
            return Path(value).expanduser().absolute()
        except RuntimeError as exc:  # ~somebody
            raise ValueError(str(exc)) from exc

    @field_validator("tls_certificate", "tls_key", "tls_ca", mode="before")
    @classmethod
    def _file(cls, value: Any) -> Path | None:
        """As `_absolute`; an empty one is none."""
        return None if value is None or str(value) == "" else cls._absolute(value)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        text = "" if value is None else value.get_secret_value()
        try:
            parts = urlsplit(text)
            wrong = (
                not (parts.hostname or parts.scheme == "redis+unix") or parts.scheme not in REDIS or parts.port == 0
            )
        except ValueError:
            wrong = True
        if text and wrong:
            raise ValueError("write redis://HOST:PORT/NUMBER, rediss:// for TLS, or redis+unix:///path")
        return value if text else None

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in _words(value):
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin[:200]!r} is no origin; write scheme and host, as in https://page.example.org"
                )
        return value

    @cached_property
    def origins(self) -> tuple[str, ...]:
        """Origins of other sites that may use the API."""
        return _words(self.cors_origins)

    @cached_property
    def store(self) -> str:
        """SQLAlchemy URL of the store."""
        if self.store_url:
            if self.store_pool_size is None or not self.store_url.startswith("postgres"):
                return self.store_url
            sign = "&" if "?" in self.store_url else "?"
            return f"{self.store_url}{sign}pool_size={self.store_pool_size}"
        from sqlalchemy.engine import URL

        url = URL.create("sqlite", database=str(self.home / "foreshock.db"))  # quotes what has a meaning in URLs
        return url.render_as_string(hide_password=False)

    @cached_property
    def pinned(self) -> dict[str, Any]:
        """Live settings that the environment or a command fixes, as JSON values."""
        fixed = self.model_fields_set & set(LiveSettings.model_fields)
        return self.model_dump(mode="json", include=fixed)

    @cached_property
    def registry(self) -> str:
        """The folder or bucket of models."""
        return self.registry_uri or str(self.home / "models")

    @cached_property
    def url(self) -> str:
        """URL of the API, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "http" if self.tls_certificate is None else "https"
        return (self.public_url or f"{scheme}://{host}:{self.port}").rstrip("/")


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
        names = ["_".join(map(str, e["loc"])).upper().removeprefix("FORESHOCK_") for e in exc.errors()]
        lines = [f"FORESHOCK_{name}: {e['msg']}" for name, e in zip(names, exc.errors(), strict=True)]
        raise ConfigError("\n".join(lines)) from exc
