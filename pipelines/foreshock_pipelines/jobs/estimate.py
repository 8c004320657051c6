"""Estimate: what training a job would read and hold in memory, before anything is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from foreshock_models.errors import JobError
from foreshock_pipelines.datasets.source import Source
from foreshock_pipelines.jobfile import Job

__all__ = ["Estimate", "available_memory", "check_memory", "estimate"]

TABLE_BYTES = 30
"""For each value: the Arrow table, its copy as parts are joined, and the array that models take."""
FIT_BYTES = 100
"""For each value while a detector is fitted: scaled copies, window features or residuals, raw scores."""
PROCESS_BYTES = 450_000_000
"""A worker process with torch and numba, before it has rows."""
CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Limit and use of memory, in version 2 and version 1."""


@dataclass(frozen=True)
class Estimate:
    """What training would take. ``available``: memory that is free here, cgroup limits honoured, bytes."""

    job: str
    entities: int
    features: int
    rows: int
    samples: int
    memory: int
    available: int

    @property
    def fits(self) -> bool:
        return self.memory <= self.available

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "fits": self.fits}


def estimate(job: Job, source: Source, start: datetime, end: datetime) -> Estimate:
    """Ask the source how many series there are, and say what training on them from `start` to `end` takes."""
    found = source.discover()
    steps = max(0, round((end - start).total_seconds() / job.step_seconds)) + 1
    entities = max(found.values(), default=0)
    values = entities * steps * len(job.features)
    detectors = max(1, len(job.detector_params))
    memory = values * (TABLE_BYTES + FIT_BYTES * detectors) + PROCESS_BYTES * (detectors + 1)
    return Estimate(
        job.name, entities, len(job.features), entities * steps, sum(found.values()) * steps, memory,
        available_memory(),
    )  # fmt: skip


def check_memory(found: Estimate) -> None:
    """Refuse a training that would not fit.

    Raises
    ------
    JobError
        Says what is needed, what there is, and what to do.
    """
    if not found.fits:
        raise JobError(
            f"training {found.job!r} on {found.entities:,} entities x {found.features} features x "
            f"{found.rows // max(1, found.entities):,} rows needs about {found.memory / 1e9:.1f} GB of memory; "
            f"{found.available / 1e9:.1f} GB are free; take a shorter history, a larger step or fewer entities, "
            "or pass --force"
        )


def available_memory() -> int:
    """Memory that processes here may still take, bytes: what the machine has free, or the cgroup, if less."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    for limit_file, used_file in CGROUPS:
        try:
            limit, used = Path(limit_file).read_text().strip(), int(Path(used_file).read_text())
        except (OSError, ValueError):
            continue
        if limit.isdigit():
            free = min(free, max(0, int(limit) - used))
    return free
