"""Sign in at an HTTP API from a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from foreshock.runtime.trust import trusting
from foreshock.settings import load_settings
from foreshock_models.errors import AccessError, HttpError

__all__ = ["sign_in"]

PATIENCE = 30.0


def sign_in(url: str | None, name: str, ask: Callable[[str], str]) -> dict[str, Any]:
    """Return the tokens of a new session; `ask` gives password and code, and the new password where one is due.

    Raises
    ------
    AccessError
        It was refused.
    HttpError
        Nobody answers there.
    """
    settings = load_settings()
    base = (url or settings.url).rstrip("/")
    with httpx.Client(base_url=base, timeout=PATIENCE, verify=trusting(settings)) as client:
        body = {"name": name, "password": ask("Password")}
        found = _post(client, "/auth/login", body)
        if found.status_code == 401 and "code_needed" in found.text:
            found = _post(client, "/auth/login", {**body, "code": ask("Code of the second factor")})
        tokens = _answer(found)
        if tokens["must_change_password"]:
            change = {"old": body["password"], "new": ask("New password")}
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            _answer(_post(client, "/auth/password", change, headers))
            tokens["must_change_password"] = False
        return tokens


def _post(
    client: httpx.Client, path: str, body: dict[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    try:
        return client.post(path, json=body, headers=headers)
    except httpx.HTTPError as exc:
        hint = "is foreshock up there?"
        if "CERTIFICATE_VERIFY_FAILED" in str(exc):
            hint = "name its authority in FORESHOCK_TLS_CA, and use a host name that the certificate is for"
        raise HttpError(f"{client.base_url}: no answer: {exc}; {hint}") from exc


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 204:
        return {}
    try:
        value = response.json()
    except ValueError:
        value = {}
    if response.is_success and isinstance(value, dict):
        return value
    detail = value.get("detail") if isinstance(value, dict) else None
    raise AccessError(f"{response.url.path}: {detail or response.status_code}")
