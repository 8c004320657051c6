"""What is killed: Prometheus, PostgreSQL, a receiver and the platform, each real and started again in its place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from tests.faults.agent import FEATURES, LONG, Agent
from tests.servers import servers

from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.store import open_store
from foreshock.store.store import Store
from foreshock_models.errors import StoreError
from foreshock_models.policy import Policy, rows_processed
from foreshock_models.state import State
from foreshock_pipelines.jobfile import load_job
from foreshock_pipelines.jobs.train import train
from foreshock_pipelines.registry import Registry

HISTORY = 900
"""Seconds of history that the model is trained on."""
HELD_BACK = 2
"""So many of the newest rows the agent may not have sent yet."""
TOKEN = "a-token-for-the-faults"
JOB = "fleet"


def until(what: str, condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


class Server:
    """A server that can be killed and started again with its data."""

    def __init__(self, open_it: Callable[[], contextlib.AbstractContextManager[Any]], program: str) -> None:
        self._open = open_it
        self._program = program
        self._stack = contextlib.ExitStack()

    def start(self) -> Any:
        for attempt in range(10):  # PostgreSQL: children of the one that was killed may still hold its memory
            try:
                return self._stack.enter_context(self._open())
            except RuntimeError:
                if attempt == 9:
                    raise
                time.sleep(0.3)

    def kill(self) -> None:
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if self._program in " ".join(process.cmdline()):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)
        self._stack.close()

    def stop(self) -> None:
        self._stack.close()


class Stage:
    """All of it, running; `kill_process` finds what runs inside the platform."""

    def __init__(self, seed: int, hosts: int = 24) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp"))  # short: it holds sockets
        self.folder.chmod(0o755)
        self.entities = [f"h{i:02}" for i in range(hosts)]
        self.ports = {name: servers.free_port() for name in ("p", "pg", "hook", "api")}
        self.url = f"http://127.0.0.1:{self.ports['p']}"
        self.got = self.folder / "received.jsonl"
        self.prometheus = Server(
            lambda: servers.prometheus(
                self.folder / "p", port=self.ports["p"],
                args=["--web.enable-remote-write-receiver", "--query.lookback-delta=999ms"],
            ),
            f"{self.folder}/p/",
        )  # fmt: skip
        self.postgres = Server(
            lambda: servers.postgres(self.folder / "pg", port=self.ports["pg"]), f"{self.folder}/pg/"
        )
        hook = [
            sys.executable,
            str(Path(__file__).with_name("receiver.py")),
            str(self.ports["hook"]),
            str(self.got),
        ]
        self.receiver = Server(
            lambda: servers.running(hook, self.folder / "hook.log", f"http://127.0.0.1:{self.ports['hook']}"),
            str(self.got),
        )
        self.platform = Server(self._up, f"{self.folder}/fleet.yaml")
        self.agent = Agent(self.url, self.entities, seed)
        self.store: Store | None = None
        self.begun: dict[str, tuple[int, int]] = {}
        self.lost = 0
        self.client = httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=2)

    @contextlib.contextmanager
    def running(self) -> Iterator[Stage]:
        """Start everything, trained and scoring."""
        try:
            self.prometheus.start()
            url = self.postgres.start()
            self.receiver.start()
            self.store = open_store(url)
            now = int(time.time())
            self.agent.send(now - HISTORY, now)
            self.agent.start(now)
            self._train(url)
            self.platform.start()
            until("first pass", self._begin, 60)
            yield self
        finally:
            self.kill_platform()
            self.receiver.stop()
            self.agent.stop()
            if self.store is not None:
                self.store.close()
            for part in (self.prometheus, self.postgres):
                part.stop()
            self._sweep()
            self.client.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _train(self, store_url: str) -> None:
        file = self.folder / "fleet.yaml"
        queries = "".join(f"  {name}: fleet_{name}\n" for name in FEATURES)
        file.write_text(
            f"name: {JOB}\nsource: {{prometheus: '{self.url}', timeout: 5s, retries: 1}}\nqueries:\n{queries}"
            "entity: [instance]\nstep: 1s\nhistory: 15m\ndetectors: {subspace: {window: 4}}\n"
            "false_alerts: 1 per day\nschedule: {score: 1s, train: null}\n"
            "alerts: {for: 3 of 3, resolve_after: 3s, absent_after: 10m}\n"
            f"notify: [{{type: webhook, url: 'http://127.0.0.1:{self.ports['hook']}/'}}]\n"
            f"write: {{url: '{self.url}/api/v1/write', features: false}}\n"
        )
        train(load_job(file), Registry(self.folder / "models"))
        self.env = {
            "FORESHOCK_HOME": str(self.folder / "home"),
            "FORESHOCK_STORE_URL": store_url,
            "FORESHOCK_REGISTRY_URI": str(self.folder / "models"),
            "FORESHOCK_API_TOKEN": TOKEN,
            "FORESHOCK_PORT": str(self.ports["api"]),
            "RAY_TMPDIR": str(self.folder / "r"),
        }

    @contextlib.contextmanager
    def _up(self) -> Iterator[int]:
        for name in ("r", "home"):
            (self.folder / name).mkdir(exist_ok=True)
        command = [sys.executable, "-m", "foreshock", "up", "-c", str(self.folder / "fleet.yaml")]
        healthy = f"http://127.0.0.1:{self.ports['api']}/healthz"
        # workers that give way to all else would measure what else the machine does
        env = {"RAY_ADDRESS": "", "RAY_worker_niceness": "0", **self.env}
        with servers.running(command, self.folder / "up.log", healthy, env, patience=240) as pid:
            yield pid

    # -- looking ---------------------------------------------------------------------------------------
    def standing(self) -> Checkpoint | None:
        """Where scoring stands, or None while the store is away."""
        assert self.store is not None
        try:
            return CheckpointRepository(self.store).get(JOB)
        except StoreError:
            return None

    def scored_ms(self) -> int:
        state = self.standing()
        return 0 if state is None else state.scored_ms

    def rows(self) -> dict[str, tuple[int, int]]:
        """Entity to the time of its last row, ms, and how many of its rows were scored."""
        state = self.standing()
        if state is None:
            return {}
        policy = State.from_bytes(state.policy_state)
        taken = rows_processed(policy)
        return {name: (seen, taken[name]) for name, seen in Policy.last_seen(policy).items()}

    def _begin(self) -> bool:
        """Take where scoring stands as the beginning, once every entity is scored."""
        self.begun, self.lost = self.rows(), 0
        return self.begun.keys() >= set(self.entities)

    def missing(self) -> int:
        """Rows since the beginning that were not scored, or twice, beyond those known as lost.

        Counted up to the last scored row of each entity, not up to where passes stand: whether the newest row is
        there when a pass looks for it depends on where in a second passes begin, which a restart changes.
        """
        upto, now = self.scored_ms(), self.rows()
        if not now:
            return -1
        lost = 0
        for name in self.entities:
            (began, before), (seen, taken) = self.begun[name], now[name]
            lost += abs((seen - began) // 1000 - (taken - before)) + max(0, (upto - seen) // 1000 - HELD_BACK)
        return lost - self.lost

    def received(self) -> list[dict[str, Any]]:
        """Everything that the receiver got."""
        if not self.got.exists():
            return []
        return [json.loads(line) for line in self.got.read_text().splitlines() if line.endswith("}")]

    def answers(self) -> bool:
        """The API answers one who may ask."""
        url = f"http://127.0.0.1:{self.ports['api']}/ai/anomalies"
        try:
            return self.client.get(url).status_code == 200
        except httpx.HTTPError:
            return False

    # -- doing -----------------------------------------------------------------------------------------
    def plant(self, entity: str, start: int) -> None:
        """An anomaly of an entity, in the future."""
        self.agent.planted[entity].append(start)

    def kill_process(self, title: str, seconds: float = 20) -> int:
        """SIGKILL the Ray worker whose title begins so, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for process in self.ray_processes():
                with contextlib.suppress(psutil.Error):
                    if " ".join(process.cmdline()).startswith(title):
                        process.kill()
                        return process.pid
            time.sleep(0.02)
        raise TimeoutError(f"no process {title!r} among {self.titles()}")

    def ray_processes(self) -> list[psutil.Process]:
        """All that descends from the platform."""
        found = []
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if f"{self.folder}/fleet.yaml" in " ".join(process.cmdline()):
                    found += process.children(recursive=True)
        return found

    def titles(self) -> list[str]:
        found = set()
        for process in self.ray_processes():
            with contextlib.suppress(psutil.Error):
                found.add(" ".join(process.cmdline())[:60])
        return sorted(found)

    def kill_platform(self) -> None:
        """SIGKILL all of it: the command, Ray, the workers, the proxy."""
        everything = self.ray_processes()
        self.platform.kill()
        for process in everything:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._sweep()
        shutil.rmtree(self.folder / "r", ignore_errors=True)

    def _sweep(self) -> None:
        """End what outlived its parent: told by this stage's own folder in its environment."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("RAY_TMPDIR") == str(self.folder / "r"):
                    process.kill()


__all__ = ["JOB", "LONG", "Stage", "until"]
