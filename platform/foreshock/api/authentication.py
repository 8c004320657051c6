"""The API token of the installation, which may do everything; it needs no store."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from foreshock.runtime.home import load_or_create_secret
from foreshock.settings import Settings
from foreshock_models.errors import ConfigError

__all__ = ["api_token", "present_token"]

SENDABLE = re.compile(r"[\x21-\x7e]+")
"""Characters that fit into a header: printable ASCII without spaces."""
FILE = "api-token"
LONGEST = 4096
"""Letters of a token; a proxy refuses headers of more than about four times as many."""


def api_token(settings: Settings) -> tuple[str, bool]:
    """Return the token of this installation, and whether it was made just now.

    It comes from ``FORESHOCK_API_TOKEN``, else from a file that only its owner can read.

    Raises
    ------
    ConfigError
        The token is empty or cannot be sent in a header, or its file cannot be read or written: without a token
        nothing is served.
    """
    found = present_token(settings)
    if found is not None:
        return found, False
    path = settings.home / FILE
    with _explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _, new = load_or_create_secret(path)
    return _kept(path), new


def present_token(settings: Settings) -> str | None:
    """Return the token if there is one already; errors as `api_token` raises them, which a start tells first."""
    if settings.api_token is not None:
        hint = "unset it, and a token is made and kept in a file"
        return _usable(settings.api_token.get_secret_value(), "FORESHOCK_API_TOKEN", hint)
    path = settings.home / FILE
    with _explained(path):
        there = path.is_symlink() or path.exists()
    return _kept(path) if there else None


def _kept(path: Path) -> str:
    with _explained(path):
        data = path.read_bytes()
    with contextlib.suppress(OSError):  # a file of root's that others may read
        path.chmod(0o600)
    return _usable(data.decode("ascii", errors="replace"), str(path), "remove the file, and a new token is made")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or exc
        raise ConfigError(
            f"{path}: the API token cannot be kept there: {reason}; mend that, or set FORESHOCK_API_TOKEN"
        ) from exc


def _usable(token: str, origin: str, hint: str) -> str:
    token = token.strip(" \t\r\n")
    if not token:
        raise ConfigError(f"{origin}: the API token is empty; {hint}")
    if len(token) > LONGEST or not SENDABLE.fullmatch(token):
        raise ConfigError(
            f"{origin}: the API token cannot be sent in a header: use up to {LONGEST} letters, digits and signs of "
            f"ASCII, without spaces or line breaks; or {hint}"
        )
    return token
