"""Classes of live incidents, kept up to date; and incidents like one, with what helped then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from foreshock.events.model import DEFAULT_TENANT
from foreshock.incidents.classifier import IncidentClassifier
from foreshock.incidents.embedding import Embedder, installed_embedder
from foreshock.incidents.model import PLATFORM, Incident
from foreshock.incidents.repository import IncidentRepository
from foreshock.store import tables as t
from foreshock.store.store import Store

__all__ = ["ClassAssignment", "like", "text_of"]

EVERY_MS = 30_000
LEARNT, LEARNT_EMBEDDED = 5000, 1000
"""Corrections that are learnt from, the latest ones; a vector of a text takes its time."""
COMPARED, FINALISTS = 1000, 25
"""Incidents that one is compared with by words, and of these by meaning."""
MOST_ALIKE = 3


def text_of(incident: Incident, comments: str = "") -> str:
    """All text of an incident: title, causes, entities, comments."""
    reasons = " ".join(str(cause.get("reason", "")) for cause in incident.causes)
    return " ".join([incident.title, reasons, " ".join(incident.jobs), comments])


@dataclass
class ClassAssignment:
    """Gives live incidents a class, unless a person has.

    Parameters
    ----------
    classes
        Gives name and description of each class.
    embedder
        Gives what makes vectors of texts; None: TF-IDF does.
    """

    store: Store
    classes: Callable[[], Mapping[str, str]]
    tenant: str = DEFAULT_TENANT
    embedder: Callable[[], Embedder | None] = installed_embedder
    _next_ms: int = 0
    _learnt: tuple[Any, ...] = ()
    _model: IncidentClassifier | None = field(default=None, repr=False)

    def run(self, now_ms: int) -> int:
        """Look twice a minute; gives how many incidents have another class since."""
        if self._next_ms - EVERY_MS <= now_ms < self._next_ms:
            return 0
        self._next_ms = now_ms + EVERY_MS
        incidents = IncidentRepository(self.store, self.tenant)
        live = [i for i in incidents.list(state="live", limit=500).incidents if i.kind_by in (None, PLATFORM)]
        if not live:
            return 0
        model = self._learn()
        changed = 0
        for incident in live:
            found = model.predict(text_of(incident, comments_of(self.store, self.tenant, incident.id)))
            if found.label is None or found.label == incident.kind:
                continue
            with self.store.begin() as c:
                now = incidents.get(incident.id, c)
                if not now.live or now.kind_by not in (None, PLATFORM):
                    continue
                confidence = round(found.confidence, 3)
                done = replace(now, kind=found.label, kind_by=PLATFORM, confidence=confidence)
                incidents.save(c, done)
                why = f"{found.label}, probability {confidence:.2f}"
                incidents.note(c, done, "classified", PLATFORM, why, now_ms)
            changed += 1
        return changed

    def _learn(self) -> IncidentClassifier:
        """Make the model again if people have said more, or classes are others."""
        i = t.incidents.c
        said = (i.tenant == self.tenant, i.kind.is_not(None), i.kind_by.is_not(None), i.kind_by != PLATFORM)
        classes = dict(self.classes())
        with self.store.begin() as c:
            count = c.execute(sa.select(sa.func.count(), sa.func.max(i.updated_ms)).where(*said)).one()
            state = (*count, tuple(classes.items()))
            if self._model is not None and state == self._learnt:
                return self._model
            columns = [i[name] for name in Incident.__slots__]
            query = sa.select(*columns).where(*said).order_by(i.seq.desc())
            embedder = self.embedder()
            rows = c.execute(query.limit(LEARNT if embedder is None else LEARNT_EMBEDDED)).mappings()
            incidents = [Incident(**row) for row in rows]
        texts = [text_of(one, comments_of(self.store, self.tenant, one.id)) for one in incidents]
        self._model = IncidentClassifier(classes, embedder=embedder).fit(
            texts, [str(one.kind) for one in incidents]
        )
        self._learnt = state
        return self._model


def comments_of(store: Store, tenant: str, incident: str) -> str:
    """Comments of people on an incident, as one text."""
    timeline = IncidentRepository(store, tenant).timeline(incident)
    return " ".join(event.data["why"] for event in timeline if event.data["event"] == "commented")


def like(
    incidents: IncidentRepository, incident: Incident, embedder: Embedder | None = None
) -> list[dict[str, Any]]:
    """Return the resolved incidents that are most like one, with what was said when they ended.

    Parameters
    ----------
    embedder
        Compares by meaning those that are most alike by words.
    """
    past = [one for one in incidents.list(state="resolved", limit=COMPARED).incidents if one.id != incident.id]
    text = text_of(incident)
    alike = IncidentClassifier().similar(text, [text_of(one) for one in past], FINALISTS)
    if embedder is not None:
        past = [past[place] for place, _ in alike]
        alike = IncidentClassifier(embedder=embedder).similar(text, [text_of(one) for one in past], MOST_ALIKE)
    found = []
    for place, cosine in alike[:MOST_ALIKE]:
        one = past[place]
        ended = [e for e in incidents.timeline(one.id) if e.data["event"] in ("resolved", "commented")]
        helped = [e.data["why"] for e in ended if e.data["who"] != PLATFORM]
        found.append(
            {
                "id": one.id, "title": one.title, "likeness": round(cosine, 3), "class": one.kind,
                "what_helped": helped[-1] if helped else None,
            }
        )  # fmt: skip
    return found
