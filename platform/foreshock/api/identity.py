"""The parts of identity that an ingress uses, on its store."""

from __future__ import annotations

import os
import time

from foreshock.api.limiting import Limits
from foreshock.audit import record
from foreshock.audit.signing import sign_audit
from foreshock.identity.access_tokens import AccessTokens, given_keys
from foreshock.identity.model import Principal
from foreshock.identity.oidc import Provider, SingleSignOn, load_oidc
from foreshock.identity.sessions import Sessions
from foreshock.identity.verification import Verifier
from foreshock.logs import get_logger
from foreshock.secrets import Keyring, open_keyring
from foreshock.settings import Settings
from foreshock.store.store import Store
from foreshock_models.errors import StoreError

__all__ = ["Identity"]

AGAIN, MOST_REFUSALS = 60.0, 10_000
"""Seconds after which the same refusal is written again; refusals that are remembered."""
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
        sign_audit(store, settings.home, os.environ.get("ENCRYPTION_KEY"))
        self.access = AccessTokens(store, self.ring, given=given_keys(os.environ.get("JWT_SECRET_KEY")))
        self.sessions = Sessions(store, self.access, self.ring)
        self.single_sign_on: SingleSignOn | None = None
        if settings.oidc is not None:
            provider = Provider(load_oidc(settings.oidc), f"{settings.url}/auth/oidc/callback")
            self.single_sign_on = SingleSignOn(store, self.sessions, provider, self.ring)
        self.limits = Limits(settings)
        self._refused: dict[tuple[str, str, str], float] = {}
        self.verifier = Verifier(digest, store, self.access)

    def ring(self) -> Keyring:
        """The keys that seal, read again each time: they rotate while this process runs."""
        return open_keyring(self._home, os.environ.get("ENCRYPTION_KEY"))

    def note_refusal(self, principal: Principal, method: str, path: str, address: str) -> None:
        """Write into the audit log that somebody may not do what they asked for: of the same, once a minute."""
        key = (principal.id, method, path)
        now = time.monotonic()
        if now < self._refused.get(key, 0.0):
            return
        if len(self._refused) >= MOST_REFUSALS:
            self._refused.clear()
        self._refused[key] = now + AGAIN
        actor, tenant = principal.actor(address), principal.tenant
        try:
            with self.store.begin() as c:
                record(
                    self.store, c, "auth:refuse", f"{method} {path}", outcome="refused", actor=actor, tenant=tenant
                )
        except StoreError as exc:  # the refusal holds without it
            log.warning("a refusal is not in the audit log", error=str(exc))
