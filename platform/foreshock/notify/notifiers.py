"""Notifiers by name: log, webhook, Alertmanager, and any from an entry point."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Protocol

from foreshock.logs import get_logger
from foreshock.notify.alertmanager import Alertmanager
from foreshock.notify.webhook import Webhook
from foreshock_models.errors import ConfigError, allowed
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["NOTIFIERS", "Log", "Notifier", "make_notifier", "notifier_id"]

ENTRY_POINTS = "foreshock.notifiers"
log = get_logger("alerts")


class Notifier(Protocol):
    """Sends one notification; `payload` is that of an alert (`foreshock.alerts.payload`)."""

    def send(self, payload: dict[str, Any]) -> None:
        """Deliver.

        Raises
        ------
        NotifyError
            Not delivered; it will be tried again.
        """


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


def make_notifier(config: NotifierConfig) -> Notifier:
    """The notifier that a job file names.

    Raises
    ------
    ConfigError
        No such type, or a missing URL.
    """
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    make = NOTIFIERS.get(config.type) or (plugins[config.type].load() if config.type in plugins else None)
    if make is None:
        raise ConfigError(f"notify: no notifier {config.type!r}; {allowed(config.type, [*NOTIFIERS, *plugins])}")
    notifier: Notifier = make(config)
    return notifier


def notifier_id(job: str, config: NotifierConfig) -> str:
    """Names one notifier of a job for the outbox; the same as long as its type and URL are."""
    return f"{job}/{config.type}/{hashlib.sha256((config.url or '').encode()).hexdigest()[:12]}"
