"""Does a budget hold, per entity and for all of a job, at 1 to 1,000 entities? ``python -m tests.bench.budget``.

A week of the synthetic fleet without incidents is learnt, the next week is scored: each alert is a false one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import make
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_pipelines.datasets.demo import demo_fleet

SIZES = (1, 10, 100, 1000)
BUDGETS = ("1 per week", "1 per day", "3 per day for all")
STEP = 300.0
PART = 100
WEEK_MS = 7 * 86_400_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detector", default="iforest")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    options = parser.parse_args()
    print("| entities | budget | allowed | false alerts | ratio | entities beyond 5x | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in map(int, options.sizes.split(",")):
        began = time.perf_counter()
        panel = fleet(size)
        since = int(panel.timestamps.max()) - WEEK_MS
        detector = make(options.detector).fit(panel.take(panel.timestamps <= since))
        for text in BUDGETS:
            budget = Budget.parse(text)
            scores = detector.recalibrate(budget).score(panel, since=since + 1)
            state = Policy().apply(scores.panel, scores.score, ~scores.warming).entity_state
            opened = np.bincount(scores.panel.codes[state == EntityState.OPENED], minlength=panel.n_entities)
            each = budget.per_entity(panel.n_entities).alerts_per_day * 7
            beyond = int((opened > max(5 * each, 5)).sum())
            allowed = each * panel.n_entities
            print(
                f"| {panel.n_entities} | {text} | {allowed:.1f} | {opened.sum()} | {opened.sum() / allowed:.2f} "
                f"| {beyond} | {time.perf_counter() - began:.0f} |",
                flush=True,
            )


def fleet(size: int) -> Panel:
    """Rows of so many hosts, a hundred at a time, without the dead one of each."""
    parts = []
    for seed, first in enumerate(range(0, size, PART)):
        hosts = min(PART, size - first)
        panel = demo_fleet(hosts=hosts + 1 if hosts > 1 else 1, days=14, step=STEP, incidents=0, seed=seed + 7)
        rows = panel[0].to_panel().entities_between(0, hosts)
        names = tuple(f"{seed}/{name}" for name in rows.entities)
        parts.append(replace(rows, entities=names))
    return Panel.concat(parts)


if __name__ == "__main__":
    main()
