"""Real servers for the tests: Debian's packages, each on a free port, stopped at the end with all they started."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest

from foreshock_pipelines.datasets.entity_key import entity_labels
from foreshock_pipelines.datasets.windows import Windows

PROMETHEUS = "prometheus"


def need(program: str, package: str) -> str:
    """Path of a program, of this environment or of the system; skips the test, naming the package, without it."""
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}")
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: apt-get install {package})")
    return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str],
    log: Path,
    url: str | None = None,
    env: dict[str, str] | None = None,
    client: httpx.Client | None = None,
    patience: float = 60,
) -> Iterator[int]:
    """A process in a group of its own, until `url` answers 200; gives its pid."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, env={**os.environ, **(env or {})}
        )
    try:
        deadline = time.monotonic() + patience
        asking = client or httpx.Client()  # one: to make it costs more than to ask
        while url is not None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if asking.get(url, timeout=2).status_code == 200:
                    break
            time.sleep(0.1)
        if client is None:
            asking.close()
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):  # what it started may have outlived it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def openmetrics(windows: Windows) -> str:
    """All samples of windows as OpenMetrics text, one metric for each feature; a gap is no sample."""
    panel = windows.to_panel()
    lines = []
    for j, feature in enumerate(panel.features):
        lines.append(f"# TYPE {feature} gauge")
        for entity, rows in panel:
            labels = ",".join(
                f"{name}={json.dumps(value)}" for name, value in entity_labels(entity, windows.labels).items()
            )
            times, values = panel.timestamps[rows] / 1000, panel.values[rows, j]
            keep = ~np.isnan(values)
            samples = zip(times[keep].tolist(), values[keep].tolist(), strict=True)
            lines += [f"{feature}{{{labels}}} {value!r} {time:.3f}" for time, value in samples]
    return "\n".join([*lines, "# EOF\n"])


def backfill(source: Windows | str, folder: Path) -> Path:
    """Write windows, or OpenMetrics text, as Prometheus' own blocks; gives the data folder."""
    promtool = need("promtool", PROMETHEUS)
    text, data = folder / "metrics.om", folder / "data"
    text.write_text(source if isinstance(source, str) else openmetrics(source))
    done = subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", text, data], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text.unlink()
    return data


@contextlib.contextmanager
def prometheus(
    folder: Path,
    *,
    windows: Windows | str | None = None,
    scrape: str | None = None,
    honor_labels: bool = False,
    config: str = "",
    args: Sequence[str] = (),
    client: httpx.Client | None = None,
    port: int | None = None,
) -> Iterator[str]:
    """URL of a Prometheus that holds `windows` (or OpenMetrics text), or scrapes `scrape` every second.

    One whose `args` ask for TLS needs a `client` that it lets in.
    """
    program = need("prometheus", PROMETHEUS)
    folder.mkdir(parents=True, exist_ok=True)
    if windows is not None:
        backfill(windows, folder)
    job = (
        f"- job_name: node\n  honor_labels: {str(honor_labels).lower()}\n"
        f"  static_configs: [{{targets: ['{scrape}']}}]"
        if scrape
        else "[]"
    )
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n{config}\nscrape_configs:\n{job}\n".replace(
            "scrape_configs:\n[]", "scrape_configs: []"
        )
    )
    port = port or free_port()
    url = f"http{'s' if client else ''}://127.0.0.1:{port}"
    command = [
        program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y", "--log.level=warn", *args,
    ]  # fmt: skip
    with running(command, folder / "prometheus.log", f"{url}/-/ready", client=client):
        yield url


@contextlib.contextmanager
def alertmanager(folder: Path, *, receiver_url: str | None = None, port: int | None = None) -> Iterator[str]:
    """URL of an Alertmanager that sends each alert on to the webhook `receiver_url` at once."""
    program = need("prometheus-alertmanager", "prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    hooks = f", webhook_configs: [{{url: '{receiver_url}', send_resolved: true}}]" if receiver_url else ""
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: test, group_wait: 0s, group_interval: 1s, group_by: ['...']}\n"
        f"receivers: [{{name: test{hooks}}}]\n"
    )
    port = port or free_port()
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
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    with running([program, f"--web.listen-address={address}"], folder / "node.log", f"http://{address}/metrics"):
        yield address


@contextlib.contextmanager
def victoria_metrics(folder: Path, *, windows: Windows | None = None, args: Sequence[str] = ()) -> Iterator[str]:
    """URL of a VictoriaMetrics that holds `windows`."""
    program = need("victoria-metrics", "victoria-metrics")
    folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{free_port()}"
    command = [
        program, f"-storageDataPath={folder}/vm", f"-httpListenAddr={address}", "-retentionPeriod=100y",
        "-search.latencyOffset=0s", *args,
    ]  # fmt: skip
    with running(command, folder / "vm.log", f"http://{address}/health"):
        if windows is not None:
            lines = [line.split(" ") for line in openmetrics(windows).splitlines() if line[0] != "#"]
            # this API counts milliseconds, OpenMetrics seconds
            text = "\n".join(f"{series} {value} {round(float(time) * 1000)}" for series, value, time in lines)
            httpx.post(f"http://{address}/api/v1/import/prometheus", content=text, timeout=60).raise_for_status()
            httpx.get(f"http://{address}/internal/force_flush", timeout=60).raise_for_status()
        yield f"http://{address}"


@contextlib.contextmanager
def redis(folder: Path, *, port: int | None = None, password: str = "") -> Iterator[str]:
    """URL of a Redis that keeps nothing on disk."""
    program = need("redis-server", "redis-server")
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    command = [
        program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
        str(folder),
        *(["--requirepass", password] if password else []),
    ]  # fmt: skip
    with running(command, folder / "redis.log"):
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"redis did not start: {(folder / 'redis.log').read_text()[-2000:]}")
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def postgres(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL database: an empty one, or the one that was in that folder before."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        pytest.skip("postgres is not installed (Debian: apt-get install postgresql)")
    bin_folder = found[-1].parent
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "pg"
    new = not data.exists()
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data.mkdir(exist_ok=True)
        shutil.chown(data, "postgres", "postgres")
        for parent in [folder, *folder.parents]:
            with contextlib.suppress(PermissionError):
                if parent.stat().st_mode & 0o001 == 0:
                    parent.chmod(parent.stat().st_mode | 0o011)
    if new:
        subprocess.run(
            [*as_user, bin_folder / "initdb", "-D", data, "-U", "foreshock", "-A", "trust", "-E", "UTF8"],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
    port = port or free_port()
    command = [
        *as_user, str(bin_folder / "postgres"), "-D", str(data), "-p", str(port), "-k", "", "-h", "127.0.0.1",
    ]  # fmt: skip
    is_ready = [bin_folder / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    with running(command, folder / "postgres.log"):
        deadline = time.monotonic() + 30
        while subprocess.run(is_ready, capture_output=True).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"postgres did not start: {(folder / 'postgres.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"postgresql+psycopg://foreshock@127.0.0.1:{port}/postgres"
