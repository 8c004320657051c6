"""Correlation of alerts into incidents, on known faults of real systems and on the demo fleet.

``make bench-incidents`` (``DATA=folder``) reads ``rca_petshop`` and ``rca_nezha``: each node that departs after a
fault is an alert, all alerts of one fault are one incident, and an alert of quiet operation is one of its own.
Faults are placed as they happened, and, far harder, with all systems failing within the same hours.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from tests.bench.rootcause import Case, cases, read

from foreshock.incidents.correlation import AlertFacts, Correlator
from foreshock.incidents.replay import agreement, correlated
from foreshock.incidents.topology import Topology

LIMIT = 4.0
"""A node alerts where a metric departs so many times as far as is usual for it."""
QUIET_PER_FAULT = 0.25
"""Alerts of quiet operation, by the number of faults."""


@dataclass
class Scene:
    """Alerts with the fault that each belongs to."""

    signals: list[AlertFacts] = field(default_factory=list)
    truth: dict[str, str] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)

    def add(self, signal: AlertFacts, fault: str) -> None:
        self.signals.append(signal)
        self.truth[signal.id] = fault


def alerts_of(case: Case, start_ms: int, step_ms: int, system: str) -> list[AlertFacts]:
    """One alert for each node that departs, at the first row of it."""
    before = np.arange(len(case.values)) < case.onset
    middle = np.nanmedian(case.values[before], axis=0)
    low, high = np.nanquantile(case.quiet, [0.05, 0.95], axis=0)
    unit = np.maximum(high - low, 0.02 * np.abs(np.nanmedian(case.quiet, axis=0)))
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.nan_to_num(np.abs(case.values[case.onset :] - middle) / np.where(unit > 0, unit, np.nan))
    found: dict[str, tuple[int, dict[str, float]]] = {}
    for row, size in enumerate(away):
        for j in np.flatnonzero(size >= LIMIT):
            metric = case.metrics[j]
            at, causes = found.setdefault(metric.node, (row, {}))
            if row <= at + 1:
                kind = metric.kind
                causes[kind] = max(causes.get(kind, 0.0), float(size[j]))
    made = []
    for node, (row, causes) in found.items():
        total = sum(causes.values())
        shares = {kind: size / total for kind, size in sorted(causes.items(), key=lambda kv: -kv[1])[:5]}
        at_ms = start_ms + (case.onset + row) * step_ms
        labels = {"service": node}
        made.append(AlertFacts(f"{case.name}/{node}", at_ms, f"{system}/{node}", system, labels, shares, step_ms))
    return made


def scene(data: Path, group: str, *, apart: float | None = None, seed: int = 0) -> Scene:
    """All faults of a data set, each system a job of its own.

    Parameters
    ----------
    apart
        Mean hours between two faults of a system; all systems then fail within the same days. None: as it happened.
    """
    rng = np.random.default_rng(seed)
    step = 300_000 if group == "rca_petshop" else 60_000
    made = Scene()
    found = sorted(cases(data, group), key=lambda case: case.name)
    ends: dict[str, int] = {}
    nodes: dict[str, list[str]] = {}
    for case in found:
        name = case.name.removeprefix(f"{group}/")
        system = name.split("/")[0] if "/" in name else name.split("_")[1]
        start = int(read(data / group / f"{name}.parquet").index[0].timestamp() * 1000)
        if apart is not None:
            start = ends.get(system, 0) + round(rng.exponential(apart * 3_600_000))
        ends[system] = start + len(case.values) * step
        nodes.setdefault(system, []).extend(m.node for m in case.metrics)
        for caller, callees in case.calls.items():
            made.calls[f"{system}/{caller}"] = [f"{system}/{callee}" for callee in callees]
        for signal in alerts_of(case, start, step, system):
            made.add(signal, case.name)
    kinds = sorted({kind for signal in made.signals for kind in signal.causes})
    first = min(signal.at_ms for signal in made.signals)
    for i in range(round(QUIET_PER_FAULT * len(found))):
        system = str(rng.choice(sorted(ends)))
        node = str(rng.choice(sorted(set(nodes[system]))))
        causes = {str(rng.choice(kinds)): 1.0}
        signal = AlertFacts(
            f"quiet-{i}", int(rng.uniform(first, ends[system])), f"{system}/{node}", system,
            {"service": node}, causes, step,
        )  # fmt: skip
        made.add(signal, f"quiet-{i}")
    return made


def demo_scene(seed: int) -> Scene:
    """Alerts of the demo fleet, by a plain rule on its metrics; the incidents that were injected are the truth."""
    from foreshock_pipelines.datasets.demo import demo_calls, demo_fleet

    windows, planted = demo_fleet(hosts=20, days=2, incidents=8, incident_hours=12, cascades=4, seed=seed)
    made = Scene(calls=demo_calls(20))
    table = windows.to_pandas()
    for host, rows in table.groupby("instance", observed=True):
        values = rows.set_index("timestamp")[list(windows.features)]
        usual = values.rolling(360, min_periods=60)
        spread = (usual.quantile(0.75) - usual.quantile(0.25)).shift(10)
        away = ((values - usual.median().shift(10)).abs() / spread.clip(lower=values.std() / 2, axis=1)).fillna(0.0)
        over = away.max(axis=1) > 7
        began = over & (over.rolling(5, min_periods=1).sum() >= 3)
        last = None
        for at in began[began].index:
            if last is None or (at - last).total_seconds() > 900:
                shares = away.loc[at] / away.loc[at].sum()
                at_ms = int(at.timestamp() * 1000)
                truth = next((i for i in planted if _is_of(str(host), at, i)), None)
                name = f"{host}/{at_ms}"
                fault = f"{truth.entity}/{truth.start}" if truth is not None else name
                made.add(
                    AlertFacts(name, at_ms, str(host), "demo", {"instance": str(host)}, shares.to_dict()), fault
                )
            last = at
    recent = max(s.at_ms for s in made.signals) - 12 * 3_600_000
    kept = [s for s in made.signals if s.at_ms >= recent]
    return Scene(kept, {s.id: made.truth[s.id] for s in kept}, made.calls)


def _is_of(host: str, at: Any, incident: Any) -> bool:
    on_it = host in (incident.entity, *incident.followers)
    return on_it and incident.start <= at.to_pydatetime() <= incident.end + timedelta(minutes=30)


def placed_by(made: Scene, *, graph: bool = True) -> dict[str, str]:
    """Alert to its incident."""
    found = correlated(made.signals, Topology(made.calls if graph else {}))
    return {alert: incident for alert, (incident, _) in found.items()}


def by_time(made: Scene) -> dict[str, str]:
    """The simple order: a new incident after ten minutes without an alert, as Alertmanager groups by job."""
    placed: dict[str, str] = {}
    for _, of_job in groupby(sorted(made.signals, key=lambda s: (s.job, s.at_ms)), key=lambda s: s.job):
        last, name = -(10**15), ""
        for signal in of_job:
            if signal.at_ms - last > 600_000:
                name = signal.id
            placed[signal.id], last = name, signal.at_ms
    return placed


METHODS: dict[str, Callable[[Scene], dict[str, str]]] = {
    "foreshock": placed_by,
    "without the graph": lambda made: placed_by(made, graph=False),
    "by job and time": by_time,
    "each alert alone": lambda made: {signal.id: signal.id for signal in made.signals},
}


def report(name: str, made: Scene) -> None:
    causes = len(set(made.truth.values()))
    print(f"\n{name}: {len(made.signals)} alerts of {causes} causes")
    print(f"pages that may be saved: {1 - causes / len(made.signals):.1%}")
    print(f"{'method':22} {'F1':>6} {'precision':>10} {'recall':>8} {'incidents':>10} {'pages saved':>12}")
    for method, correlate in METHODS.items():
        placed = correlate(made)
        agreed = agreement(made.truth, placed)
        incidents = len(set(placed.values()))
        saved = 1 - incidents / len(made.signals)
        scores = f"{agreed.f1:6.3f} {agreed.precision:10.3f} {agreed.recall:8.3f}"
        print(f"{method:22} {scores} {incidents:10} {saved:12.1%}")


def speed(count: int = 10_000) -> float:
    """Seconds that so many open alerts of a graph of a thousand services take."""
    topology = Topology({f"s{i}": [f"s{i // 3}", f"s{(i * 7) % 1000}"] for i in range(1, 1000)})
    correlator = Correlator(topology)
    signals = [
        AlertFacts(str(i), i * 1000, f"s{i % 1000}", "shop", {"service": f"s{i % 1000}"}, {f"f{i % 20}": 0.7})
        for i in range(count)
    ]
    began = time.perf_counter()
    for signal in signals:
        correlator.place(signal, signal.id)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # metrics without a sample
    for group in ("rca_petshop", "rca_nezha"):
        if not (options.data / group).is_dir():
            print(f"{group}: not at hand in {options.data}")
            continue
        report(f"{group}, a fault of each system every two hours", scene(options.data, group, apart=2.0))
        report(f"{group}, as it happened", scene(options.data, group))
    for seed in (7, 8):
        report(f"demo fleet, seed {seed}", demo_scene(seed))
    print(f"\n10,000 open alerts are placed in {speed():.2f} s")


if __name__ == "__main__":
    main()
