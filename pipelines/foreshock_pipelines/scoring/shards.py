"""Score a pass with several Ray actors, on any node of the cluster: each scores its share of the entities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_models.policy import Policy
from foreshock_models.state import State
from foreshock_pipelines.ray_errors import ray_errors
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.causes import Causes
from foreshock_pipelines.scoring.rows import score_panel
from foreshock_pipelines.scoring.scored_rows import ScoredRows, Usual

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector

__all__ = ["Shard", "Shards", "join"]

CPUS = 0.2


class Shard:
    """Scores rows; its only state is the model, so that it may die at any moment."""

    def __init__(self, job: str, registry: str) -> None:
        self.job = job
        self.registry = Registry(registry)
        self.detector: Detector | None = None
        self.version: str | None = None

    def score(
        self,
        version: str,
        panel: Panel,
        policy: Policy,
        since: int | NDArray[np.int64] | None,
        state: State | None,
        usual: bool,
    ) -> ScoredRows:
        """Score as `score_panel` does, with a version of the registry."""
        if self.detector is None or self.version != version:
            self.detector, _ = self.registry.load(self.job, version)
            self.version = version
        return score_panel(self.detector, version, panel, policy, since=since, state=state, usual=usual)

    def pid(self) -> int:
        return os.getpid()


class Shards:
    """The actors that score one job together; `score` replaces `score_panel`.

    Ray restarts an actor that died, on another node if need be, and sends it the rows again. The calibration state
    travels with the rows, so any actor can score any entity.

    Parameters
    ----------
    registry
        Folder or URI of models, which every node must reach.
    n
        Number of actors; each requests a fifth of a core.
    """

    def __init__(self, job: str, registry: str, n: int) -> None:
        import ray

        remote: Any = ray.remote(Shard).options(
            num_cpus=CPUS, max_restarts=-1, max_task_retries=-1, scheduling_strategy="SPREAD"
        )
        self.actors: list[Any] = [remote.remote(job, registry) for _ in range(n)]

    def __len__(self) -> int:
        return len(self.actors)

    def score(
        self,
        detector: Detector,
        version: str,
        panel: Panel,
        policy: Policy,
        *,
        since: int | NDArray[np.int64] | None = None,
        state: State | None = None,
        usual: bool = False,
    ) -> ScoredRows:
        """Return the scores of all entities, in the order of `panel`."""
        import ray

        edges = np.linspace(0, panel.n_entities, min(len(self.actors), panel.n_entities) + 1).astype(int)
        waiting = []
        for actor, (a, b) in zip(self.actors, pairwise(edges.tolist()), strict=False):
            part = panel.entities_between(a, b)
            first = since[a:b] if isinstance(since, np.ndarray) else since
            begun = None if state is None else state.select(part.entities)
            waiting.append(actor.score.remote(version, part, policy, first, begun, usual))
        with ray_errors("scoring by several actors"):
            return join(ray.get(waiting))

    def close(self) -> None:
        """End the actors."""
        import ray

        for actor in self.actors:
            ray.kill(actor)


def join(parts: Sequence[ScoredRows]) -> ScoredRows:
    """Join the parts of a pass that several workers scored, each other entities, in their order."""
    beside = [part.usual for part in parts if part.usual is not None]
    return ScoredRows(
        version=parts[0].version,
        panel=Panel.concat([part.panel for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        warming=np.concatenate([part.warming for part in parts]),
        permitted=np.concatenate([part.permitted for part in parts]),
        causes=Causes.join(part.causes for part in parts),
        state=State.merge([part.state for part in parts]),
        members={name: np.concatenate([part.members[name] for part in parts]) for name in parts[0].members},
        new_normal=tuple(found for part in parts for found in part.new_normal),
        seconds={stage: max(part.seconds[stage] for part in parts) for stage in parts[0].seconds},
        usual=_join_usual(beside) if beside else None,
    )


def _join_usual(parts: Sequence[Usual]) -> Usual:
    stacked: list[Any] = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("expected", "lower", "upper")
    ]
    return Usual(*stacked)
