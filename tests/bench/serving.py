"""Rows 4 and 5: scoring over HTTP, beside a Serve application that does nothing, and FastAPI with PyOD."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from fastapi import FastAPI, Request
from tests.bench.harness import Row, Size, at_least, per_second, seconds
from tests.bench.inputs import fleet
from tests.bench.load import Answers, load
from tests.servers.servers import free_port, running

from foreshock.api.app import serve_application
from foreshock.settings import load_settings
from foreshock.up import ray_cluster
from foreshock_models.detectors import Detector
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.registry import Registry

__all__ = ["rows"]

JSON = {"Content-Type": "application/json"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}
WINDOW_ROWS = 72
"""Of the window in one request: one row and the context that the default detectors look at."""


def rows(size: Size) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name:
        folder = Path(name)
        windows = fleet(10, 1.2)
        file = folder / "bench.yaml"
        windows.write_parquet(folder / "fleet.parquet")
        queries = "\n".join(f"  {feature}: {feature}" for feature in windows.features)
        file.write_text(
            # few epochs: how good the networks are makes no difference to how fast they are
            "name: bench\ndetectors: {iforest: {}, lstm: {epochs: 2}, vae: {epochs: 2}}\n"
            f"source: {{parquet: fleet.parquet}}\nqueries:\n{queries}\nentity: [instance]\nstep: 60s\n"
        )
        job = load_job(file)
        settings = load_settings(home=folder, port=free_port(), log_level="ERROR")
        train(job, Registry(settings.registry))
        detector, _ = Registry(settings.registry).load("bench")
        with ray_cluster(settings, serving=True), _peer(folder, windows) as peer_url:
            token, _ = serve_application(settings, {"bench": job})
            noop = _serve_noop(settings.port)
            auth = {"Authorization": f"Bearer {token}"}
            for what, last in (("the newest", 1), ("all", None)):
                yield from _small(settings.url, noop, peer_url, windows, auth, size, what, last)
            yield from _bulk(settings.url, detector, windows, auth, size)


def _small(
    url: str, noop: str, peer: str, windows: Windows, auth: dict[str, str], size: Size, what: str, last: int | None
) -> Iterator[Row]:
    body = _json_body(windows, 1, WINDOW_ROWS, last)
    span = 2.0 * size.share
    contests: dict[str, Callable[[int], Answers]] = {
        "ours": lambda n: load(f"{url}/ai/score", body, connections=n, seconds=span, headers=JSON | auth),
        "noop": lambda n: load(noop, body, connections=n, seconds=span, headers=JSON | auth),
        "peer": lambda n: load(f"{peer}/score", body, connections=n, seconds=span, headers=JSON),
    }
    for run in contests.values():
        run(4)
    for connections in (1, 8, 32):
        got: dict[str, list[Answers]] = {name: [] for name in contests}
        for turn in range(3):
            for name in list(contests)[:: 1 if turn % 2 == 0 else -1]:
                got[name].append(contests[name](connections))
        rate = {name: float(np.median([a.rate for a in answers])) for name, answers in got.items()}
        of_noop = float(np.median([a.rate / b.rate for a, b in zip(got["ours"], got["noop"], strict=True)]))
        of_peer = float(np.median([a.rate / b.rate for a, b in zip(got["ours"], got["peer"], strict=True)]))
        p50, p95, p99 = (float(np.median([getattr(a, q) for a in got["ours"]])) for q in ("p50", "p95", "p99"))
        words = f"/ai/score, {what} of {WINDOW_ROWS} rows, {connections} connection{'s' * (connections > 1)}"
        detail = {"p50_s": p50, "p95_s": p95, "p99_s": p99, "rates": rate}
        ours = f"{per_second(rate['ours'], 'req')}; {seconds(p50)} / {seconds(p95)} / {seconds(p99)}"
        yield Row(
            f"{words}: rate; p50 / p95 / p99", ours, f"no-op Serve {per_second(rate['noop'], 'req')}", of_noop,
            "≥ 0.7" + ("; p95 < 100 ms" if connections == 32 else ""),
            of_noop >= 0.7 and (connections < 32 or p95 < 0.1), detail,
        )  # fmt: skip
        text, met = at_least(3.0, of_peer)
        yield Row(
            words,
            per_second(rate["ours"], "req"),
            f"FastAPI + PyOD {per_second(rate['peer'], 'req')}",
            of_peer,
            text,
            met,
        )


def _bulk(url: str, detector: Detector, windows: Windows, auth: dict[str, str], size: Size) -> Iterator[Row]:
    n = windows.n_rows // 10
    part = Windows(windows.table.slice(0, size.of(n * 10, n)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.table.schema) as writer:
        writer.write_table(part.table)
    arrow = sink.getvalue().to_pybytes()
    text = _json_body(part, 10, None)
    took: dict[str, list[float]] = {"arrow": [], "json": [], "inside": []}
    for turn in range(9):
        for name, run in {
            "arrow": lambda: load(
                f"{url}/ai/score?job=bench", arrow, connections=1, seconds=0.01, headers=ARROW | auth
            ),
            "json": lambda: load(f"{url}/ai/score", text, connections=1, seconds=0.01, headers=JSON | auth),
            "inside": lambda: detector.score(part),
        }.items():
            began = time.perf_counter()
            run()
            if turn:
                took[name].append(time.perf_counter() - began)
    rate = {name: part.n_rows / float(np.median(times)) for name, times in took.items()}
    share = float(np.median(np.divide(took["inside"], took["arrow"])))
    faster = float(np.median(np.divide(took["json"], took["arrow"])))
    mine = per_second(rate["arrow"], "rows")
    yield Row(
        f"bulk over HTTP, Arrow, {part.n_rows:,} rows, default ensemble", mine,
        f"in this process {per_second(rate['inside'], 'rows')}", share, "≥ 0.6; ≥ 10,000 rows/s",
        share >= 0.6 and rate["arrow"] >= 10_000, {"rates": rate},
    )  # fmt: skip
    yield Row(
        "bulk over HTTP, Arrow beside JSON", mine, f"JSON {per_second(rate['json'], 'rows')}", faster, "", None
    )


def _json_body(windows: Windows, hosts: int, n_rows: int | None, last: int | None = None) -> bytes:
    panel = windows.to_panel()
    bodies = []
    for name, rows in list(panel)[:hosts]:
        some = slice(rows.start, rows.stop if n_rows is None else rows.start + n_rows)
        times = np.datetime_as_string(panel.timestamps[some].astype("datetime64[ms]"), unit="s", timezone="UTC")
        values = {f: panel.values[some, j].tolist() for j, f in enumerate(panel.features)}
        bodies.append({"entity": name, "timestamps": times.tolist(), "values": values})
    return orjson.dumps({"job": "bench", "windows": bodies, "last": last})  # a NaN becomes null


def _serve_noop(port: int) -> str:
    """A Serve application that reads the body and says so: what the mode itself allows."""
    from ray import serve

    app = FastAPI()

    @app.post("/")
    async def nothing(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    class Noop:
        pass

    deployment: Any = serve.deployment(ray_actor_options={"num_cpus": 0.2}, max_ongoing_requests=200)
    serve.run(deployment(serve.ingress(app)(Noop)).bind(), name="noop", route_prefix="/noop")
    return f"http://127.0.0.1:{port}/noop/"


@contextlib.contextmanager
def _peer(folder: Path, windows: Windows) -> Iterator[str]:
    port = free_port()
    np.save(folder / "rows.npy", np.nan_to_num(windows.to_panel().values[:8000]))
    command = [
        sys.executable, "-m", "uvicorn", "tests.bench.peer_app:app", "--port", str(port), "--log-level", "error",
        "--workers", "1",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    env = {"BENCH_ROWS": str(folder / "rows.npy"), "PYTHONPATH": os.pathsep.join([*sys.path, "."])}
    with running(command, folder / "peer.log", f"{url}/healthz", env=env):
        yield url
