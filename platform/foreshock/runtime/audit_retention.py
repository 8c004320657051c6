"""Retention of people in the audit log: with the profile ``gdpr``, pseudonyms take their place in time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from foreshock.audit.profiles import profiles_of
from foreshock.audit.service import pseudonymise_due
from foreshock.audit.signing import sign_audit
from foreshock.logs import get_logger
from foreshock.secrets import open_keyring
from foreshock.settings import Settings
from foreshock.store.store import store_at
from foreshock_models.errors import ForeshockError

__all__ = ["pseudonymise_now", "pseudonymising"]

EVERY = 3600.0
"""Seconds from one look to the next."""
log = get_logger("audit")


@contextmanager
def pseudonymising(settings: Settings) -> Iterator[None]:
    """Look every hour while the block runs, if the profile asks for it."""
    if not profiles_of(settings).gdpr:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(settings, stop), name="audit", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _look(settings: Settings, stop: threading.Event) -> None:
    while True:
        try:
            pseudonymise_now(settings)
        except ForeshockError as exc:  # the next look does it
            log.warning("people in the audit log still have their names", error=str(exc))
        if stop.wait(EVERY):
            return


def pseudonymise_now(settings: Settings) -> int:
    """Do what is due; gives how many entries name nobody any more."""
    environment = os.environ.get("ENCRYPTION_KEY")
    store = sign_audit(store_at(settings.store), settings.home, environment)
    try:
        now_ms = round(time.time() * 1000)
        done = pseudonymise_due(
            store, profiles_of(settings), lambda: open_keyring(settings.home, environment), now_ms
        )
    finally:
        store.close()
    if done:
        log.info("pseudonyms took the place of people", entries=done)
    return done
