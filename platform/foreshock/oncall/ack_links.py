"""Links that acknowledge an incident: each is valid once, for one incident, for a time.

The token is random, of 192 bits, and is stored as its SHA-256 alone: unlike a signature it can be used up and taken
back, and no key has to be kept or rotated. Opening the link shows a page; only its button acknowledges,
so that a program that previews links does not.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.incidents.model import Incident
from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.service import IncidentService
from foreshock.store import oncall_tables as t
from foreshock.store.scope import Scope, unscoped, within
from foreshock.store.store import Store
from foreshock_models.errors import StateError

__all__ = ["AckLinks", "Link"]

VALID_MS = 24 * 3_600_000
PATH = "/ack"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was found to be valid."""

    tenant: str
    incident: str
    who: str


@dataclass(frozen=True, slots=True)
class AckLinks:
    """Links in the store."""

    store: Store
    url: str = ""

    def make(self, c: Connection, tenant: str, incident: str, who: str, now_ms: int) -> str:
        """Make a link in the transaction of the message that holds it."""
        token = secrets.token_urlsafe(24)
        values = {"tenant": tenant, "incident": incident, "who": who, "until_ms": now_ms + VALID_MS}
        c.execute(sa.insert(t.ack_links).values(digest=_digest(token), **values))
        return f"{self.url}{PATH}?token={token}"

    def look(self, token: str, now_ms: int) -> tuple[Link, Incident]:
        """Return what a link is about, without using it.

        Raises
        ------
        StateError
            It is unknown, used, or too old.
        """
        with unscoped(), self.store.begin() as c:  # nobody is signed in: the link itself says whose it is
            link = self._valid(c, token, now_ms)
        with within(Scope(link.tenant)):
            return link, IncidentRepository(self.store, link.tenant).get(link.incident)

    def use(
        self, token: str, now_ms: int, *, who: str | None = None, why: str = "by the link of a message"
    ) -> Incident:
        """Acknowledge; the link is used up, whoever else tries it at the same time.

        Parameters
        ----------
        who
            Uses it; default: whoever the message was for.
        """
        tenant = self.look(token, now_ms)[0].tenant
        with within(Scope(tenant)), self.store.begin() as c:
            link = self._valid(c, token, now_ms)
            a = t.ack_links.c
            unused = (a.digest == _digest(token), a.used_ms.is_(None))
            if c.execute(sa.update(t.ack_links).where(*unused).values(used_ms=now_ms)).rowcount != 1:
                raise StateError("this link has been used already")
            people = IncidentService(self.store, link.tenant)
            return people.acknowledge_in(c, link.incident, who=who or link.who, why=why, now_ms=now_ms)

    def _valid(self, c: Connection, token: str, now_ms: int) -> Link:
        a = t.ack_links.c
        row = c.execute(sa.select(t.ack_links).where(a.digest == _digest(token))).mappings().one_or_none()
        if row is None:
            raise StateError("this link is not known; open the incident in place of it")
        if row["used_ms"] is not None:
            raise StateError("this link has been used already")
        if row["until_ms"] < now_ms:
            raise StateError("this link is too old; open the incident in place of it")
        return Link(row["tenant"], row["incident"], row["who"])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
