"""How everything here is measured: contestants take turns in one run; what counts is the median of the ratios."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

__all__ = [
    "Race",
    "Row",
    "Size",
    "at_least",
    "at_most",
    "machine",
    "per_second",
    "race",
    "seconds",
    "show",
    "write",
]

Measured = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """How large the inputs are: `share` 1 is what the goals are set for; a smaller one is for trying out."""

    share: float = 1.0

    def of(self, full: int, least: int = 1) -> int:
        return max(least, round(full * self.share))


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ``ratio``: how many times better ours is than the peer, or how much of a limit it takes; None: no peer.
    ``met``: None where there is no goal. ``detail``: numbers for the JSON file.
    """

    what: str
    ours: str
    peer: str
    ratio: float | None
    goal: str
    met: bool | None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Race:
    """Seconds that each contestant took, turn by turn."""

    times: dict[str, list[float]]

    def median(self, name: str) -> float:
        return float(np.median(self.times[name]))

    def ratio(self, slower: str, faster: str) -> float:
        """Median over the turns of how many times as long `slower` took."""
        return float(np.median(np.divide(self.times[slower], self.times[faster])))


def race(
    contestants: Mapping[str, Measured],
    *,
    turns: int = 5,
    least: float = 0.05,
    clock: Callable[[], float] = time.process_time,
) -> Race:
    """Time contestants in turn.

    Parameters
    ----------
    turns
        How often each one runs.
    least
        Seconds that a turn lasts at least: what is quicker is called so many times, and the mean counts.
    clock
        For what computes in this process on one thread, its processor time, which does not count what others on
        the machine take; else ``time.perf_counter``. Each is called once before, so that caches are there.
    """
    calls = {}
    for name, run in contestants.items():
        run()
        began = time.perf_counter()
        run()
        calls[name] = max(1, math.ceil(least / max(time.perf_counter() - began, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns):
        order = list(contestants) if turn % 2 == 0 else list(contestants)[::-1]
        for name in order:
            began = clock()
            for _ in range(calls[name]):
                contestants[name]()
            times[name].append((clock() - began) / calls[name])
    return Race(times)


# -- words ---------------------------------------------------------------------------------------------
def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def per_second(count: float, what: str) -> str:
    return f"{count:,.0f} {what}/s" if count >= 10 else f"{count:.3g} {what}/s"


def at_least(goal: float, ratio: float) -> tuple[str, bool]:
    return f"≥ {goal:g}x", ratio >= goal


def at_most(goal: float, ratio: float) -> tuple[str, bool]:
    return f"≤ {goal:g}x", ratio <= goal


# -- giving --------------------------------------------------------------------------------------------
def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def show(rows: Iterable[Row]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("what", "ours", "peer or limit", "ratio", "goal", ""):
        table.add_column(title, justify="right" if title == "ratio" else "left", overflow="fold")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}" if row.ratio < 10 else f"{row.ratio:,.0f}"
        mark = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.met]
        table.add_row(row.what, row.ours, row.peer, ratio, row.goal, mark)
    Console(width=150 if not Console().is_terminal else None).print(table)


def write(path: Path, part: str, rows: Iterable[Row], took: float, size: Size) -> None:
    """One JSON file a part."""
    path.mkdir(parents=True, exist_ok=True)
    document = {
        "part": part, "machine": machine(), "share": size.share, "took_s": round(took, 1),
        "rows": [asdict(row) for row in rows],
    }  # fmt: skip
    (path / f"{part}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False, default=float) + "\n")
