"""Errors of notifiers in one line, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from foreshock_models.errors import ForeshockError
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["masked"]

LONGEST = 500
MASK = "***"
SHORTEST = 3
"""Shorter values are not secrets, and would make gaps in many words."""
KEY = 16
"""A part of a path that is so long may be a key."""


def masked(error: str | BaseException, config: NotifierConfig) -> str:
    """Return an error as one line of at most `LONGEST` characters, without the secrets of a config.

    These are its passwords and headers, and of its URL the user, the password, the parameters and, but for
    Alertmanager, the path: that of a chat's webhook is its password.
    """
    text = error if isinstance(error, str) else _text(error)
    for secret in sorted({*_secrets(config), *_secrets_of_url(config)}, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _text(error: BaseException) -> str:
    """The text of an error, behind its type if it is not one of Foreshock's own."""
    try:
        text = str(error)
    except BaseException:  # code of others
        text = "an error without a text"
    return text if isinstance(error, ForeshockError) else f"{type(error).__name__}: {text}"


def _secrets(config: NotifierConfig) -> Iterator[str]:
    found = [*config.headers.values(), config.proxy_url]
    found += [value for name in type(config).model_fields if isinstance(value := getattr(config, name), SecretStr)]
    if config.basic_auth is not None:
        found.append(config.basic_auth.password)
    if config.authorization is not None:
        found.append(config.authorization.credentials)
    for secret in found:
        if secret is not None:
            yield secret.get_secret_value()


def _secrets_of_url(config: NotifierConfig) -> Iterator[str]:
    try:
        parts = urlsplit(config.url or "")
    except ValueError:  # no URL
        yield config.url or ""
        return
    login = parts.netloc.rpartition("@")[0]
    found = [login, *login.split(":"), parts.query, *(value for _, value in parse_qsl(parts.query))]
    if config.type != "alertmanager":
        found += [parts.path.rstrip("/"), *(part for part in parts.path.split("/") if len(part) >= KEY)]
    for secret in found:
        yield secret
        yield unquote(secret)
