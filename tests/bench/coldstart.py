"""Cold start: a job without a model, from its history in a real Prometheus to the scores of its first window."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from tests.bench.harness import Row, Size, seconds
from tests.bench.inputs import fleet
from tests.bench.scoring import job_of, many_hosts
from tests.servers import servers

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import score_pass
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.training.history import usable_entities
from foreshock_pipelines.training.manifest import training_manifest

__all__ = ["rows"]

STEP = 60.0
HISTORY = timedelta(days=1)
LIMIT = 60.0
T = TypeVar("T")


def rows(size: Size) -> Iterator[Row]:
    torch.set_num_threads(1)
    n_rows = round(HISTORY.total_seconds() / STEP) + 1
    most = size.of(200, 20)
    windows = many_hosts(fleet(11, 3, step=STEP), most, n_rows)
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        folder = Path(name)
        # each point of the grid as it is stored, not carried on for five minutes
        with servers.prometheus(folder, windows=windows, args=["--query.lookback-delta=59s999ms"]) as url:
            for hosts in sorted({max(2, most // 10), most}):
                job = job_of(url, windows, hosts, history="1d")
                stages = _start(job, windows, folder / str(hosts))
                whole = sum(stages.values())
                words = ", ".join(f"{stage} {seconds(took)}" for stage, took in stages.items())
                yield Row(
                    f"a new job, {hosts} entities x 8 features x 1 day of minutes: {words}", seconds(whole),
                    f"limit {LIMIT:g} s", whole / LIMIT, "in seconds", whole < LIMIT, {"hosts": hosts, **stages},
                )  # fmt: skip


def _start(job: Job, windows: Windows, folder: Path) -> dict[str, float]:
    """Seconds of each stage, in one process without Ray: one bulk read, one fit, one pass over the newest row."""
    source, registry = open_source(job), Registry(folder)
    stages: dict[str, float] = {}

    def timed(stage: str, run: Callable[[], T]) -> T:
        began = time.perf_counter()
        found = run()
        stages[stage] = time.perf_counter() - began
        return found

    read = timed("read", lambda: source.read(windows.end - job.history, windows.end))
    panel, _ = usable_entities(read.to_panel())
    made = timed("fit", lambda: fit(panel, job.detector_params, job.budget))
    extra = training_manifest(job, panel, read.queries, made, job.detector_params)
    model = timed("publish", lambda: registry.publish(made.detector, job.name, extra, alias="champion"))
    detector, _ = timed("load", lambda: registry.load(job.name))
    last = windows.end_ms
    scored = timed("first pass", lambda: score_pass(detector, model.version, source, job, (last, last)))
    assert scored.panel.n_entities == panel.n_entities
    return stages
