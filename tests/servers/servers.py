"""Real servers for the tests: Debian's packages, each on a free port, stopped at the end with all they started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

from foreshock_pipelines.datasets.windows import Windows

PROMETHEUS = "prometheus"


def need(program: str, package: str) -> str:
    """Path of a program; skips the test, naming the package, where it is not installed."""
    found = shutil.which(program) or (program if Path(program).is_file() else None)
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")
    return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, url: str | None = None, env: dict[str, str] | None = None
) -> Iterator[int]:
    """A process in a group of its own, until `url` answers 200; gives its pid."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **(env or {})}
        )
    try:
        deadline = time.monotonic() + 60
        while url is not None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=2).status_code == 200:
                    break
            time.sleep(0.1)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def write_openmetrics(windows: Windows, path: Path) -> None:
    """All samples of windows as OpenMetrics text, one metric for each feature."""
    panel = windows.to_panel()
    label = windows.labels[0]
    with path.open("w") as out:
        for j, feature in enumerate(panel.features):
            out.write(f"# TYPE {feature} gauge\n")
            for entity, rows in panel:
                times, values = panel.timestamps[rows] / 1000, panel.values[rows, j]
                keep = ~np.isnan(values)
                prefix = f'{feature}{{{label}="{entity}"}} '
                out.writelines(
                    f"{prefix}{v!r} {t:.3f}\n"
                    for t, v in zip(times[keep].tolist(), values[keep].tolist(), strict=True)
                )
        out.write("# EOF\n")


@contextlib.contextmanager
def prometheus(
    folder: Path,
    *,
    windows: Windows | None = None,
    scrape: str | None = None,
    config: str = "",
    args: Sequence[str] = (),
) -> Iterator[str]:
    """URL of a Prometheus that holds `windows`, or scrapes the target `scrape` every second."""
    program, promtool = need("prometheus", PROMETHEUS), need("promtool", PROMETHEUS)
    folder.mkdir(parents=True, exist_ok=True)
    if windows is not None:
        text = folder / "metrics.om"
        write_openmetrics(windows, text)
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", text, folder / "data"],
            check=True, capture_output=True,
        )  # fmt: skip
        text.unlink()
    job = f"- job_name: node\n  static_configs: [{{targets: ['{scrape}']}}]" if scrape else "[]"
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{config}\nscrape_configs:\n{job}\n".replace(
            "scrape_configs:\n[]", "scrape_configs: []"
        )
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=warn", *args,
    ]  # fmt: skip
    with running(command, folder / "prometheus.log", f"{url}/-/ready"):
        yield url


@contextlib.contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    program = need("prometheus-alertmanager", "prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip
    with running(command, folder / "alertmanager.log", f"{url}/-/ready"):
        yield url


@contextlib.contextmanager
def node_exporter(folder: Path) -> Iterator[str]:
    """Address (host:port) of a node_exporter."""
    program = need("prometheus-node-exporter", "prometheus-node-exporter")
    address = f"127.0.0.1:{free_port()}"
    with running([program, f"--web.listen-address={address}"], folder / "node.log", f"http://{address}/metrics"):
        yield address


@contextlib.contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    program = need("victoria-metrics", "victoria-metrics")
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    command = [
        program, f"-storageDataPath={folder}/vm", f"-httpListenAddr={address}", "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
    ]  # fmt: skip
    with running(command, folder / "vm.log", f"http://{address}/health"):
        yield f"http://{address}"


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("postgres is not installed (Debian: apt-get install postgresql)")
    bin_folder = found[-1].parent
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "pg"
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
        for parent in [folder, *folder.parents]:
            with contextlib.suppress(PermissionError):
                if parent.stat().st_mode & 0o001 == 0:
                    parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        [*as_user, bin_folder / "initdb", "-D", data, "-U", "foreshock", "-A", "trust", "-E", "UTF8"],
        check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    port = free_port()
    command = [
        *as_user,
        str(bin_folder / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        "",
        "-h",
        "127.0.0.1",
    ]
    with running(command, folder / "postgres.log"):
        for _ in range(100):
            ready = subprocess.run(
                [bin_folder / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
            )
            if ready.returncode == 0:
                break
            time.sleep(0.1)
        yield f"postgresql+psycopg://foreshock@127.0.0.1:{port}/postgres"
