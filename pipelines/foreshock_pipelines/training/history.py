"""The history that a job learns from: read it, and keep the entities that have enough of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import numpy as np

from foreshock_models.detectors import MIN_ROWS
from foreshock_models.errors import NotEnoughData
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.grid import grid
from foreshock_pipelines.datasets.ray_dataset import collect_windows
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.progress import ReportLine, StepProgress, ignore_line
from foreshock_pipelines.ray_errors import ray_errors
from foreshock_pipelines.sources import Source, open_source

__all__ = ["read_history", "usable_entities"]


def read_history(
    job: Job,
    start: datetime,
    end: datetime,
    steps: StepProgress | None = None,
    *,
    progress: ReportLine = ignore_line,
) -> Windows:
    """Read the job's windows: by Ray tasks where Ray runs, else in this process.

    `progress` is told if the source's answers were partial.
    """
    import ray

    source = open_source(job)
    source.check()
    parallel = ray.is_initialized()
    windows = _read_on_ray(job, source, start, end, steps) if parallel else source.read(start, end)
    for reason in windows.partial:
        progress(f"partial answer, rows may be missing: {reason}")
    return windows


def _read_on_ray(job: Job, source: Source, start: datetime, end: datetime, steps: StepProgress | None) -> Windows:
    with ray_errors(f"reading the windows of {job.name}"), _count_steps(job, start, end, steps) as on_block:
        return collect_windows(source.dataset(start, end), on_block)


@contextmanager
def _count_steps(
    job: Job, start: datetime, end: datetime, steps: StepProgress | None
) -> Iterator[Callable[[Windows], None]]:
    """Report the steps of the grid that have been read, block by block."""
    if steps is None:
        yield lambda part: None
        return
    first, last = grid(start, end, job.step_seconds)
    total = round((last - first) / (job.step_seconds * 1000)) + 1
    done = 0

    def on_block(part: Windows) -> None:
        nonlocal done
        done += part.n_rows // max(1, len(part.entities))  # all entities are on one grid
        steps("reading", min(done, total), total)

    yield on_block
    steps("reading", total, total)  # a stretch without a sample has no row


def usable_entities(panel: Panel) -> tuple[Panel, dict[str, str]]:
    """Return the entities with enough rows to train on, and the reason for which each other one is left out.

    Raises
    ------
    NotEnoughData
        No entity has enough rows.
    """
    filled = np.asarray(~np.isnan(panel.values).all(axis=1))
    skipped = {}
    for entity, rows in panel:
        count = int(filled[rows].sum())
        if count < MIN_ROWS:
            skipped[entity] = f"{count} rows with a sample, {MIN_ROWS} are needed"
    if len(skipped) == panel.n_entities:
        raise NotEnoughData(
            f"none of {panel.n_entities} entities has the {MIN_ROWS} rows that training needs; "
            "take a longer history or a smaller step"
        )
    kept = [entity for entity in panel.entities if entity not in skipped]
    return panel if not skipped else panel.select(kept), skipped
