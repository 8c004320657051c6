"""Passes of the light tier over many entities, for real: ``make bench-scale``.

A job with ``detectors: light`` and three features is trained, then scored for a few consecutive minutes: rows are
read, scored, calibrated, judged by the alert policy and written to SQLite, as a scoring worker and the alert actor
do. Rows come from a Parquet file, and from VictoriaMetrics.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tests.servers import servers

from foreshock.alerts.pipeline import AlertPipeline
from foreshock.store import open_store
from foreshock_models.detectors import Light
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import score_pass
from foreshock_pipelines.sources import open_source

FEATURES = ("cpu", "memory", "requests")
STEP = 60.0
START = 1_772_000_040_000
STAGES = ("fetch", "score", "explain", "store")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entities", default="1000,10000,100000")
    parser.add_argument("--sources", default="parquet,victoria-metrics")
    parser.add_argument("--rows", type=int, default=240, help="rows of history for each entity")
    parser.add_argument("--passes", type=int, default=4)
    options = parser.parse_args()
    print(f"step {STEP:g} s, {len(FEATURES)} features; seconds of a pass, median of {options.passes}")
    print(
        "| entities | source | pass | "
        + " | ".join(STAGES)
        + " | cores busy | bytes of state each | memory | open alerts |"
    )
    print("| --- " * (len(STAGES) + 7) + "|")
    for n in map(int, options.entities.split(",")):
        windows = made_up(n, options.rows)
        began = time.perf_counter()
        detector = Light().fit(windows.to_panel())
        trained = time.perf_counter() - began
        for name in options.sources.split(","):
            with (
                tempfile.TemporaryDirectory(prefix="foreshock-bench-") as folder,
                _source(
                    name, windows.between(start=windows.end_ms - 60_000 * (options.passes + 1)), Path(folder)
                ) as source,
            ):
                print(_row(n, name, detector, source, windows, Path(folder), options.passes), flush=True)
        print(f"  trained on {n:,} entities x {options.rows} rows in {trained:.0f} s", flush=True)


def made_up(n_entities: int, n_rows: int) -> Windows:
    """Noise around a level of each entity's own, with a step up in one entity of a thousand at the end."""
    rng = np.random.default_rng(0)
    columns = {}
    for feature in FEATURES:
        values = rng.normal(size=(n_entities, n_rows)) * 0.05 + rng.uniform(1, 5, (n_entities, 1))
        values[::1000, -3:] += 2.0
        columns[feature] = values.ravel()
    names = {"instance": [f"host-{i:06d}" for i in range(n_entities)]}
    return Windows.dense(names, columns, first=START, n_steps=n_rows, step=STEP, job="scale")


@contextlib.contextmanager
def _source(name: str, newest: Windows, folder: Path) -> Iterator[dict[str, str]]:
    if name == "parquet":
        newest.write_parquet(folder / "newest.parquet")
        yield {"parquet": str(folder / "newest.parquet")}
    else:
        with servers.victoria_metrics(folder, windows=newest, args=["-search.maxUniqueTimeseries=2000000"]) as url:
            yield {"prometheus": url}


def _row(
    n: int, name: str, detector: Light, source: dict[str, str], windows: Windows, folder: Path, passes: int
) -> str:
    job = Job.model_validate(
        {"name": "scale", "source": source, "queries": {f: f for f in FEATURES}, "entity": ["instance"],
         "step": f"{STEP:g}s", "detectors": ["light"]}
    )  # fmt: skip
    reader, store = open_source(job), open_store(f"sqlite:///{folder}/{name}.db")
    engine, state = AlertPipeline(store), None
    taken: list[dict[str, float]] = []
    for i in range(passes + 1):
        ms = windows.end_ms - round((passes - i) * STEP * 1000)
        cpu, began = time.process_time(), time.perf_counter()
        scored = score_pass(detector, "v1", reader, job, (ms, ms), state)
        stored = time.perf_counter()
        engine.apply(job, scored, ms)
        now = time.perf_counter()
        assert scored.panel.n_entities == n and scored.panel.n_rows == n
        taken.append(
            {**scored.seconds, "store": now - stored, "pass": now - began, "cpu": time.process_time() - cpu}
        )
        state = scored.state
    opened = len(engine.alerts.live("scale"))
    store.close()
    median = {key: float(np.median([one[key] for one in taken[1:]])) for key in taken[1]}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    size = len(state.to_bytes()) / n if state is not None else 0
    columns = [f"{median['pass']:.2f} s", *(f"{median[stage]:.2f}" for stage in STAGES)]
    columns += [f"{median['cpu'] / STEP:.2f}", f"{size:.0f}", f"{memory:.1f} GB"]
    return f"| {n:,} | {name} | " + " | ".join(columns) + f" | {opened} |"


if __name__ == "__main__":
    main()
