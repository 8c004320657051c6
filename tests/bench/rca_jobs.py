"""Known faults of real systems as jobs, so that ``foreshock backtest`` replays them as it does a team's own past.

``python -m tests.bench.rca_jobs --data FOLDER --out FOLDER`` writes a job file, windows and labels for each
system. Quiet rows come first, to learn from; then each fault, with quiet rows of other times between.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tests.bench.rootcause import Case, cases

from foreshock_pipelines.datasets.windows import Windows

START = datetime(2026, 1, 1, tzinfo=UTC)
BETWEEN = 24
"""Quiet rows between two faults."""


def systems(data: Path, group: str) -> dict[str, list[Case]]:
    """Cases of each system."""
    found: dict[str, list[Case]] = {}
    for case in sorted(cases(data, group), key=lambda case: case.name):
        name = case.name.removeprefix(f"{group}/")
        system = name.split("/")[0] if "/" in name else name.split("_")[1]
        found.setdefault(f"{group.removeprefix('rca_')}-{system.replace('_', '-')}", []).append(case)
    return found


def frame(values: np.ndarray[Any, Any], case: Case, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of one stretch: time, node, and a column for each kind of metric."""
    wide = pd.DataFrame(values, index=times)
    wide.columns = pd.MultiIndex.from_tuples([(m.node, feature(str(m))) for m in case.metrics])
    wide = wide.T.groupby(level=[0, 1]).mean().T  # calls of several callers to one node
    return wide.stack(level=0, future_stack=True).rename_axis(["timestamp", "node"]).reset_index()


def feature(metric: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in metric).strip("_").lower()


def write(name: str, found: list[Case], step: int, out: Path) -> tuple[Path, str]:
    """Write job, windows and labels of a system; gives the job file and the time at which the faults begin."""
    rng = np.random.default_rng(0)
    out.mkdir(parents=True, exist_ok=True)
    at, parts, labels = START, [], []

    def add(values: np.ndarray[Any, Any], case: Case) -> None:
        nonlocal at
        times = pd.date_range(at, periods=len(values), freq=f"{step}s")
        parts.append(frame(values, case, times))
        at = times[-1].to_pydatetime() + timedelta(seconds=step)

    add(found[0].quiet, found[0])
    begins = at
    for case in found:
        first = int(rng.integers(0, max(1, len(case.quiet) - BETWEEN)))
        add(case.quiet[first : first + BETWEEN], case)
        start = at
        add(case.values, case)
        nodes = sorted({m.node for m in case.metrics})
        end = at + timedelta(seconds=2 * step)
        labels += [(start.isoformat(), end.isoformat(), node, case.name) for node in nodes]
    table = pd.concat(parts).drop_duplicates(["timestamp", "node"])
    features = [column for column in table.columns if column not in ("timestamp", "node")]
    queries = {column: column for column in features}
    table = table.dropna(how="all", subset=features)
    windows = Windows.build(
        table["timestamp"], {"node": table["node"]}, {name: table[name] for name in features}, step=step, job=name,
        queries=queries,
    )  # fmt: skip
    windows.write_parquet(out / f"{name}.parquet")
    pd.DataFrame(labels, columns=["start", "end", "node", "incident"]).to_csv(out / f"{name}.csv", index=False)
    calls: dict[str, set[str]] = {}
    for case in found:
        for caller, callees in case.calls.items():
            calls.setdefault(caller, set()).update(callees)
    job = {
        "name": name, "source": {"parquet": f"{name}.parquet"}, "queries": queries, "entity": ["node"],
        "step": f"{step}s", "history": f"{int((begins - START).total_seconds())}s", "labels": f"{name}.csv",
        "false_alerts": "1 per week", "alerts": {"for": "1 of 1"}, "detectors": ["light"],
        **({"topology": {"calls": {k: sorted(v) for k, v in calls.items()}}} if calls else {}),
    }  # fmt: skip
    (out / f"{name}.yaml").write_text(json.dumps(job, indent=1))  # JSON is YAML
    return out / f"{name}.yaml", begins.isoformat()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/rca"))
    options = parser.parse_args()
    for group, step in (("rca_petshop", 300), ("rca_nezha", 60)):
        if not (options.data / group).is_dir():
            continue
        for name, found in systems(options.data, group).items():
            file, start = write(name, found, step, options.out)
            print(f"foreshock backtest -c {file} --start {start}")


if __name__ == "__main__":
    main()
