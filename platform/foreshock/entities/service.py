"""Use cases of entities: list them with where they stand, forget one that is decommissioned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.alerts.service import AlertResolver
from foreshock.audit import record
from foreshock.clock import iso
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.store.store import Store
from foreshock_models.errors import StoreError, allowed
from foreshock_models.policy import EntityState, Policy
from foreshock_models.state import State

__all__ = ["entities", "forget"]

WORDS = {EntityState.CALM: "calm", EntityState.PENDING: "pending", EntityState.ANOMALOUS: "anomalous"}


def entities(store: Store, job: str | None = None) -> list[dict[str, Any]]:
    """JSON values of each entity.

    ``state``: ``absent`` while that alert is live; ``pending`` from its first anomalous row until enough of the
    last rows are; ``anomalous`` while an episode lasts, alert or not; else ``calm``.
    """
    found = []
    for name in [job] if job is not None else CheckpointRepository(store).jobs():
        scorer = CheckpointRepository(store).get(name)
        standing = Policy.entity_states(State.from_bytes(scorer.policy_state)) if scorer else {}
        absent = {key[0] for key in AlertRepository(store).live(name) if key[1:] == ("absent", "")}
        for row in CursorRepository(store).of_job(name):
            entity = row["entity"]
            state = standing.get(entity, EntityState.CALM)
            found.append(
                {
                    "job": name,
                    "entity": entity,
                    "state": "absent" if entity in absent else WORDS[state],
                    "warming": bool(row["warming"]),
                    "first": iso(row["first_ms"]),
                    "seen": iso(row["seen_ms"]) if row["seen_ms"] else None,
                    "scored": iso(row["scored_ms"]),
                }
            )
    return found


def forget(
    store: Store, job: str, entities: Iterable[str], *, who: str, why: str, now_ms: int, url: str = ""
) -> list[Alert]:
    """Take entities as decommissioned: all that is remembered of them goes, their live alerts are resolved.

    One that sends samples again is a new entity. Gives the alerts that were resolved.

    Raises
    ------
    StoreError
        The job has no such entity.
    """
    gone = list(entities)
    known = [row["entity"] for row in CursorRepository(store).of_job(job)]
    for entity in gone:
        if entity not in known:
            raise StoreError(f"no entity {entity!r} in the job {job!r}; {allowed(entity, known)}")
    resolver = AlertResolver(store, who, now_ms, url)
    with store.begin() as c:
        scorer = CheckpointRepository(store).get(job, c)
        if scorer is not None:
            model, policy = (_without(data, gone) for data in (scorer.model_state, scorer.policy_state))
            revised = replace(scorer, model_state=model, policy_state=policy, revision=scorer.revision + 1)
            CheckpointRepository(store).save(c, job, revised)
        CursorRepository(store).delete(c, job, gone)
        live = [alert for alert in AlertRepository(store).live(job, c).values() if alert.entity in gone]
        reason = why or "decommissioned"
        record(store, c, "entities:forget", job, entities=gone, who=who, why=why)
        return [resolver.resolve(c, alert, reason) for alert in live]


def _without(data: bytes, gone: list[str]) -> bytes:
    state = State.from_bytes(data)
    return state.select([name for name in state.entities if name not in gone]).to_bytes()
