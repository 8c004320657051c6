"""What large installations would cost, from what `make bench` measured: ``python -m tests.bench.capacity``.

It scales single figures of one machine up in proportion; nothing of that size was run. What grows in proportion
and cannot be shared out is what breaks first.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from foreshock_pipelines.jobs.estimate import PROCESS_BYTES, TABLE_BYTES

ENTITIES = (1_000, 10_000, 100_000, 1_000_000)
REQUESTS = 10_000
P95 = 0.1
FEATURES = 8
STEP = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.capacity", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="where make bench wrote its JSON")
    out = parser.parse_args().out
    console = Console(width=130)
    console.print(_scoring(_details(out, "scoring")))
    console.print(
        _serving(_details(out, "serving"), json.loads((out / "serving.json").read_text())["machine"]["cores"])
    )


def _details(out: Path, part: str) -> list[dict[str, Any]]:
    file = out / f"{part}.json"
    if not file.exists():
        raise SystemExit(f"{file} is not there: run make bench-{part} first")
    return [row["detail"] for row in json.loads(file.read_text())["rows"]]


def _scoring(details: list[dict[str, Any]]) -> Table:
    """Cores that each stage of a pass keeps busy, for a job with a row every `STEP` seconds."""
    most = max((one for one in details if "hosts" in one), key=lambda one: one["hosts"])
    rate = next(one["entity_scores_per_s"] for one in details if "entity_scores_per_s" in one)
    each = {stage: most[stage] / most["hosts"] for stage in ("fetch", "explain", "store")} | {"score": 1.0 / rate}
    table = Table(
        "entities", "samples read/s", "reading", "scoring, explaining", "alert actor", "memory", "first limit",
        box=box.SIMPLE_HEAD, title=f"{FEATURES} features, a row every {STEP:g} s: cores, memory",
    )  # fmt: skip
    for entities in ENTITIES:
        read, keep = (entities * each[stage] / STEP for stage in ("fetch", "store"))
        score = entities * (each["score"] + each["explain"]) / STEP
        samples = entities * FEATURES * (most["context_rows"] + 1)
        processes = math.ceil(read) + math.ceil(score) + math.ceil(keep)
        memory = samples * TABLE_BYTES + entities * most["state_bytes"] + processes * PROCESS_BYTES
        table.add_row(
            f"{entities:,}", f"{samples / STEP:,.0f}", f"{read:.2f}", f"{score:.2f}", f"{keep:.2f}",
            f"{memory / 1e9:.1f} GB", _first_limit(read, keep),
        )  # fmt: skip
    return table


def _first_limit(read: float, keep: float) -> str:
    """Scoring is shared out by `shards`; reading by splitting the job; the alert actor is one process."""
    if keep > 1.0:
        return f"alert actor: {keep:.1f}x what one process does"
    return f"reading: split into {read:.0f} jobs" if read > 1.0 else "none"


def _serving(details: list[dict[str, Any]], cores: int) -> Table:
    """Replicas of the ingress, each busy on one core, at the most connections with the p95 that is wanted."""
    measured = [one for one in details if "p95_s" in one]
    good = [one for one in measured if one["p95_s"] < P95]
    table = Table(
        "requests/s, one window each", "cores", "memory", "measured on", "the no-op alone", box=box.SIMPLE_HEAD,
        title=f"p95 < {P95 * 1000:g} ms",
    )  # fmt: skip
    if not good:
        worst = min(measured, key=lambda one: one["p95_s"])
        table.add_row(f"{REQUESTS:,}", f"out of reach: the best p95 was {worst['p95_s'] * 1000:.0f} ms", "", "", "")
        return table
    best = max(good, key=lambda one: one["rates"]["ours"])
    ours, noop = (best["rates"][name] / cores for name in ("ours", "noop"))
    table.add_row(
        f"{REQUESTS:,}", f"{REQUESTS / ours:.0f}", f"{REQUESTS / ours * PROCESS_BYTES / 1e9:.0f} GB",
        f"{best['rates']['ours']:,.0f}/s on {cores} cores with the load's own, p95 {best['p95_s'] * 1000:.0f} ms",
        f"{REQUESTS / noop:.0f} cores",
    )  # fmt: skip
    return table


if __name__ == "__main__":
    main()
