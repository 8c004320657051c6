"""The notebooks as they are committed: short, executed, with pictures, and free of the machine they ran on.

That they run is seen by nbmake (`notebooks/conftest.py`), and here against a real Prometheus.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.servers import servers

from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows

FOLDER = Path(__file__).resolve().parents[3] / "notebooks"


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def outputs(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


@pytest.mark.slow
@pytest.mark.prometheus
def test_a_prometheus_that_goes_down_between_two_cells_is_named_and_takes_nothing_along(
    fleet: Windows, tmp_path: Path
) -> None:
    import nbformat
    from nbclient import NotebookClient

    again = "later = foreshock.fetch(prometheus=URL, queries={'cpu': 'cpu'}, start=START, end=END)"
    times = f"START, END = '{fleet.start:%Y-%m-%dT%H:%M:%SZ}', '{fleet.end:%Y-%m-%dT%H:%M:%SZ}'"
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(servers.prometheus(tmp_path, windows=fleet))
        first = f"import foreshock; URL = {url!r}; {times}; {again.replace('later', 'windows')}"
        book = nbformat.v4.new_notebook()
        book.cells = [nbformat.v4.new_code_cell(text) for text in (first, again, "windows")]
        client = NotebookClient(
            book, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
        )
        with client.setup_kernel():
            client.execute_cell(book.cells[0], 0)
            stack.close()
            for number in (1, 2):
                client.execute_cell(book.cells[number], number)
    assert book.cells[0].outputs == []
    (error,) = book.cells[1].outputs
    assert error["ename"] == "SourceUnavailable"
    assert url in error["evalue"]
    assert "Connection refused" in error["evalue"]
    assert len(error["traceback"]) == 2, "the text, and where the whole traceback is"
    assert "3 entities x 1440 rows" in book.cells[2].outputs[0]["data"]["text/plain"]


def node_exporter_metrics(hosts: int = 3, days: float = 1.5) -> str:
    """Two days until now of what node_exporter would give for a made-up fleet, as OpenMetrics text."""
    from datetime import UTC, datetime

    panel = demo_fleet(hosts=hosts, days=days, incidents=2, end=datetime.now(UTC))[0].to_panel()
    values = {name: panel.values[:, j] for j, name in enumerate(panel.features)}
    counters = {
        'node_cpu_seconds_total{instance="%s",cpu="0",mode="idle"}': 1 - values["cpu"],
        'node_disk_io_time_seconds_total{instance="%s",device="sda"}': values["disk_io"],
        'node_network_receive_bytes_total{instance="%s",device="eth0"}': values["network"],
    }
    gauges = {
        'node_memory_MemAvailable_bytes{instance="%s"}': 8e9 * (1 - values["memory"]),
        'node_memory_MemTotal_bytes{instance="%s"}': np.full(panel.n_rows, 8e9),
    }
    lines: list[str] = []
    for series, column in {**counters, **gauges}.items():
        metric = series.partition("{")[0]
        kind, family = ("counter", metric.removesuffix("_total")) if series in counters else ("gauge", metric)
        lines.append(f"# TYPE {family} {kind}")
        for entity, rows in panel:
            part = np.nan_to_num(column[rows])
            part = np.cumsum(part * panel.step) if series in counters else part
            times = panel.timestamps[rows] / 1000
            known = ~np.isnan(column[rows])
            lines += [
                f"{series % entity} {value!r} {time:.3f}"
                for value, time in zip(part[known].tolist(), times[known].tolist(), strict=True)
            ]
    return "\n".join([*lines, "# EOF\n"])


@pytest.mark.slow
@pytest.mark.prometheus
@pytest.mark.timeout(600)
def test_the_quickstart_runs_on_a_prometheus_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(FOLDER / "01_quickstart.ipynb", as_version=4)
    with servers.prometheus(tmp_path, windows=node_exporter_metrics()) as url:
        monkeypatch.setenv("PROMETHEUS_URL", url)
        NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = json.dumps([cell.get("outputs") for cell in book.cells])
    assert "features: cpu, memory, disk_io, network)" in shown
    assert shown.count("image/png") == 2
