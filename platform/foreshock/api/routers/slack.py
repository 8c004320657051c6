"""``/slack/actions``: buttons that people press in Slack."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from foreshock.api.errors import Problem
from foreshock.api.request_body import receive_body
from foreshock.notify.channels.config import SlackChannel, secret_of
from foreshock.notify.slack_requests import Press, pressed, verify_slack
from foreshock.oncall.ack_links import AckLinks
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.config_file import load_notifications, notifications_file
from foreshock.store.scope import DEFAULT_TENANT, unscoped
from foreshock_models.errors import AccessError, StateError

__all__ = ["add_slack"]

LARGEST = 256 * 1024
"""Bytes; Slack sends the whole message with the button."""


def add_slack(app: FastAPI, backend: Callable[[], Any]) -> None:
    """Add the route; `backend` gives the `Ingress` of this replica."""

    @app.post("/slack/actions", tags=["incidents"])
    async def slack_action(
        request: Request,
        tenant: Annotated[
            str, Query(max_length=63, pattern="^[a-z][a-z0-9_-]*$", description="whose Slack app it is")
        ] = DEFAULT_TENANT,
    ) -> Response:
        """Acknowledge by the button of a message in Slack, which signs the request; 409: used already."""
        body = await receive_body(request.scope, request.receive, LARGEST)
        return await run_in_threadpool(_act, backend(), tenant, body, dict(request.headers))


def _act(here: Any, tenant: str, body: bytes, headers: dict[str, str]) -> Response:
    config = load_notifications(notifications_file(here.settings.notifications, tenant))
    try:
        verify_slack(
            signing_secrets(config), headers.get("x-slack-request-timestamp", ""),
            headers.get("x-slack-signature", ""), body, time.time(),
        )  # fmt: skip
    except AccessError as exc:
        raise Problem(401, str(exc)) from exc
    press = pressed(body)
    if press is None:
        return Response()  # a button that opens a link is told, too
    links = AckLinks(here.store)
    now_ms = round(time.time() * 1000)
    with unscoped():
        if links.look(press.value, now_ms)[0].tenant != tenant:
            raise StateError("this button is of another tenant")
        links.use(press.value, now_ms, who=member_name(config, press), why="by the button in Slack")
    return Response()


def signing_secrets(config: NotificationsConfig) -> list[str]:
    """Return the signing secrets of the Slack apps of a notifications file."""
    slack = [channel for channel in config.channels.values() if isinstance(channel, SlackChannel)]
    return [secret for channel in slack if (secret := secret_of(channel, "signing_secret")) is not None]


def member_name(config: NotificationsConfig, press: Press) -> str:
    """Return the person who is that member of the workspace; else the name in Slack."""
    known = (name for name, person in config.people.items() if person.slack == press.member)
    return next(known, f"{press.name} (Slack)")
