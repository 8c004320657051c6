"""Use cases of API tokens, for programs: make, list, revoke. The token is shown once; its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from datetime import timedelta

from foreshock.audit import record
from foreshock.identity.model import ALL_JOBS, ApiToken, Principal, check_jobs, within
from foreshock.identity.permissions import check_scopes
from foreshock.identity.repository import IdentityRepository
from foreshock.store import team_tables as t
from foreshock.store.ids import only
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, ConfigError, StateError, StoreError

__all__ = ["LONGEST", "PREFIX", "Tokens", "token_digest"]

PREFIX = "fsk_"
LONGEST = timedelta(days=366)
LONGEST_NAME = 128


class Tokens:
    """API tokens of one tenant."""

    def __init__(self, store: Store, tenant: str = t.DEFAULT_TENANT) -> None:
        self.store = store
        self.tenant = tenant
        self._kept = IdentityRepository(store)

    def all(self) -> list[ApiToken]:
        with self.store.read() as c:
            return self._kept.tokens(c, self.tenant)

    def make(
        self,
        name: str,
        scopes: list[str],
        *,
        by: Principal,
        jobs: str = ALL_JOBS,
        lifetime: timedelta = timedelta(days=90),
    ) -> tuple[ApiToken, str]:
        """Make a token; gives its record and the token itself, which is nowhere else.

        Parameters
        ----------
        scopes
            Permissions, or roles for all that they hold.
        by
            Whoever makes it: it may do nothing that they may not.

        Raises
        ------
        ConfigError
            A wrong scope, pattern or lifetime.
        AccessError
            It would be allowed more than its maker.
        """
        wanted = within(check_scopes(scopes), self.tenant, check_jobs(jobs))
        if not wanted:
            raise ConfigError("a token needs a scope, as alerts:read or viewer")
        if not timedelta(0) < lifetime <= LONGEST:
            raise ConfigError(f"a token lives for more than 0 and at most {LONGEST.days} days")
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise ConfigError(f"the name of a token has 1 to {LONGEST_NAME} printable characters")
        beyond = sorted(scope for scope in wanted if not _holds(by, scope, jobs))
        if beyond:
            raise AccessError(f"you may not give what you do not have: {', '.join(beyond)} for {jobs}")
        token = PREFIX + secrets.token_urlsafe(32)
        now_ms = round(time.time() * 1000)
        values = {
            "id": uuid.uuid4().hex[:12], "tenant": self.tenant, "name": name, "digest": token_digest(token),
            "scopes": sorted(wanted), "jobs": jobs, "made_by": by.name, "created_ms": now_ms,
            "expires_ms": now_ms + round(lifetime.total_seconds() * 1000),
        }  # fmt: skip
        with self.store.begin() as c:
            self._kept.add_token(c, values)
            record(
                self.store,
                c,
                "tokens:make",
                str(values["id"]),
                name=name,
                scopes=sorted(wanted),
                jobs=jobs,
                tenant=self.tenant,
            )
            made = self._kept.token_by_digest(c, str(values["digest"]))
        if made is None:
            raise StoreError("the token that was just made is gone")
        return made, token

    def revoke(self, word: str) -> ApiToken:
        """Let a token be good no more: by its id, or the beginning of one.

        Raises
        ------
        StateError
            It is revoked already.
        """
        found = [token for token in self.all() if word and token.id.startswith(word)]
        if not found:
            raise StoreError(f"no token {word[:64]!r}; see: foreshock tokens list")
        token_id = only("token", word, [token.id for token in found])
        token = next(token for token in found if token.id == token_id)
        if token.revoked_ms is not None:
            raise StateError(f"the token {token.id} is revoked already")
        with self.store.begin() as c:
            self._kept.change_token(c, token.id, revoked_ms=round(time.time() * 1000))
            record(self.store, c, "tokens:revoke", token.id, name=token.name, tenant=self.tenant)
        return token


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _holds(by: Principal, permission: str, jobs: str) -> bool:
    """Return whether somebody has a permission for all that a pattern names."""
    return any(permission in grant.permissions and grant.jobs in (ALL_JOBS, jobs) for grant in by.grants)
