"""Reading the notifications file, and reading it again when it has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from foreshock.logs import get_logger
from foreshock.oncall.config import NotificationsConfig, default_config
from foreshock.store.scope import DEFAULT_TENANT
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.document import parse_yaml
from foreshock_pipelines.jobfile.text import read_text
from foreshock_pipelines.jobfile.validation_errors import lines_of
from foreshock_pipelines.jobfile.variables import expand, mentions_secrets

__all__ = ["LiveConfig", "load_notifications", "notifications_file"]

SECRETS_AFTER = 60.0
log = get_logger("notify")


def load_notifications(path: Path | None, env: Mapping[str, str] | None = None) -> NotificationsConfig:
    """Read the notifications file; without one, incidents are lines of the log.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    if path is None:
        return default_config()
    data = parse_yaml(read_text(path), str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a notifications file is a mapping with channels, policies and route")
    data = expand(data, os.environ if env is None else env, str(path))
    try:
        found = NotificationsConfig.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(lines_of(exc, str(path), NotificationsConfig)) from None
    return found.absolute(path.parent)


def notifications_file(path: Path | None, tenant: str) -> Path | None:
    """Return the notifications file of a tenant: ``TENANT.yaml`` in a folder; a single file is the first tenant's.

    A tenant without a file has its incidents in the log: nobody of another tenant is told.
    """
    if path is None or not path.is_dir():
        return path if tenant == DEFAULT_TENANT else None
    found = path / f"{tenant}.yaml"
    return found if found.is_file() else None


class LiveConfig:
    """The notifications file in force: a changed one is taken up, unless it is invalid.

    One whose secrets are elsewhere, in files or in Vault, is read again every `SECRETS_AFTER` seconds.
    """

    def __init__(self, path: Path | None, now: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.problem: str | None = None
        self._seen: tuple[int, int, int] | None = None
        self._elsewhere = False
        self._now = now
        self._config = default_config()
        self.refresh()

    @property
    def config(self) -> NotificationsConfig:
        return self._config

    def refresh(self) -> bool:
        """Look whether the file has changed; True if another configuration is valid from now on."""
        if self.path is None:
            return False
        try:
            found = self.path.stat()
            round_of_secrets = int(self._now() // SECRETS_AFTER) if self._elsewhere else 0
            seen = (found.st_mtime_ns, found.st_size, round_of_secrets)
        except OSError as exc:
            seen, message = (0, 0, 0), f"{self.path}: cannot be read: {exc.strerror or exc}"
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            if seen == (0, 0, 0):
                raise ConfigError(message)
            self._elsewhere = mentions_secrets(read_text(self.path))
            config = load_notifications(self.path)
        except ConfigError as exc:
            self.problem = str(exc)
            log.error("notifications file is invalid; the one before stays in force", error=str(exc))
            return False
        self.problem, changed = None, config != self._config
        self._config = config
        return changed
