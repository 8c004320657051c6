"""Who may do what: the one place that decides. At present one bearer token may do everything."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from foreshock.settings import Settings

__all__ = ["OPEN_PATHS", "Guard", "api_token"]

OPEN_PATHS = {"/healthz", "/readyz", "/docs", "/openapi.json"}
"""Answer without a token: probes and browsers have none, and they tell nothing of this installation."""


class Guard:
    """Checks the ``Authorization`` header of a request.

    Parameters
    ----------
    digest
        SHA-256 of the token: the token itself stays out of Ray's object store and logs.
    """

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def admits(self, path: str, authorization: str | None) -> bool:
        if path in OPEN_PATHS:
            return True
        scheme, _, token = (authorization or "").partition(" ")
        given = hashlib.sha256(token.strip().encode()).hexdigest()
        return scheme.lower() == "bearer" and hmac.compare_digest(given, self.digest)


def api_token(settings: Settings) -> tuple[str, bool]:
    """The token of this installation, and whether it was made just now.

    It comes from ``FORESHOCK_API_TOKEN``, else from a file that only its owner can read.
    """
    if settings.api_token is not None:
        return settings.api_token.get_secret_value(), False
    path: Path = settings.home / "api-token"
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip(), False
    with os.fdopen(handle, "w") as file:
        file.write(token)
    return token, True
