"""Kill escalation in the middle, many times: nobody is told twice for one step, nobody is forgotten.

``python -m tests.faults.escalation [--times 20]``, a part of ``make test-faults``. A process runs escalation and
delivery on a store; steps are a second apart; a real HTTP server is the receiver. Messages of one step have one
key: a key that comes twice is an attempt that was repeated, as receivers can see; two keys of one step would be a
step that was told twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from foreshock.incidents.service import IncidentService
from foreshock.store import open_store

STEPS = 3
PATIENCE = 60.0
CONFIG = """
channels: {{hook: {{type: webhook, url: "http://127.0.0.1:{port}/", timeout: 1s}}}}
policies:
  default:
    steps:
      - {{to: ["channel:hook"]}}
      - {{after: 1s, to: ["channel:hook"]}}
      - {{after: 1s, to: ["channel:hook"]}}
route: {{policy: default, wait: 0s}}
"""


class Receiver:
    """An HTTP server that keeps the keys of what it gets, and may be down."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, str]] = []
        self.down = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not outer.down:
                    outer.keys.append((body["id"], self.headers["Idempotency-Key"]))
                self.send_response(503 if outer.down else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@dataclass
class Stage:
    """A store, a receiver, and processes that escalate."""

    folder: Path
    rng: random.Random
    receiver: Receiver = field(default_factory=Receiver)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"sqlite:///{self.folder}/store.db"
        self.store = open_store(self.url)
        (self.folder / "n.yaml").write_text(CONFIG.format(port=self.receiver.port))
        self.clock(0)

    def clock(self, seconds: float) -> None:
        part = self.folder / "clock.part"
        part.write_text(str(seconds))
        part.replace(self.folder / "clock")

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.faults.escalation", "--work", str(self.folder)]
        self.workers.append(subprocess.Popen(command))
        ready = self.folder / f"ready-{self.workers[-1].pid}"
        while not ready.exists():
            time.sleep(0.02)

    def kill(self) -> None:
        worker = self.workers.pop(0)
        worker.kill()
        worker.wait()

    def opened(self, number: int) -> str:
        now_ms = round((time.time() + float((self.folder / "clock").read_text())) * 1000)
        return IncidentService(self.store).create(f"incident {number}", who="test", now_ms=now_ms).id

    def got(self, incident: str) -> Counter[str]:
        return Counter(key for name, key in self.receiver.keys if name == incident)


def killed(stage: Stage) -> None:
    """Kill the process at some moment of the escalation; another one takes over."""
    time.sleep(stage.rng.uniform(0, 2.5))
    stage.kill()
    stage.start()


def receiver_down(stage: Stage) -> None:
    """The receiver is down through all three steps."""
    stage.receiver.down = True
    time.sleep(3.5)
    stage.receiver.down = False


def clock_jumps(stage: Stage) -> None:
    """The clock jumps by hours, forward or back, in the middle."""
    time.sleep(stage.rng.uniform(0, 2))
    stage.clock(stage.rng.choice([-1, 1]) * stage.rng.uniform(3600, 36_000))


def two_actors(stage: Stage) -> None:
    """Two processes escalate side by side; the older one ends."""
    stage.start()
    time.sleep(stage.rng.uniform(0.5, 2))
    stage.kill()


FAULTS: dict[str, Callable[[Stage], None]] = {
    "killed between steps": killed,
    "receiver down through three steps": receiver_down,
    "clock jumps": clock_jumps,
    "two alert actors": two_actors,
}


@dataclass
class Tally:
    """All rounds of one fault."""

    name: str
    rounds: int = 0
    forgotten: int = 0
    told_twice: int = 0
    repeated: int = 0
    seconds: float = 0.0


def play(stage: Stage, name: str, number: int, tally: Tally) -> None:
    """One incident through one fault."""
    begin = time.monotonic()
    incident = stage.opened(number)
    FAULTS[name](stage)
    while len(stage.got(incident)) < STEPS and time.monotonic() - begin < PATIENCE:
        time.sleep(0.05)
    time.sleep(0.5)
    got = stage.got(incident)
    tally.rounds += 1
    tally.forgotten += max(0, STEPS - len(got))
    tally.told_twice += max(0, len(got) - STEPS)
    tally.repeated += sum(n - 1 for n in got.values())
    tally.seconds = max(tally.seconds, time.monotonic() - begin)


@contextlib.contextmanager
def stage(seed: int) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        made = Stage(Path(folder), random.Random(seed))
        try:
            made.start()
            yield made
        finally:
            while made.workers:
                made.kill()
            made.receiver.server.shutdown()
            made.receiver.server.server_close()
            made.store.close()


def work(folder: Path) -> None:
    """Escalate and deliver until killed."""
    import os

    from foreshock.notify.deliverer import Deliverer
    from foreshock.oncall.pipeline import IncidentPipeline

    store = open_store(f"sqlite:///{folder}/store.db")
    deliverer = Deliverer(store, [])
    pipeline = IncidentPipeline(store, deliverer, dict, file=folder / "n.yaml", url="http://f")
    (folder / f"ready-{os.getpid()}").touch()
    while True:
        now_ms = round((time.time() + float((folder / "clock").read_text())) * 1000)
        pipeline.run(now_ms)
        deliverer.run(now_ms, wait=0)
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills of each kind (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work)
    tallies = [Tally(name) for name in FAULTS]
    with stage(options.seed) as made:
        for tally in tallies:
            for number in range(options.times):
                play(made, tally.name, number, tally)
    print(f"{'fault':36} {'times':>6} {'forgotten':>10} {'told twice':>11} {'repeated':>9} {'longest s':>10}")
    for t in tallies:
        print(f"{t.name:36} {t.rounds:6} {t.forgotten:10} {t.told_twice:11} {t.repeated:9} {t.seconds:10.1f}")
    return 0 if not any(t.forgotten or t.told_twice for t in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
