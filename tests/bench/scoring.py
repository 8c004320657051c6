"""Row 8: one scoring pass from a real Prometheus into the store, stage by stage; the scoring alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from tests.bench.harness import Row, Size, per_second, race, seconds
from tests.bench.inputs import fleet
from tests.servers import servers

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.store import open_store
from foreshock_models.detectors import Ensemble
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import score_pass
from foreshock_pipelines.scoring.scored_rows import ScoredRows
from foreshock_pipelines.sources import open_source

__all__ = ["job_of", "many_hosts", "rows"]

STEP = 30.0
PASSES = 5
STAGES = ("fetch", "score", "explain", "store")


def rows(size: Size) -> Iterator[Row]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        folder = Path(name)
        training = fleet(6, 1.2, step=STEP)
        detector = Ensemble().fit(training.to_panel())
        most = size.of(1000, 20)
        windows = many_hosts(training, most, detector.context + PASSES + 2)
        with servers.prometheus(folder, windows=windows, args=["--query.lookback-delta=29s999ms"]) as url:
            sizes = sorted({max(1, most // 100), most // 10, most})
            found = {n: _passes(detector, url, windows, n, folder) for n in sizes}
        yield from _table(found)
        yield _alone(detector, windows.to_panel())


def many_hosts(windows: Windows, hosts: int, n_rows: int) -> Windows:
    """Hosts that are stretches of those given, each at another time of its past."""
    panel = windows.to_panel()
    starts = np.linspace(0, panel.n_rows // panel.n_entities - n_rows - 1, hosts).astype(int)
    # but the last, which is dead
    at = panel.offsets[np.arange(hosts) % (panel.n_entities - 1)] + starts
    values = panel.values[at[:, None] + np.arange(n_rows)].reshape(hosts * n_rows, -1)
    return Windows.dense(
        {"instance": [f"host-{i:05d}" for i in range(hosts)]},
        {name: np.ascontiguousarray(values[:, j]) for j, name in enumerate(panel.features)},
        first=int(panel.timestamps[-1]) - (n_rows - 1) * round(panel.step * 1000), n_steps=n_rows,
        step=panel.step, job="bench",
    )  # fmt: skip


def job_of(url: str, windows: Windows, hosts: int, **more: object) -> Job:
    """The first `hosts` of the windows that a server holds."""
    names = "|".join(f"host-{i:05d}" for i in range(hosts))
    which = f'{{instance=~"{names}"}}' if hosts < 1000 else ""
    queries = {name: f"{name}{which}" for name in windows.features}
    return Job.model_validate(
        {"name": "bench", "source": {"prometheus": url}, "queries": queries, "entity": ["instance"],
         "step": f"{windows.step:g}s", **more}
    )  # fmt: skip


def _passes(detector: Ensemble, url: str, windows: Windows, hosts: int, folder: Path) -> dict[str, float]:
    """Median seconds of each stage over a few consecutive passes of one new row an entity."""
    job = job_of(url, windows, hosts)
    source = open_source(job)
    store = open_store(f"sqlite:///{folder}/{hosts}.db")
    engine = AlertPipeline(store)
    state = None
    taken: list[dict[str, float]] = []
    for i in range(PASSES + 1):
        at = windows.end - timedelta(seconds=(PASSES - i) * windows.step)
        ms = round(at.timestamp() * 1000)
        scored: ScoredRows = score_pass(detector, "v1", source, job, (ms, ms), state)
        began = time.perf_counter()
        engine.apply(job, scored, ms)
        taken.append({**scored.seconds, "store": time.perf_counter() - began})
        state = scored.state
        assert scored.panel.n_entities == hosts
    store.close()
    stages = {stage: float(np.median([one[stage] for one in taken[1:]])) for stage in STAGES}
    return {
        **stages,
        "all": float(np.median([sum(one.values()) for one in taken[1:]])),
        "context_rows": detector.context,
        "state_bytes": len(scored.state.to_bytes()) / hosts,
    }


def _table(found: dict[int, dict[str, float]]) -> Iterator[Row]:
    before: float | None = None
    for hosts, took in found.items():
        each = took["all"] / hosts
        stages = ", ".join(f"{stage} {seconds(took[stage])}" for stage in STAGES)
        yield Row(
            f"one pass, {hosts:,} entities x 8 features: {stages}", f"{seconds(took['all'])}: {seconds(each)} each",
            "", None if before is None else before / each, "an entity costs no more than with fewer",
            None if before is None else each <= before, {"hosts": hosts, **took},
        )  # fmt: skip
        before = each
    hosts, took = list(found.items())[-1]
    yield Row(
        f"one pass, {hosts:,} entities, of a step of {STEP:g} s", seconds(took["all"]), f"step {STEP:g} s",
        took["all"] / STEP, "within the step", took["all"] < STEP,
    )  # fmt: skip


def _alone(detector: Ensemble, panel: Panel) -> Row:
    """Score and calibrate one new row of every entity, on one core."""
    last = int(panel.timestamps[-1])
    times = race({"ours": lambda: detector.score(panel, since=last)}, turns=5)
    rate = panel.n_entities / times.median("ours")
    return Row(
        f"the scoring alone, {panel.n_entities:,} entities", per_second(rate, "entity-scores"), "one core", None,
        "≥ 10,000/s", rate >= 10_000, {"entity_scores_per_s": rate},
    )  # fmt: skip
