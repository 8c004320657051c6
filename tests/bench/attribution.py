"""Attribution methods beside each other: do they name the known causes of events, and what do they cost?

For each event of the sets whose events have known causes, the row with the highest raw score is explained by
Shapley values weighted by movement (the default), by plain Shapley values, and by LIME. HitRate@100%: of an event's
k true metrics, the share among the first k.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from foreshock_models.detectors import make
from foreshock_models.panel import Panel

SETS = ("SMD", "ASD")
METHODS: dict[str, dict[str, object]] = {
    "shap, weighted": {"method": "shap"},
    "shap": {"method": "shap", "reweighted": False},
    "lime": {"method": "lime"},
}
TRAIN_ROWS = 10_000
EVENTS = 10
"""Newest rows of each training part, and first events of each series, that are used."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--detectors", default="iforest,lstm,vae")
    parser.add_argument("--sets", default=",".join(SETS))
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no folder of labelled metrics; give one with DATA=folder")
    hits: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    seconds: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for name in options.sets.split(","):
        events = json.loads((options.data / name / "interpretation_labels.json").read_text())
        for file in sorted((options.data / name).glob("*.parquet")):
            for detector in options.detectors.split(","):
                for method, hit, cost in judged(file, detector, events[file.stem][:EVENTS]):
                    hits[name, detector, method].append(hit)
                    seconds[name, detector, method].append(cost)
    print("| set | detector | method | events | HitRate@100% | ms an explanation |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (name, detector, method), found in hits.items():
        cost = 1000 * float(np.median(seconds[name, detector, method]))
        print(f"| {name} | {detector} | {method} | {len(found)} | {np.mean(found):.2f} | {cost:.0f} |")


def judged(file: Path, name: str, events: list[dict[str, object]]) -> list[tuple[str, float, float]]:
    """Method, hit rate and seconds of each event of one series."""
    frame = pd.read_parquet(file)
    metrics = [column for column in frame.columns if column not in {"timestamp", "label", "split"}]
    step = float(frame["timestamp"].diff().median().total_seconds())
    train = frame[frame["split"] == "train"].tail(TRAIN_ROWS)
    detector = make(name).fit(Panel.of(train[metrics], step=step))
    rows = Panel.of(frame[metrics], step=step)
    found = []
    for event in events:
        first, last = int(str(event["row_start"])), int(str(event["row_end"]))
        raw = detector.decision_function(rows.rows(max(0, first - detector.context), last))
        row = first + int(np.argmax(raw[-(last - first) :]))
        true = set(event["metrics"])  # type: ignore[call-overload]
        for method, choice in METHODS.items():
            begin = time.perf_counter()
            explanation = detector.explain(rows, [row], **choice)  # type: ignore[arg-type]
            cost = time.perf_counter() - begin
            order = np.argsort(-explanation.attributions[0], kind="stable")[: len(true)]
            found.append((method, len(true & {metrics[i] for i in order}) / len(true), cost))
    return found


if __name__ == "__main__":
    main()
