"""What errors of notifiers may say: one line, without what lets anybody in."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["masked"]

LONGEST = 500
MASK = "***"
SHORTEST = 3
"""Shorter values are no secrets, and would make gaps in many words."""


def masked(text: str, config: NotifierConfig) -> str:
    """Return one line of at most `LONGEST` characters, without the secrets of a config.

    These are user, password, path and parameters of its URL (the path of a chat's webhook is its password), its
    headers and its password.
    """
    for secret in sorted(set(_secrets(config)), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _secrets(config: NotifierConfig) -> Iterator[str]:
    for value in config.headers.values():
        yield value.get_secret_value()
    if config.basic_auth is not None and config.basic_auth.password is not None:
        yield config.basic_auth.password.get_secret_value()
    try:
        parts = urlsplit(config.url or "")
    except ValueError:
        yield config.url or ""
        return
    login, _, _ = parts.netloc.rpartition("@")
    parameters = [value for _, value in parse_qsl(parts.query)]
    path = (
        [] if config.type == "alertmanager" else [parts.path.rstrip("/"), *filter(_random, parts.path.split("/"))]
    )
    for secret in (login, *login.split(":"), parts.query, *parameters, *path):
        yield secret
        yield unquote(secret)


def _random(segment: str) -> bool:
    """Whether a part of a path is long enough to be a key."""
    return len(segment) >= 16
