"""Costs of detectors in seconds of a core of this machine, measured on synthetic rows for a second or two."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from foreshock_models.detectors import Detector, NetworkDetector, make
from foreshock_models.panel import Panel
from foreshock_pipelines.jobfile import Job

__all__ = ["PER_ENTITY", "Cost", "costs_of"]

SMALL, LARGE = 4_000, 12_000
"""Rows of the two trials of a fit: their difference gives the cost of a row."""
PER_ENTITY = "per_entity"
"""A parameter of any detector: one fit per entity."""
ENTITIES = 4
LEARNT = 1_024
"""Windows that a network learns from in a trial, once each: that separates their cost from the rest of the fit."""
SCORED = 128
"""Entities in the trial of a scoring pass."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one core.

    Attributes
    ----------
    fixed, row : of a fit, in all and for each row
    learnt : of a fit, for each row that a network learns from, each time (`Detector.learns_from`)
    scored : of a scoring pass, for each entity with one new row
    """

    fixed: float
    row: float
    learnt: float
    scored: float

    def fit(self, n_rows: int, learnt: int) -> float:
        """Return the seconds of a fit on `n_rows` rows."""
        return self.fixed + self.row * n_rows + self.learnt * learnt


def costs_of(job: Job, cache: Path | None = None) -> dict[str, Cost]:
    """Return the cost of each detector of a job, with its parameters and features; of one fit, if `per_entity`.

    Parameters
    ----------
    cache
        JSON file of the costs of this machine; those that it lacks are measured and added.
    """
    found = {}
    cached = _load(cache)
    for name, given in job.detector_params.items():
        params = {key: value for key, value in given.items() if key != PER_ENTITY}
        key = json.dumps([_machine(), name, params, len(job.features)], sort_keys=True)
        if key not in cached:
            cached[key] = asdict(_measure(name, params, len(job.features)))
            _save(cache, cached)
        found[name] = Cost(**cached[key])
    return found


def _measure(name: str, params: Mapping[str, Any], n_features: int) -> Cost:
    detector = make(name, **params)
    network = isinstance(detector, NetworkDetector)
    if network:
        detector = make(name, **{**params, "epochs": 1, "max_windows": LEARNT})
    small, large = _rows(SMALL, n_features), _rows(LARGE, n_features)
    with threadpool_limits(limits=1):
        detector.fit(small)  # compiles the kernels
        little, much = _seconds(partial(detector.fit, small)), _seconds(partial(detector.fit, large))
        pass_ = _new_rows(large, detector)
        since = int(pass_.timestamps[-1])
        detector.score(pass_, since=since)
        scored = _seconds(lambda: detector.score(pass_, since=since)) / SCORED
    row = max(0.0, (much - little) / (LARGE - SMALL))
    fixed = max(0.0, little - row * SMALL)
    return Cost(0.0, row, fixed / LEARNT, scored) if network else Cost(fixed, row, 0.0, scored)


def _rows(n_rows: int, n_features: int) -> Panel:
    """Generate entities with a daily rhythm and noise."""
    rng = np.random.default_rng(0)
    daily = np.sin(np.arange(n_rows) * (2 * np.pi / 1440))[:, None]
    values = daily + rng.normal(0.0, 0.2, (n_rows, n_features))
    return Panel.of(values, entities=np.repeat([f"entity-{i}" for i in range(ENTITIES)], n_rows // ENTITIES))


def _new_rows(panel: Panel, detector: Detector) -> Panel:
    """Return one new row, with its context, of each of many entities."""
    n = detector.context + 1
    at = np.linspace(0, panel.n_rows - n, SCORED).astype(int)
    values = panel.values[at[:, None] + np.arange(n)].reshape(SCORED * n, -1)
    return Panel.of(values, entities=np.repeat([f"entity-{i}" for i in range(SCORED)], n))


def _seconds(run: Callable[[], object]) -> float:
    """Return the processor time of a call: the load of other processes does not count."""
    began = time.process_time()
    run()
    return time.process_time() - began


# -- cache ----------------------------------------------------------------------------------------------
def _machine() -> str:
    """Identify what costs depend on besides the detector: processor and versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    versions = " ".join(f"{name} {version(name)}" for name in ("foreshock", "numpy", "torch"))
    return f"{model or platform.processor()}, {versions}"


def _load(cache: Path | None) -> dict[str, dict[str, float]]:
    """Load the cache; a file that cannot be read counts as empty."""
    try:
        return dict(json.loads(cache.read_text())) if cache is not None else {}
    except (OSError, ValueError):
        return {}


def _save(cache: Path | None, costs: Mapping[str, Mapping[str, float]]) -> None:
    if cache is None:
        return
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_suffix(".new")
    fresh.write_text(json.dumps(costs, indent=1) + "\n")
    fresh.replace(cache)
