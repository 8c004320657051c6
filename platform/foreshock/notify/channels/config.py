"""Configuration of channels: ``channels:`` in the notifications file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, model_validator

from foreshock.notify.limits import Rule
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Duration, NotifierConfig
from foreshock_pipelines.jobfile.base import Model

__all__ = [
    "AlertmanagerChannel", "AppriseChannel", "ChannelConfig", "EmailChannel", "Limits", "LogChannel",
    "PagerDutyChannel", "SlackChannel", "TeamsChannel", "WebhookChannel", "secret_of",
]  # fmt: skip


class Limits(Model):
    """Most messages within a time; what is over it waits, and comes in one message."""

    most: int = Field(ge=1, le=1000, description="messages")
    within: Duration = Field(description="the time: 15m")

    @property
    def rule(self) -> Rule:
        return Rule(self.most, round(self.within.total_seconds() * 1000))


def _with_environment(value: Any, names: Mapping[str, str]) -> Any:
    """Fill in keys that are missing from variables of the environment that are set."""
    if not isinstance(value, dict):
        return value
    found = {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}
    return {**found, **value}


class _Channel(NotifierConfig):
    template: str | None = Field(
        None, pattern=r"^[a-z0-9_-]{1,64}$", description="name of a template file; default: the type of the channel"
    )
    language: Literal["en", "de", "fr"] = Field("en", description="of built-in texts and of template files")
    limits: list[Limits] | None = Field(
        None, max_length=10, description="rate limits; default: those of the type, see the how-to page"
    )
    fallback: str | None = Field(None, max_length=64, description="channel that gets what this one cannot deliver")
    fallback_after: int = Field(3, ge=1, le=100, description="failures in a row before that")
    digest: Duration | None = Field(
        None, description="gather messages that are not critical for so long, and send them as one"
    )


class LogChannel(_Channel):
    """One line in the log of the platform."""

    type: Literal["log"]


class WebhookChannel(_Channel):
    """JSON by POST, signed with HMAC-SHA256 if there is a secret."""

    type: Literal["webhook"]
    secret: SecretStr | None = Field(None, description="shared with the receiver, who checks signatures with it")
    secret_file: Path | None = Field(None, description="file with the secret, read each time")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        return _one(self, "secret", required=False)


class AlertmanagerChannel(_Channel):
    """Alertmanager; each incident is one alert there."""

    type: Literal["alertmanager"]


class EmailChannel(_Channel):
    """E-mail by SMTP."""

    type: Literal["email"]
    host: str = Field(max_length=255, description="name or address of the SMTP server")
    port: int = Field(587, ge=1, le=65535, description="587 for STARTTLS, 465 for TLS, 25 for neither")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    ca_file: Path | None = Field(None, description="certificates that the server's is checked by")
    sender: str = Field("foreshock@localhost", alias="from", max_length=320, description="address of the sender")
    to: list[Annotated[str, Field(max_length=320)]] = Field(
        min_length=1, max_length=100, description="addresses of the receivers"
    )
    username: str | None = Field(None, max_length=320, description="for authentication; null: none")
    password: SecretStr | None = Field(None, description="for authentication")
    password_file: Path | None = Field(None, description="file with the password, read each time")

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, value: Any) -> Any:
        """The server that the environment names, unless the file does."""
        return _with_environment(value, {"host": "EMAIL_SMTP_SERVER", "port": "EMAIL_SMTP_PORT"})

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        for address in (self.sender, *self.to):
            if not address.isprintable() or "@" not in address:
                raise ValueError(f"{address!r} is no e-mail address")
        if self.username is not None and self.security == "none":
            raise ValueError("a password is sent over an encrypted connection only; security: starttls or tls")
        return _one(self, "password", required=self.username is not None)


class SlackChannel(_Channel):
    """Slack: by an incoming webhook (`url`), or by a bot (`token` and `channel`), which updates its messages."""

    type: Literal["slack"]
    token: SecretStr | None = Field(None, description="of the bot: xoxb-...")
    token_file: Path | None = Field(None, description="file with the token, read each time")
    channel: str | None = Field(None, max_length=255, description="id of the channel that the bot writes to")
    signing_secret: SecretStr | None = Field(
        None, description="of the Slack app: its button acknowledges at once, by POST /slack/actions"
    )
    signing_secret_file: Path | None = Field(None, description="file with the signing secret, read each time")
    api: str = Field("https://slack.com/api", max_length=2048, description="base address of Slack's API")

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, value: Any) -> Any:
        """The webhook that the environment names, unless the file names another way."""
        if isinstance(value, dict) and {"url", "token", "token_file"} & set(value):
            return value
        return _with_environment(value, {"url": "SLACK_WEBHOOK_URL"})

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        bot = self.token is not None or self.token_file is not None
        if bot == (self.url is not None):
            raise ValueError("give either the url of an incoming webhook, or token and channel of a bot")
        if bot and self.channel is None:
            raise ValueError("a bot needs a channel: the id of the one that it writes to")
        _one(self, "signing_secret", required=False)
        return _one(self, "token", required=bot)


class TeamsChannel(_Channel):
    """Microsoft Teams, by the webhook of a workflow; messages are adaptive cards."""

    type: Literal["teams"]

    @model_validator(mode="after")
    def _url(self) -> Self:
        if self.url is None:
            raise ValueError("teams needs the url of a workflow's webhook")
        return self


class PagerDutyChannel(_Channel):
    """PagerDuty, Events API v2; an incident is one there, too."""

    type: Literal["pagerduty"]
    routing_key: SecretStr | None = Field(None, description="integration key of the service")
    routing_key_file: Path | None = Field(None, description="file with the key, read each time")
    api: str = Field(
        "https://events.pagerduty.com", max_length=2048, description="https://events.eu.pagerduty.com in Europe"
    )

    @model_validator(mode="after")
    def _key(self) -> Self:
        return _one(self, "routing_key", required=True)


class AppriseChannel(_Channel):
    """Any service of Apprise, by its URL: SMS providers, Telegram, Matrix, ntfy, Signal ..."""

    type: Literal["apprise"]
    service: SecretStr | None = Field(None, description="URL of Apprise, as in twilio://SID:TOKEN@FROM/TO")
    service_file: Path | None = Field(None, description="file with the URL, read each time")
    sms: bool = Field(False, description="texts are short, and limits are those of SMS")

    @model_validator(mode="after")
    def _service(self) -> Self:
        return _one(self, "service", required=True)


C = TypeVar("C", bound=_Channel)
ChannelConfig = Annotated[
    AlertmanagerChannel
    | AppriseChannel
    | EmailChannel
    | LogChannel
    | PagerDutyChannel
    | SlackChannel
    | TeamsChannel
    | WebhookChannel,
    Field(discriminator="type"),
]


def secret_of(config: _Channel, name: str) -> str | None:
    """Return a secret that is given itself or by a file; None if neither is.

    Raises
    ------
    ConfigError
        The file cannot be read, or is empty.
    """
    given: SecretStr | None = getattr(config, name)
    if given is not None:
        return given.get_secret_value()
    file: Path | None = getattr(config, f"{name}_file")
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{file}: {name} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    if not text:
        raise ConfigError(f"{file}: is empty; it is to hold {name}")
    return text


def _one(config: C, name: str, *, required: bool) -> C:
    given = [getattr(config, name) is not None, getattr(config, f"{name}_file") is not None]
    if sum(given) > 1 or (required and not any(given)):
        raise ValueError(f"give {name} or {name}_file{'' if required else ', or neither'}")
    return config
