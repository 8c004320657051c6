"""The faults: each kills one thing, and a round says what that cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from tests.faults.stage import LONG, Stage, until

__all__ = ["FAULTS", "Round", "Tally", "finish", "play"]

PATIENCE = 120.0
"""After so long a round is given up, and what did not come is lost."""
DOWN = 2.0
"""Seconds that a server stays down."""


@dataclass
class Round:
    """What one kill cost.

    ``heard``: how much was received when it began; ``starts``: entity to the second in which its anomaly begins.
    """

    heard: int
    starts: dict[str, int]
    received: int = 0
    duplicates: int = 0
    missed: int = 0
    seconds: float = float("nan")
    problem: str = ""

    @property
    def expected(self) -> int:
        return len(self.starts)


@dataclass
class Tally:
    """All rounds of one fault."""

    name: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(r.received == r.expected and r.missed == 0 and r.seconds < 30 for r in self.rounds)

    def row(self) -> list[str]:
        seconds = np.array([r.seconds for r in self.rounds])
        return [
            self.name, str(len(self.rounds)), *(str(sum(getattr(r, k) for r in self.rounds))
            for k in ("expected", "received", "duplicates", "missed")),
            f"{np.nanmedian(seconds):.1f}", f"{np.nanmax(seconds):.1f}",
        ]  # fmt: skip


def _server(name: str) -> Callable[[Stage], None]:
    def kill(stage: Stage) -> None:
        server = getattr(stage, name)
        server.kill()
        time.sleep(DOWN)
        server.start()

    return kill


def _platform(stage: Stage) -> None:
    stage.kill_platform()
    stage.platform.start()


FAULTS: dict[str, Callable[[Stage], object]] = {
    "alert actor": lambda stage: stage.kill_process("ray::AlertActor"),
    "scheduler actor": lambda stage: stage.kill_process("ray::ControlLoop"),
    "worker in the middle of scoring": lambda stage: stage.kill_process("ray::ScoreWorker.run"),
    "Serve replica": lambda stage: stage.kill_process("ray::ServeReplica:foreshock:Ingress"),
    "Prometheus": _server("prometheus"),
    "PostgreSQL": _server("postgres"),
    "receiver": _server("receiver"),
    "whole platform": _platform,
}


def play(stage: Stage, name: str, entities: tuple[str, str]) -> Round:
    """Plant an anomaly at the kill and one after it; wait until the API answers and scoring goes on."""
    at = int(time.time()) + 2
    result = Round(len(stage.received()), {entities[0]: at, entities[1]: at + 2})
    for entity, start in result.starts.items():
        stage.plant(entity, start)
    time.sleep(max(0.0, at + 1.5 - time.time()))
    killed = time.time()
    try:
        FAULTS[name](stage)
        until("API", stage.answers, PATIENCE)
        until("scoring", lambda: stage.scored_ms() >= killed * 1000 + 1000, PATIENCE)
        if name == "receiver":  # recovered when it is told again
            until("alerts", lambda: _told(stage, result) == 2, PATIENCE)
    except TimeoutError as exc:
        result.problem = str(exc)
    result.seconds = time.time() - killed
    return result


def finish(stage: Stage, result: Round) -> None:
    """Wait until both anomalies of a round are told and every row is scored; count what is not."""
    try:
        until("alerts", lambda: _told(stage, result) == 2, PATIENCE)
        until("rows", lambda: stage.missing() == 0, 30)
    except TimeoutError as exc:
        result.problem = result.problem or str(exc)
    result.received = _told(stage, result)
    result.missed = stage.missing()
    stage.lost += result.missed
    seen = [(p["id"], p["event"], p["updated"]) for p in stage.received()[result.heard :]]
    result.duplicates = len(seen) - len(set(seen))


def _told(stage: Stage, result: Round) -> int:
    """For how many of the planted anomalies an alert was received that opened within it."""
    found = set()
    for payload in stage.received()[result.heard :]:
        start = result.starts.get(payload["entity"])
        if start is None or payload["event"] not in ("opened", "reopened", "escalated"):
            continue
        if payload["kind"] == "anomaly":
            opened = datetime.fromisoformat(payload["opened"]).timestamp()
            if start <= opened <= start + LONG:
                found.add(payload["entity"])
    return len(found)
