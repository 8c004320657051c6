"""Notifiers by name: log, webhook, Alertmanager, and any from an entry point."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from foreshock.logs import get_logger
from foreshock.notify.alertmanager import Alertmanager
from foreshock.notify.secrets import masked
from foreshock.notify.webhook import Webhook
from foreshock_models.errors import ConfigError, ForeshockError, allowed
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = [
    "NOTIFIERS",
    "Log",
    "Notifier",
    "RepeatingNotifier",
    "check_notifier",
    "make_notifier",
    "notifier_ids",
]

ENTRY_POINTS = "foreshock.notifiers"
LONGEST_TYPE = 40
"""Characters of a type in the id of a notifier; the store limits the length of ids."""
log = get_logger("alerts")


class Notifier(Protocol):
    """Sends one notification; `payload` is that of an alert (`foreshock.alerts.payload`)."""

    def send(self, payload: dict[str, Any]) -> None:
        """Deliver.

        Raises
        ------
        NotificationRefused
            The receiver refuses this one; those of other alerts are sent meanwhile.
        NotifyError
            Not delivered; it is tried again.
        """


@runtime_checkable
class RepeatingNotifier(Protocol):
    """A notifier whose receiver forgets an alert that is not sent again, and takes several at once.

    Attributes
    ----------
    batch : how many notifications one request may hold
    repeat_every : seconds after which live alerts are sent again
    """

    batch: int
    repeat_every: float

    def send(self, payload: dict[str, Any]) -> None: ...

    def send_batch(self, payloads: Sequence[dict[str, Any]]) -> None:
        """Deliver all of them, in this order, or raise as `Notifier.send`."""


class Log:
    """One line in the log of the platform."""

    def __init__(self, config: NotifierConfig) -> None:
        pass

    def send(self, payload: dict[str, Any]) -> None:
        names = ("job", "entity", "severity", "id", "url")
        log.warning(payload["event"], alert=payload["summary"], **{k: payload[k] for k in names})


NOTIFIERS: dict[str, Callable[[NotifierConfig], Notifier]] = {
    "log": Log,
    "webhook": Webhook,
    "alertmanager": Alertmanager,
}


def check_notifier(config: NotifierConfig) -> None:
    """Check what can be checked without running code of a plugin.

    Raises
    ------
    ConfigError
        No such type, or a type of Foreshock's own without a URL.
    """
    if config.type in NOTIFIERS:
        NOTIFIERS[config.type](config)
    elif config.type not in (plugins := _plugins()):
        raise ConfigError(f"notify: no notifier {config.type!r}; {allowed(config.type, [*NOTIFIERS, *plugins])}")


def make_notifier(config: NotifierConfig) -> Notifier:
    """Make the notifier that a job file names.

    Raises
    ------
    ConfigError
        No such type, no URL, or a plugin that cannot be used.
    """
    check_notifier(config)
    if config.type in NOTIFIERS:
        return NOTIFIERS[config.type](config)
    plugin = _plugins()[config.type]
    try:
        notifier: Notifier = plugin.load()(config)
    except ForeshockError:
        raise
    except (Exception, SystemExit) as exc:  # code of others: whatever it raises is a fault of this notifier alone
        raise ConfigError(
            f"notify: the plugin {config.type!r} ({plugin.value}) cannot be used: {masked(exc, config)}"
        ) from exc
    return notifier


def notifier_ids(job: str, configs: Sequence[NotifierConfig]) -> dict[str, NotifierConfig]:
    """Name each notifier of a job for the outbox.

    An id stays the same while type and URL do, user and password aside. Of several notifiers with the same type
    and URL, which may differ in headers, the second and later ones are numbered.
    """
    named: dict[str, NotifierConfig] = {}
    for config in configs:
        kind = config.type if len(config.type) <= LONGEST_TYPE else _digest(config.type)
        base = name = f"{job}/{kind}/{_digest(_without_login(config.url or ''))}"
        count = 1
        while name in named:
            count += 1
            name = f"{base}.{count}"
        named[name] = config
    return named


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_login(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL: the notifier will say so
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
