"""Estimate: samples, memory and time that a training would take, and cores that scoring would; reads no sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from foreshock_models.detectors import make
from foreshock_models.errors import JobError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.resources.costs import PER_ENTITY, Cost
from foreshock_pipelines.resources.machine import available_cores, available_memory
from foreshock_pipelines.sources import Source

__all__ = ["Estimate", "check_memory", "estimate"]

TABLE_BYTES = 30
"""Bytes of each value: the Arrow table, its copy as parts are joined, and the array that models take."""
FIT_BYTES = 60
"""Bytes of each value while a detector is fitted: scaled copies, window features or residuals, raw scores."""
PROCESS_BYTES = 450_000_000
"""Bytes of a worker process with torch and numba, without rows."""
RAY_BYTES = 550_000_000
"""Bytes of Ray's own processes on one machine, at rest."""


@dataclass(frozen=True)
class Estimate:
    """The resources that training and scoring would take.

    Attributes
    ----------
    memory, available : bytes needed, and bytes free here within the limits of the cgroup
    cores : cores of this machine within the quota of the cgroup
    training_seconds : time from the end of reading to the published model; None: no costs were given
    scoring_cores : cores that scoring keeps busy, without reading; None: no costs were given
    """

    job: str
    entities: int
    features: int
    rows: int
    samples: int
    memory: int
    available: int
    cores: float
    training_seconds: float | None = None
    scoring_cores: float | None = None

    @property
    def fits(self) -> bool:
        return self.memory <= self.available

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "fits": self.fits}


def estimate(
    job: Job, source: Source, start: datetime, end: datetime, costs: Mapping[str, Cost] | None = None
) -> Estimate:
    """Ask the source for the number of its series, and estimate a training from `start` to `end`.

    `costs`: costs of each detector of the job (`costs_of`).
    """
    found = source.discover()
    steps = max(0, round((end - start).total_seconds() / job.step_seconds)) + 1
    entities = max(found.values(), default=0)
    rows = entities * steps
    values = rows * len(job.features)
    detectors = max(1, len(job.detector_params))
    memory = values * (TABLE_BYTES + FIT_BYTES * detectors) + PROCESS_BYTES * (detectors + 1) + RAY_BYTES
    cores = available_cores()
    training, scoring = None, None
    if costs is not None:
        fits = [
            _fit_seconds(costs[name], name, params, entities, steps) for name, params in job.detector_params.items()
        ]
        training = max([*fits, sum(fits) / cores])  # detectors are fitted side by side
        scoring = entities * sum(cost.scored for cost in costs.values()) / job.score_every
    return Estimate(
        job.name, entities, len(job.features), rows, sum(found.values()) * steps, memory, available_memory(),
        cores, training, scoring,
    )  # fmt: skip


def _fit_seconds(cost: Cost, name: str, params: Mapping[str, Any], entities: int, steps: int) -> float:
    """Return the seconds of one core that fitting a detector on so many entities takes."""
    times, rows = (entities, steps) if params.get(PER_ENTITY) else (1, entities * steps)
    alone = make(name, **{key: value for key, value in params.items() if key != PER_ENTITY})
    return times * cost.fit(rows, alone.learns_from(rows))


def check_memory(found: Estimate) -> None:
    """Refuse a training that would not fit.

    Raises
    ------
    JobError
        Names the memory needed, the memory free, and ways out.
    """
    if not found.fits:
        raise JobError(
            f"training {found.job!r} on {found.entities:,} entities x {found.features} features x "
            f"{found.rows // max(1, found.entities):,} rows needs about {found.memory / 1e9:.1f} GB of memory; "
            f"{found.available / 1e9:.1f} GB are free; take a shorter history, a larger step or fewer entities, "
            "or pass --force"
        )
