"""``foreshock notify``: check the notifications file, test its channels, preview messages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, stream, tell
from foreshock.cli.options import the_store

if TYPE_CHECKING:
    from foreshock.oncall.service import Notifications

notify = typer.Typer(help="Notifications: check, test, preview, send.", no_args_is_help=True)
app.add_typer(notify, name="notify")

ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="Name of a channel in the notifications file.")]


@notify.command("check")
def notify_check() -> None:
    """Check the notifications file; say who is told of what, and gaps of its schedules in the next two weeks."""
    from datetime import UTC, datetime

    from foreshock.oncall.service import duty

    config = _service().config
    for name, channel in sorted(config.channels.items()):
        say(f"channel {name}: {channel.type}")
    for each in duty(config, datetime.now(UTC)):
        say(f"schedule {each['schedule']}: {each['on_call'] or 'nobody'} until {each['until']}")
        for gap in each["gaps"]:
            tell((f"schedule {each['schedule']}: nobody from {gap['start']} to {gap['end']}", "yellow"))


@notify.command("test")
def notify_test(channel: ChannelName) -> None:
    """Send a message that says that it is a test, now."""
    _service().test(channel, _now_ms())
    say(f"{channel}: delivered")


@notify.command("preview")
def notify_preview(
    channel: ChannelName,
    incident: Annotated[
        str | None, typer.Argument(help="Id of an incident, or its beginning; default: an example.")
    ] = None,
    event: Annotated[str, typer.Option(help="paged, escalated, acknowledged, resolved or reopened.")] = "paged",
) -> None:
    """Show the message that a channel would send about an incident."""
    from foreshock.store.ids import find_id

    service = _service()
    name = find_id(service.store, "incident", incident) if incident is not None else None
    shown = service.preview(channel, name, _now_ms(), event)
    if shown.problem:
        tell((shown.problem, "yellow"))
    say((shown.title, "bold"))
    stream(shown.body)


@notify.command("send")
def notify_send(
    text: Annotated[str, typer.Argument(help="The message.")],
    to: Annotated[list[str] | None, typer.Option(help="Name of a person; repeat.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Name of a channel; repeat.")] = None,
    priority: Annotated[str, typer.Option(help="low, normal or high.")] = "normal",
) -> None:
    """Send a message of your own; the running installation delivers it."""
    sent = _service().send(text, recipients=to or (), channels=channel or (), priority=priority, now_ms=_now_ms())
    say(f"{sent}: on its way")


def _service() -> Notifications:
    from foreshock.oncall.config_file import load_notifications, notifications_file
    from foreshock.oncall.service import Notifications
    from foreshock.settings import load_settings
    from foreshock.store.scope import current_tenant

    settings = load_settings()
    config: Any = load_notifications(notifications_file(settings.notifications, current_tenant()))
    return Notifications(the_store(), config, settings.url)


def _now_ms() -> int:
    return round(time.time() * 1000)
