"""Messages of one's own, from a notebook or a script: by the channels of the installation.

>>> import foreshock
>>> foreshock.notifications.send(  # doctest: +SKIP
...     "maintenance", recipients=["anna"], priority="high", variables={"title": "db-1 restarts at ten"}
... )
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Sent", "oncall", "preview", "send", "test"]

T = TypeVar("T")


@dataclass(frozen=True)
class Sent:
    """A message that is on its way; it may be awaited, too.

    Attributes
    ----------
    id : names it in the outbox
    """

    id: str
    channels: tuple[str, ...] = field(default=())

    def __await__(self) -> Generator[Any, None, Sent]:
        yield from asyncio.sleep(0).__await__()
        return self


def send(
    template: str,
    recipients: Sequence[str] = (),
    channels: Sequence[str] = (),
    priority: str = "normal",
    variables: Mapping[str, Any] | None = None,
) -> Sent:
    """Send a message; the running installation delivers it. With and without ``await``.

    Parameters
    ----------
    template
        Name of a template of the notifications file's folder; where there is none, the built-in one is used, with
        ``variables["title"]``, or this text itself, as the message.
    recipients
        Names of people, each told by all of their channels.
    channels
        Names of channels.
    priority
        ``low``, ``normal`` or ``high``.
    variables
        Names that the template may use, as ``variables.NAME``.

    Raises
    ------
    ConfigError
        Nobody to tell, or no such person, channel or priority.
    """
    values = dict(variables or {})
    title = str(values.get("title") or template)

    def act(service: Any) -> Sent:
        name = service.send(
            title, recipients=recipients, channels=channels, template=template, priority=priority,
            variables=values, now_ms=_now_ms(),
        )  # fmt: skip
        return Sent(name, tuple(channels))

    return _asked(act)


def test(channel: str) -> None:
    """Send a message that says that it is a test, now.

    Raises
    ------
    NotifyError
        The receiver did not take it; says why.
    """
    _asked(lambda service: service.test(channel, _now_ms()))


def preview(channel: str, incident: str | None = None) -> str:
    """Return the message that a channel would send about an incident, or about an example."""

    def act(service: Any) -> str:
        done = service.preview(channel, incident, _now_ms())
        return f"{done.title}\n\n{done.body}"

    return _asked(act)


def oncall() -> dict[str, str | None]:
    """Return who is on call now, by schedule."""
    from datetime import UTC, datetime

    from foreshock.oncall.service import duty

    return _asked(
        lambda service: {each["schedule"]: each["on_call"] for each in duty(service.config, datetime.now(UTC))}
    )


def _asked(act: Callable[[Any], T]) -> T:
    from foreshock.oncall.config_file import load_notifications, notifications_file
    from foreshock.oncall.service import Notifications
    from foreshock.runtime.home import open_home
    from foreshock.settings import load_settings
    from foreshock.store import open_store
    from foreshock.store.scope import current_tenant

    settings = load_settings()
    open_home(settings.home)
    store = open_store(settings.store)
    try:
        return act(
            Notifications(
                store,
                load_notifications(notifications_file(settings.notifications, current_tenant())),
                settings.url,
            )
        )
    finally:
        store.close()


def _now_ms() -> int:
    return round(time.time() * 1000)
