"""The parts of identity that an ingress uses, on its store."""

from __future__ import annotations

import os
import time

from foreshock.api.limiting import Limits
from foreshock.audit import record
from foreshock.audit.profiles import profiles_of
from foreshock.audit.signing import sign_audit
from foreshock.identity.access_tokens import AccessTokens, given_keys
from foreshock.identity.model import Principal
from foreshock.identity.oidc import Provider, SingleSignOn, load_oidc
from foreshock.identity.sessions import Sessions
from foreshock.identity.verification import Verifier
from foreshock.logs import get_logger
from foreshock.secrets import Keyring, open_keyring
from foreshock.settings import Settings
from foreshock.store.scope import Scope, within
from foreshock.store.store import Store
from foreshock_models.errors import StoreError

__all__ = ["Identity"]

AGAIN, MOST_NOTED = 60.0, 10_000
"""Seconds after which the same request is written again; requests that are remembered."""
REFUSED, BAD = 403, 400
"""Statuses of a refusal, and of the first that tells nothing."""
log = get_logger("identity")


class Identity:
    """Verifies tokens, and signs people in.

    Parameters
    ----------
    digest
        SHA-256 of the API token: the token itself stays out of Ray's object store and logs.
    """

    def __init__(self, store: Store, settings: Settings, digest: str) -> None:
        self.store = store
        self._home = settings.home
        self._profiles = profiles_of(settings)
        sign_audit(store, settings.home, os.environ.get("ENCRYPTION_KEY"))
        self.access = AccessTokens(store, self.ring, given=given_keys(os.environ.get("JWT_SECRET_KEY")))
        self.sessions = Sessions(store, self.access, self.ring)
        self.single_sign_on: SingleSignOn | None = None
        if settings.oidc is not None:
            provider = Provider(load_oidc(settings.oidc), f"{settings.url}/auth/oidc/callback")
            self.single_sign_on = SingleSignOn(store, self.sessions, provider, self.ring)
        self.limits = Limits(settings)
        self._noted: dict[tuple[str, str, str], float] = {}
        self.verifier = Verifier(digest, store, self.access)

    def ring(self) -> Keyring:
        """The keys that seal, read again each time: they rotate while this process runs."""
        return open_keyring(self._home, os.environ.get("ENCRYPTION_KEY"))

    def note(self, principal: Principal, method: str, path: str, address: str, status: int) -> None:
        """Write a request into the audit log, once a minute of the same: a refusal, and with ``sox``, a read.

        Raises
        ------
        StoreError
            A read cannot be written: it is not answered.
        """
        refused = status == REFUSED
        if not refused and not (self._profiles.sox and status < BAD):
            return
        key = (principal.id, method, f"{status} {path}")
        now = time.monotonic()
        if now < self._noted.get(key, 0.0):
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[key] = now + AGAIN
        act, outcome = ("auth:refuse", "refused") if refused else ("requests:read", "done")
        actor, tenant = principal.actor(address), principal.tenant
        try:
            with within(Scope(tenant)), self.store.begin() as c:
                record(self.store, c, act, f"{method} {path}", outcome=outcome, actor=actor, tenant=tenant)
        except StoreError as exc:
            self._noted.pop(key, None)
            if not refused:
                raise
            log.warning("a refusal is not in the audit log", error=str(exc))  # it holds without it
