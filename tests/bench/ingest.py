"""Row 1: a million samples from a real Prometheus to Arrow, beside the client library and a bare download."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect
from tests.bench.harness import Row, Size, at_least, at_most, race, seconds
from tests.servers import servers

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.sources import open_source

__all__ = ["rows"]

STEP = 60


def rows(size: Size) -> Iterator[Row]:
    series, points = 100, size.of(10_000, 500)
    windows = _walks(series, points)
    job_text = {"name": "bench", "queries": {"walk": "walk"}, "entity": ["instance"], "step": f"{STEP}s"}
    with tempfile.TemporaryDirectory(prefix="foreshock-bench-") as name, servers.prometheus(
        Path(name), windows=windows, args=["--query.max-samples=100000000"]
    ) as url:  # fmt: skip
        source = open_source(Job.model_validate({**job_text, "source": {"prometheus": url}}))
        client = PrometheusConnect(url=url, disable_ssl=True)
        span = {"start": windows.start.timestamp(), "end": windows.end.timestamp(), "step": STEP}
        query = f"{url}/api/v1/query_range?{urlencode({'query': 'walk', **span})}"

        def peer() -> int:
            found = client.custom_query_range("walk", windows.start, windows.end, str(STEP))
            return len(MetricRangeDataFrame(found))

        def curl() -> None:
            subprocess.run(["curl", "-s", "-o", "/dev/null", query], check=True)

        assert source.read(windows.start, windows.end).n_rows == series * points
        ours = lambda: source.read(windows.start, windows.end)  # noqa: E731
        times = race({"ours": ours, "peer": peer, "curl": curl}, turns=3, least=0, clock=time.perf_counter)
    count = f"{series * points:,} samples of {series} series"
    mine = times.median("ours")
    over, under = times.ratio("peer", "ours"), times.ratio("ours", "curl")
    yield Row(
        f"Prometheus to Arrow, {count}", seconds(mine), f"prometheus-api-client {seconds(times.median('peer'))}",
        over, *at_least(8.0, over), {"ours_s": mine, "peer_s": times.median("peer")},
    )  # fmt: skip
    yield Row(
        "the same, beside a download to nowhere", seconds(mine), f"curl {seconds(times.median('curl'))}",
        under, *at_most(2.5, under), {"curl_s": times.median("curl")},
    )  # fmt: skip


def _walks(series: int, points: int) -> Windows:
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(series, points)), axis=1).ravel()
    names = [f"host-{i:03d}" for i in range(series)]
    return Windows.dense(
        {"instance": names}, {"walk": values}, first=1_772_000_040_000 // 60_000 * 60_000, n_steps=points,
        step=STEP, job="bench",
    )  # fmt: skip
