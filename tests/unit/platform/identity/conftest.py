"""A store with identity on it, and a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foreshock.audit.signing import sign_audit
from foreshock.identity.access_tokens import AccessTokens
from foreshock.identity.people import People
from foreshock.identity.sessions import Sessions
from foreshock.identity.tokens import Tokens, token_digest
from foreshock.identity.verification import Verifier
from foreshock.secrets import open_keyring
from foreshock.store import Store, open_store

PASSWORD = "three green tortoises"


@dataclass
class Clock:
    """Seconds since the epoch, moved by hand."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Here:
    """An installation in a folder."""

    home: Path
    store: Store
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        def ring():  # type: ignore[no-untyped-def]
            return open_keyring(self.home)

        self.access = AccessTokens(self.store, ring, self.clock)
        self.sessions = Sessions(self.store, self.access, ring, self.clock)
        self.people = People(self.store)
        self.tokens = Tokens(self.store)

    def verifier(self) -> Verifier:
        """One that has looked nobody up yet."""
        return Verifier(token_digest("the-installation's"), self.store, self.access, self.clock)

    def add(self, name: str, role: str = "viewer", jobs: str = "*") -> str:
        """Add a person whose password is changed already; gives their id."""
        person, first = self.people.add(name, role, jobs)
        done = self.sessions.login(name, first)
        self.sessions.change_password(person.id, done.session, first, PASSWORD)
        return person.id


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    store = sign_audit(open_store(f"sqlite:///{tmp_path}/store.db"), tmp_path)
    yield Here(tmp_path, store)
    store.close()
