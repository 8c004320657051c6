"""Channels by type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foreshock.notify.channels.alertmanager import AlertmanagerIncidents
from foreshock.notify.channels.apprise import Apprise
from foreshock.notify.channels.base import Channel, Memory, NoMemory, Picture
from foreshock.notify.channels.config import _Channel
from foreshock.notify.channels.email import Email
from foreshock.notify.channels.log import LogLines
from foreshock.notify.channels.pagerduty import PagerDuty
from foreshock.notify.channels.slack import Slack
from foreshock.notify.channels.teams import Teams
from foreshock.notify.channels.webhook import SignedWebhook
from foreshock.notify.limits import DEFAULTS, Rule
from foreshock.notify.templates import Templates

__all__ = ["CHANNELS", "make_channel", "rules_of"]

CHANNELS: dict[str, Callable[..., Channel]] = {
    "alertmanager": AlertmanagerIncidents,
    "apprise": Apprise,
    "email": Email,
    "log": LogLines,
    "pagerduty": PagerDuty,
    "slack": Slack,
    "teams": Teams,
    "webhook": SignedWebhook,
}


def make_channel(
    name: str,
    config: _Channel,
    templates: Templates | None = None,
    memory: Memory | None = None,
    picture: Picture | None = None,
) -> Channel:
    """Make the channel of a config; `picture` draws the timeline of an incident."""
    made = CHANNELS[config.type](name, config, templates or Templates(), memory or NoMemory())
    if picture is not None:
        made.picture = picture
    return made


def rules_of(config: Any) -> Sequence[Rule]:
    """Rate limits of a channel: its own, or those of its type."""
    if config.limits is not None:
        return [limit.rule for limit in config.limits]
    return DEFAULTS.get("sms" if getattr(config, "sms", False) else config.type, ())
