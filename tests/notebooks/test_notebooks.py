"""The notebooks as they are committed: short, executed, with pictures, and free of the machine they ran on.

That they run is seen by nbmake (`notebooks/conftest.py`), and here against a real Prometheus.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import re
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.notebooks.picture import PICTURE, last_picture
from tests.servers import servers

from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = ("01_quickstart", "02_explain", "03_tune_and_compare", "04_forecast_and_capacity", "05_remote_cluster")
# a path of a person or a machine: absolute, and not of an HTTP route
PATH = re.compile(r"(?<![\w/.:])/(?:home|root|tmp|work|usr|opt|var|Users|private|mnt)/[\w.-]+")


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def outputs(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def text_of(output: dict[str, Any]) -> str:
    """All text of an output, without its pictures."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps({**output, "data": data})


def test_these_are_the_notebooks() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_begins_with_a_title(name: str) -> None:
    cells = read(name)["cells"]
    assert len(cells) < 30
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_executed_from_top_to_bottom_without_an_error(name: str) -> None:
    book = read(name)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run make notebooks"
    assert [output["output_type"] for output in outputs(book) if output["output_type"] == "error"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_pictures_and_no_warnings(name: str) -> None:
    found = outputs(read(name))
    assert sum("image/png" in output.get("data", {}) for output in found) >= 1
    assert [output["text"] for output in found if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_names_no_path_user_or_host(name: str) -> None:
    machine = re.compile(rf"\b({re.escape(socket.gethostname())}|{re.escape(getpass.getuser())})\b")
    address = re.compile(r"\b(?!127\.0\.0\.1\b|0\.0\.0\.0\b)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
    for output in outputs(read(name)):
        text = text_of(output)
        for pattern in (PATH, machine, address):
            assert not pattern.search(text), f"{pattern.search(text)}: {text[:300]}"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    text = "".join("".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == "markdown")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (FOLDER / link).exists(), link


def test_the_picture_of_the_readme_is_the_last_one_of_the_quickstart(root: Path) -> None:
    assert PICTURE.read_bytes() == last_picture(), "run python -m tests.notebooks.picture"
    assert PICTURE.relative_to(root).as_posix() in (root / "README.md").read_text()


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
