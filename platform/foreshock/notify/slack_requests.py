"""Requests that Slack signs: https://docs.slack.dev/authentication/verifying-requests-from-slack."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from foreshock_models.errors import AccessError, ConfigError

__all__ = ["ACKNOWLEDGE", "Press", "pressed", "slack_signature", "verify_slack"]

ACKNOWLEDGE = "foreshock_acknowledge"
"""Id of the button that acknowledges."""
WINDOW_SECONDS = 300
"""A request that is older, or of the future, is a replay, or a clock that is wrong."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button that a member of a Slack workspace pressed; `value` is the token that the button holds."""

    value: str
    member: str
    name: str


def slack_signature(secret: str, timestamp: str, body: bytes) -> str:
    """Sign a body as Slack does."""
    made = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return f"v0={made}"


def verify_slack(secrets: Iterable[str], timestamp: str, signature: str, body: bytes, now_seconds: float) -> None:
    """Check that a request is of a Slack app with one of the signing secrets, and of now.

    Raises
    ------
    AccessError
        It is not, or it is too old.
    """
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 15:
        raise AccessError("the request has no X-Slack-Request-Timestamp")
    if abs(now_seconds - int(timestamp)) > WINDOW_SECONDS:
        raise AccessError(f"the request is of another time: more than {WINDOW_SECONDS} s away")
    given = signature.encode()
    matches = [hmac.compare_digest(slack_signature(each, timestamp, body).encode(), given) for each in secrets]
    if not any(matches):
        raise AccessError("the signature is of no Slack app that the notifications file names")


def pressed(body: bytes) -> Press | None:
    """Read which button was pressed, from the body of an interaction; None if it is none of Foreshock's.

    Raises
    ------
    ConfigError
        The body is no interaction.
    """
    try:
        payload: Any = json.loads(parse_qs(body.decode("utf-8")).get("payload", [""])[0])
        actions = [each for each in payload.get("actions", []) if each.get("action_id") == ACKNOWLEDGE]
        user = payload.get("user", {})
        if not actions:
            return None
        name = user.get("username") or user.get("name") or user["id"]
        return Press(str(actions[0]["value"]), str(user["id"])[:64], str(name)[:64])
    except (UnicodeDecodeError, ValueError, AttributeError, KeyError, TypeError) as exc:
        raise ConfigError("the body is no interaction of Slack: a form whose payload is JSON") from exc
