"""Take up the live settings in a process, as they change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from foreshock.configuration.model import in_force
from foreshock.configuration.service import Configuration
from foreshock.logs import describe_error, get_logger, set_up_logging
from foreshock.settings import LiveSettings, Settings
from foreshock.store.scope import unscoped
from foreshock.store.store import Store, store_at
from foreshock_models.errors import StoreError

__all__ = ["ConfigWatch", "LiveSource"]

EVERY = 1.0
log = get_logger("configuration")


class ConfigWatch:
    """Applies each new version; one that cannot be applied is refused for the whole installation.

    Parameters
    ----------
    pinned
        Settings that the environment fixes.
    process
        Name of the process, for the log.
    apply
        Takes the settings up; raises an error, with nothing changed, if it cannot.
    """

    def __init__(
        self, store: Store, pinned: Mapping[str, Any], process: str, apply: Callable[[LiveSettings], None]
    ) -> None:
        self.configuration = Configuration(store, pinned)
        self.process = process
        self.number = 0
        self._apply = apply
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def look(self) -> None:
        """Apply the newest version, if it is not applied yet.

        Raises
        ------
        StoreError
            The store does not answer; the settings stay as they are.
        """
        with self._lock, unscoped():
            version = self.configuration.current()
            if version.number == self.number:
                return
            try:
                self._apply(in_force(version.values, self.configuration.pinned))
            except StoreError:
                raise
            except Exception as exc:  # whatever is wrong with it, the version must not stay in force
                log.warning("new settings are refused", version=version.number, error=describe_error(exc))
                self.configuration.refuse(version.number, self.process, describe_error(exc))
            else:
                log.info("new settings", process=self.process, version=version.number)
            self.number = version.number

    def start(self) -> ConfigWatch:
        """Look again and again, in a thread."""
        threading.Thread(target=self._follow, name="configuration", daemon=True).start()
        return self

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _follow(self) -> None:
        while not self._stop.is_set():
            with suppress(StoreError):  # the process itself says that the store is away
                self.look()
            self._stop.wait(EVERY)


@dataclass(frozen=True)
class LiveSource:
    """The place of the live settings, as processes are told of it."""

    store_url: str
    pinned: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> LiveSource:
        """That of an installation."""
        return cls(settings.store, settings.pinned)

    def watch(
        self, process: str, apply: Callable[[LiveSettings], None] | None = None, store: Store | None = None
    ) -> ConfigWatch:
        """Take up the log level, and what `apply` takes up, from now on."""

        def all_of_it(live: LiveSettings) -> None:
            if apply is not None:
                apply(live)
            set_up_logging(live.log_level)

        return ConfigWatch(store or store_at(self.store_url), self.pinned, process, all_of_it).start()
