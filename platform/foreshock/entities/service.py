"""The entities of jobs, as people see them: when they were seen, and where they stand."""

from __future__ import annotations

from typing import Any

from foreshock.alerts.payload import iso
from foreshock.alerts.repository import AlertRepository
from foreshock.entities.repository import EntityRepository
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.store.store import Store
from foreshock_models.policy import Policy, Step
from foreshock_models.state import State

__all__ = ["entities"]

WORDS = {Step.CALM: "calm", Step.PENDING: "pending", Step.ANOMALOUS: "anomalous"}


def entities(store: Store, job: str | None = None) -> list[dict[str, Any]]:
    """JSON values of each entity.

    ``state``: ``absent`` while that alert is live; ``pending`` from its first anomalous row until enough of the
    last rows are; ``anomalous`` while an episode lasts, alert or not; else ``calm``.
    """
    found = []
    for name in [job] if job is not None else CheckpointRepository(store).jobs():
        scorer = CheckpointRepository(store).get(name)
        standing = Policy.steps(State.from_bytes(scorer.policy_state)) if scorer else {}
        absent = {key[0] for key in AlertRepository(store).live(name) if key[1:] == ("absent", "")}
        for row in EntityRepository(store).of_job(name):
            entity = row["entity"]
            step = standing.get(entity, Step.CALM)
            found.append(
                {
                    "job": name,
                    "entity": entity,
                    "state": "absent" if entity in absent else WORDS[step],
                    "warming": bool(row["warming"]),
                    "first": iso(row["first_ms"]),
                    "seen": iso(row["seen_ms"]) if row["seen_ms"] else None,
                    "scored": iso(row["scored_ms"]),
                }
            )
    return found
