"""The parts of identity that an ingress uses, on its store."""

from __future__ import annotations

import os

from foreshock.api.limiting import Limits
from foreshock.audit.signing import sign_audit
from foreshock.identity.access_tokens import AccessTokens
from foreshock.identity.sessions import Sessions
from foreshock.identity.verification import Verifier
from foreshock.secrets import Keyring, open_keyring
from foreshock.settings import Settings
from foreshock.store.store import Store

__all__ = ["Identity"]


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
        self.access = AccessTokens(store, self.ring)
        self.sessions = Sessions(store, self.access, self.ring)
        self.limits = Limits(settings)
        self.verifier = Verifier(digest, store, self.access)

    def ring(self) -> Keyring:
        """The keys that seal, read again each time: they rotate while this process runs."""
        return open_keyring(self._home, os.environ.get("ENCRYPTION_KEY"))
