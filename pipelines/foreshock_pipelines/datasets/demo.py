"""A synthetic fleet with incidents of known cause: for the demo, the notebooks and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from foreshock_pipelines.datasets.windows import Windows

__all__ = ["FEATURES", "Incident", "demo_calls", "demo_fleet"]

FEATURES = ("cpu", "memory", "disk_io", "network", "latency", "errors")

GROUP = 5
ATTEMPTS = 200

Array = NDArray[np.float64]
Host = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Incident:
    """An injected incident of one entity.

    ``causes``: the features that it began with; others may follow. ``followers``: entities that depend on it, and
    that it reached later, in order.
    """

    entity: str
    kind: str
    start: datetime
    end: datetime
    causes: tuple[str, ...]
    followers: tuple[str, ...] = ()


def demo_fleet(
    *,
    hosts: int = 20,
    days: float = 7,
    step: float = 60,
    incidents: int = 8,
    incident_hours: float = 6,
    seed: int = 7,
    end: datetime | None = None,
    cascades: int = 0,
) -> tuple[Windows, list[Incident]]:
    """Generate the metrics of a fleet, and inject incidents into its last hours.

    Each host follows the hour of day with a load of its own; features follow that load; there are noise,
    harmless restarts, gaps, and one host that sends nothing after a third of the time.

    Parameters
    ----------
    hosts, days, step
        Size: entities, days of history, seconds between rows.
    incidents, incident_hours
        Number of incidents, and the last hours that they lie in.
    cascades
        Number of incidents that spread to callers, along `demo_calls`.
    end
        Time of the last row; default a fixed date, so that one seed gives one fleet.
    """
    rng = np.random.default_rng(seed)
    end = end or datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    n = round(days * 86400 / step)
    last = round(end.timestamp() / step)
    seconds = (last - n + 1 + np.arange(n, dtype=np.float64)) * step
    names = [f"host-{i:02d}" for i in range(1, hosts + 1)]
    fleet = {name: _host(rng, seconds, step) for name in names}
    for name in names:
        _restart(rng, fleet[name], step, int(n * 0.8))
        _gaps(rng, fleet[name], step)
    if hosts > 2:
        for column in fleet[names[-1]].values():
            column[n // 3 :] = np.nan  # a dead series: it must neither break training nor alert for ever
    injected = _inject_incidents(rng, fleet, names[: max(1, hosts - 1)], seconds, step, incidents, incident_hours)
    if cascades:
        own = np.random.default_rng([seed, 1])  # a fleet without cascades stays as it is
        alive = names[: max(1, hosts - 1)]
        injected = _inject_cascades(own, fleet, alive, seconds, step, cascades, incident_hours, injected)
    ordered = sorted(names)
    windows = Windows.dense(
        {"instance": ordered},
        {feature: np.concatenate([fleet[name][feature] for name in ordered]) for feature in FEATURES},
        first=round(seconds[0] * 1000),
        n_steps=n,
        step=step,
        job="demo",
        queries={feature: f"demo_{feature}" for feature in FEATURES},
    )
    return windows, injected


def demo_calls(hosts: int) -> dict[str, list[str]]:
    """Return who calls whom in the demo fleet: groups of five, each a small tree from a front end to two stores.

    >>> demo_calls(6)
    {'host-01': ['host-02', 'host-03'], 'host-02': ['host-04'], 'host-03': ['host-05']}
    """
    calls: dict[str, list[str]] = {}
    for first in range(1, hosts - GROUP + 2, GROUP):
        front, left, right, one, other = (f"host-{first + i:02d}" for i in range(GROUP))
        calls |= {front: [left, right], left: [one], right: [other]}
    return calls


def _host(rng: np.random.Generator, seconds: Array, step: float) -> Host:
    """Generate one host: a daily load with slow noise, and six features that follow it."""
    n = len(seconds)
    hour = seconds / 3600 % 24
    weekday = (seconds // 86400 + 4) % 7  # 1970-01-01 was a Thursday: 0 is Sunday
    rhythm = 0.5 - 0.5 * np.cos(2 * np.pi * (hour - rng.normal(4, 0.7)) / 24)
    rhythm *= np.where((weekday == 0) | (weekday == 6), 0.75, 1.0)
    load = rng.uniform(0.12, 0.2) + rng.uniform(0.25, 0.4) * rhythm + 0.03 * _slow(rng, n, 3600 / step)
    load = np.clip(load, 0.02, None)
    noise = {name: 0.6 * rng.normal(size=n) + 0.4 * _slow(rng, n, 600 / step) for name in FEATURES}
    heap = rng.uniform(0.35, 0.5)
    return {
        "cpu": np.clip(load + 0.02 * noise["cpu"], 0, 1),
        "memory": np.clip(heap + 0.25 * load + 0.006 * noise["memory"], 0, 1),
        "disk_io": np.clip(0.05 + 0.35 * load + 0.025 * noise["disk_io"], 0, 1),
        "network": np.clip(8e6 * load * (1 + 0.06 * noise["network"]), 0, None),
        "latency": 0.02 * (1 + 1.2 * load**2) * np.exp(0.08 * noise["latency"]),
        "errors": rng.poisson(np.clip(1.5 * load, 0, None) * step / 60, n).astype(float),
    }


def _slow(rng: np.random.Generator, n: int, rows: float) -> Array:
    """Return noise of unit variance that changes over about `rows` rows."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / max(rows, 1.0))
    start = rng.normal()
    white = rng.normal(size=n) * np.sqrt(1 - keep**2)
    out: Array = lfilter([1.0], [1.0, -keep], white, zi=[keep * start])[0]
    return out


def _restart(rng: np.random.Generator, host: Host, step: float, before: int) -> None:
    """Add at most one harmless restart: load and memory fall for minutes, then come back."""
    for at in rng.integers(0, before, size=rng.integers(0, 2)):
        rows = slice(int(at), int(at + max(1, 180 // step)))
        for name in ("cpu", "network", "disk_io"):
            host[name][rows] *= 0.25
        host["memory"][rows] *= 0.6


def _gaps(rng: np.random.Generator, host: Host, step: float) -> None:
    """Remove single samples and a short stretch, as if they had never arrived."""
    n = len(host["cpu"])
    for column in host.values():
        column[rng.random(n) < 0.002] = np.nan
    at = int(rng.integers(0, n))
    for column in host.values():
        column[at : at + max(1, int(600 // step))] = np.nan


# Each kind changes rows of a host; `ramp` rises from 0 to 1 over the incident. ------------------------------
def _runaway(host: Host, rows: slice, ramp: Array) -> None:
    host["cpu"][rows] = np.clip(host["cpu"][rows] + 0.45, 0, 0.99)


def _leak(host: Host, rows: slice, ramp: Array) -> None:
    host["memory"][rows] = np.clip(host["memory"][rows] + 0.4 * ramp, 0, 0.99)


def _saturated_disk(host: Host, rows: slice, ramp: Array) -> None:
    host["disk_io"][rows] = np.clip(host["disk_io"][rows] + 0.6, 0, 1)
    host["latency"][rows] *= 1.25


def _lost_traffic(host: Host, rows: slice, ramp: Array) -> None:
    host["network"][rows] *= 0.08


def _slow_backend(host: Host, rows: slice, ramp: Array) -> None:
    host["latency"][rows] *= 2 + 2 * ramp


def _failing_requests(host: Host, rows: slice, ramp: Array) -> None:
    host["errors"][rows] += 12


KINDS: dict[str, tuple[Callable[[Host, slice, Array], None], tuple[str, ...]]] = {
    "runaway process": (_runaway, ("cpu",)),
    "memory leak": (_leak, ("memory",)),
    "saturated disk": (_saturated_disk, ("disk_io",)),
    "lost traffic": (_lost_traffic, ("network",)),
    "slow backend": (_slow_backend, ("latency",)),
    "failing requests": (_failing_requests, ("errors",)),
}


def _inject_incidents(
    rng: np.random.Generator,
    fleet: dict[str, Host],
    names: list[str],
    seconds: Array,
    step: float,
    count: int,
    hours: float,
) -> list[Incident]:
    n = len(seconds)
    span = min(n // 2, round(hours * 3600 / step))
    kinds = list(KINDS)
    chosen = rng.permutation(names)[:count]
    injected = []
    for i, name in enumerate(chosen):
        kind = kinds[i % len(kinds)]
        apply, causes = KINDS[kind]
        length = max(6, round(rng.uniform(25, 50) * 60 / step))
        first = n - span + int((i + rng.uniform(0.1, 0.5)) * max(1, span - length) / count)
        rows = slice(first, min(n, first + length))
        apply(fleet[name], rows, np.linspace(0, 1, rows.stop - rows.start))
        injected.append(
            Incident(
                str(name),
                kind,
                datetime.fromtimestamp(seconds[first], UTC),
                datetime.fromtimestamp(seconds[rows.stop - 1], UTC) + timedelta(seconds=step),
                causes,
            )
        )
    return sorted(injected, key=lambda incident: incident.start)


def _inject_cascades(
    rng: np.random.Generator,
    fleet: dict[str, Host],
    names: list[str],
    seconds: Array,
    step: float,
    count: int,
    hours: float,
    others: list[Incident],
) -> list[Incident]:
    """Let stores become slow, and with them, a few minutes later each, those that call them."""
    n, span = len(seconds), min(len(seconds) // 2, round(hours * 3600 / step))
    calls = demo_calls(len(fleet))
    callers = {callee: caller for caller, callees in calls.items() for callee in callees}
    stores = [name for name in callers if name not in calls and name in names]
    injected = list(others)
    for store in rng.permutation(stores)[:count].tolist():
        chain = [store, callers[store], callers[callers[store]]]
        length, lag = round(40 * 60 / step), max(1, round(120 / step))
        for _ in range(ATTEMPTS):
            first = int(rng.integers(n - span, max(n - span + 1, n - length)))
            start = datetime.fromtimestamp(seconds[first], UTC)
            end = start + timedelta(seconds=length * step)
            if not any(_touches(each, chain, start, end) for each in injected):
                break
        else:
            continue
        for place, name in enumerate(chain):
            rows = slice(min(n, first + place * lag), min(n, first + length))
            fleet[name]["latency"][rows] *= 4 - place
        injected.append(Incident(store, "cascade", start, end, ("latency",), tuple(chain[1:])))
    return sorted(injected, key=lambda incident: incident.start)


def _touches(incident: Incident, chain: list[str], start: datetime, end: datetime) -> bool:
    """True if an incident is on one of these entities at about that time."""
    apart = timedelta(minutes=30)
    on_it = bool({incident.entity, *incident.followers} & set(chain))
    return on_it and incident.start - apart < end and start < incident.end + apart
