"""Use cases of incidents: each is one transaction with one event, in which its author and reason stand."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from foreshock.alerts.repository import AlertRepository
from foreshock.audit.repository import record
from foreshock.incidents.model import SEVERITIES, Incident, Member
from foreshock.incidents.repository import IncidentRepository
from foreshock.store.scope import current_tenant
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, StateError, allowed

__all__ = ["IncidentService"]

LONGEST_TEXT = 10_000
LONGEST_TITLE = 500


@dataclass(frozen=True, slots=True)
class IncidentService:
    """Use cases of the incidents of a tenant."""

    store: Store
    tenant: str = field(default_factory=current_tenant)

    @property
    def incidents(self) -> IncidentRepository:
        return IncidentRepository(self.store, self.tenant)

    def create(
        self,
        title: str,
        *,
        who: str,
        now_ms: int,
        severity: str = "warning",
        why: str = "",
        alerts: Sequence[str] = (),
        entities: Sequence[str] = (),
    ) -> Incident:
        """Open an incident by hand; people are told at once.

        Raises
        ------
        ConfigError
            No title, or no such severity.
        """
        if severity not in SEVERITIES:
            raise ConfigError(f"severity {severity!r}; {allowed(severity, SEVERITIES)}")
        made = Incident(
            secrets.token_hex(6), "open", severity, _title(title), now_ms, now_ms, now_ms, now_ms,
            entities=list(entities), named=True, paged_ms=now_ms,
        )  # fmt: skip
        with self.store.begin() as c:
            self.incidents.add(c, made)
            made = self._take_in(c, made, alerts, f"by {who}")
            self.incidents.save(c, made)
            self._note(c, made, "opened", who, why or "by hand", now_ms)
            self.incidents.note(c, made, "paged", who, "opened by hand", now_ms)
        return made

    def acknowledge(self, incident: str, *, who: str, now_ms: int, why: str = "") -> Incident:
        """Say that somebody takes care of it: escalation stops.

        Raises
        ------
        StateError
            It is not live any more.
        """
        with self.store.begin() as c:
            return self.acknowledge_in(c, incident, who=who, now_ms=now_ms, why=why)

    def acknowledge_in(self, c: Connection, incident: str, *, who: str, now_ms: int, why: str = "") -> Incident:
        """As `acknowledge`, in a transaction at hand."""
        found = self._live(c, incident)
        done = replace(
            found, state="acknowledged", acknowledged_by=who, assignee=found.assignee or who, updated_ms=now_ms
        )
        return self._save(c, done, "acknowledged", who, why or "taken care of", now_ms)

    def resolve(self, incident: str, *, who: str, now_ms: int, why: str = "") -> Incident:
        """End it; alerts that come later are another incident.

        Raises
        ------
        StateError
            It is not live any more.
        """
        with self.store.begin() as c:
            found = self._live(c, incident)
            done = replace(found, state="resolved", resolved_by=who, resolved_ms=now_ms, updated_ms=now_ms)
            return self._save(c, done, "resolved", who, why or "resolved by hand", now_ms)

    def reopen(self, incident: str, *, who: str, now_ms: int, why: str = "") -> Incident:
        """Take up a resolved incident again; people are told again.

        Raises
        ------
        StateError
            It is not resolved.
        """
        with self.store.begin() as c:
            found = self.incidents.get(incident, c)
            if found.state != "resolved":
                raise StateError(f"the incident {incident} is {found.state}; only a resolved one can be reopened")
            done = replace(
                found, state="open", resolved_by=None, resolved_ms=None, acknowledged_by=None, updated_ms=now_ms
            )
            return self._save(c, done, "reopened", who, why or "reopened by hand", now_ms)

    def assign(self, incident: str, *, to: str | None, who: str, now_ms: int, why: str = "") -> Incident:
        """Say who handles it; None: nobody any more."""
        with self.store.begin() as c:
            done = replace(self._live(c, incident), assignee=to, updated_ms=now_ms)
            return self._save(c, done, "assigned", who, why, now_ms, to=to)

    def comment(self, incident: str, text: str, *, who: str, now_ms: int) -> Incident:
        """Add a comment to its timeline, in whatever state it is.

        Raises
        ------
        ConfigError
            No text, or too much of it.
        """
        if not text.strip() or len(text) > LONGEST_TEXT:
            raise ConfigError(f"a comment has 1 to {LONGEST_TEXT} characters, this one has {len(text)}")
        with self.store.begin() as c:
            found = replace(self.incidents.get(incident, c), updated_ms=now_ms)
            return self._save(c, found, "commented", who, text, now_ms)

    def rename(self, incident: str, title: str, *, who: str, now_ms: int) -> Incident:
        """Give it a title that alerts do not change any more."""
        with self.store.begin() as c:
            done = replace(self.incidents.get(incident, c), title=_title(title), named=True, updated_ms=now_ms)
            return self._save(c, done, "renamed", who, title, now_ms)

    def classify(self, incident: str, kind: str, *, who: str, now_ms: int) -> Incident:
        """Say of what class it is; later incidents are classified by it, too."""
        with self.store.begin() as c:
            found = self.incidents.get(incident, c)
            done = replace(found, kind=kind, kind_by=who, confidence=1.0, updated_ms=now_ms)
            return self._save(c, done, "classified", who, kind, now_ms)

    def merge(self, incident: str, into: str, *, who: str, now_ms: int, why: str = "") -> Incident:
        """Make an incident a part of another one, which gets its alerts; gives the other one.

        Raises
        ------
        StateError
            They are the same, or one of them is not live.
        """
        if incident == into:
            raise StateError(f"the incident {incident} cannot be merged into itself")
        with self.store.begin() as c:
            first, second = sorted((incident, into))  # locked in one order, whoever merges what
            found = {first: self._live(c, first), second: self._live(c, second)}
            gone, kept = found[incident], found[into]
            self.incidents.move(c, [m.alert for m in self.incidents.members([incident], c)], into)
            merged = replace(gone, state="merged", merged_into=into, updated_ms=now_ms)
            self._save(c, merged, "merged", who, why or f"part of {into}", now_ms, into=into)
            kept = replace(_joined(kept, gone), updated_ms=now_ms)
            return self._save(
                c, kept, "joined", who, why or f"{incident} merged into it", now_ms, absorbed=[incident]
            )

    def split(self, incident: str, alerts: Sequence[str], *, who: str, now_ms: int, why: str = "") -> Incident:
        """Move alerts of an incident into a new one, which never becomes one with another by itself.

        Raises
        ------
        StateError
            It is not live, one of the alerts is not in it, or no alert would be left in it.
        """
        with self.store.begin() as c:
            old = self._live(c, incident)
            members = {member.alert: member for member in self.incidents.members([incident], c)}
            wrong = [alert for alert in alerts if alert not in members]
            if wrong or not alerts:
                raise StateError(f"not in the incident {incident}: {', '.join(wrong) or 'no alert is named'}")
            if len(set(alerts)) == len(members):
                raise StateError("an incident keeps at least one of its alerts; name fewer of them")
            new = Incident(
                secrets.token_hex(6), "open", old.severity, old.title, now_ms, now_ms, old.first_ms, old.last_ms,
                apart=True, paged_ms=now_ms,
            )  # fmt: skip
            self.incidents.add(c, new)
            new = self._take_in(c, new, alerts, f"split from {incident} by {who}")
            self.incidents.save(c, new)
            left = replace(self._counted(c, old), apart=True, updated_ms=now_ms)
            self._save(c, left, "split", who, why, now_ms, into=new.id, alerts=list(alerts))
            self._note(c, new, "opened", who, why or f"split from {incident}", now_ms, split_from=incident)
            self.incidents.note(c, new, "paged", who, "split by hand", now_ms)
            return new

    # -- small parts -----------------------------------------------------------------------------------
    def _live(self, c: Connection, incident: str) -> Incident:
        found = self.incidents.get(incident, c)
        if not found.live:
            where = f" into {found.merged_into}" if found.merged_into else f" by {found.resolved_by or 'foreshock'}"
            raise StateError(f"the incident {incident} is {found.state} already,{where}")
        return found

    def _save(
        self, c: Connection, incident: Incident, event: str, who: str, why: str, now_ms: int, **more: Any
    ) -> Incident:
        self.incidents.save(c, incident)
        self._note(c, incident, event, who, why, now_ms, **more)
        return incident

    def _note(
        self, c: Connection, incident: Incident, event: str, who: str, why: str, now_ms: int, **more: Any
    ) -> None:
        """Write an act as an event, and into the audit log, in its transaction."""
        self.incidents.note(c, incident, event, who, why, now_ms, **more)
        record(self.store, c, f"incidents:{event}", incident.id, who=who, why=why)

    def _take_in(self, c: Connection, incident: Incident, alerts: Sequence[str], why: str) -> Incident:
        found = AlertRepository(self.store).some(c, alerts)
        missing = [alert for alert in alerts if alert not in found]
        if missing:
            raise StateError(f"no alert {missing[0]!r}; see: foreshock alerts list")
        for alert in found.values():
            self.incidents.join(c, Member(incident.id, alert.id, alert.opened_ms, alert.entity, why))
        return self._counted(c, incident)

    def _counted(self, c: Connection, incident: Incident) -> Incident:
        """Count the alerts of an incident, and name what they are about."""
        ids = [member.alert for member in self.incidents.members([incident.id], c)]
        alerts = list(AlertRepository(self.store).some(c, ids).values())
        if not alerts:
            return replace(incident, alerts=0)
        return replace(
            incident, alerts=len(alerts), jobs=sorted({alert.job for alert in alerts}),
            entities=sorted({alert.entity for alert in alerts}),
            first_ms=min(alert.opened_ms for alert in alerts), last_ms=max(alert.opened_ms for alert in alerts),
        )  # fmt: skip


def _joined(kept: Incident, gone: Incident) -> Incident:
    return replace(
        kept, alerts=kept.alerts + gone.alerts, jobs=sorted({*kept.jobs, *gone.jobs}),
        entities=list(dict.fromkeys([*kept.entities, *gone.entities])),
        first_ms=min(kept.first_ms, gone.first_ms), last_ms=max(kept.last_ms, gone.last_ms),
        severity=max(kept.severity, gone.severity, key=SEVERITIES.index),
    )  # fmt: skip


def _title(text: str) -> str:
    title = " ".join(text.split())
    if not 0 < len(title) <= LONGEST_TITLE:
        raise ConfigError(f"a title has 1 to {LONGEST_TITLE} characters, this one has {len(title)}")
    return title
