"""Does tuning without labels gain? Defaults and tuned settings on metrics whose labels tuning never sees.

For each series of ``DATA/<set>/*.parquet``: settings are searched on its train part, with injected anomalies;
defaults and what was found are fitted on the train part and scored, causally, on the test part; average precision
against the true labels judges both. Series whose row is in OUT already are not done again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score
from tests.bench.quality import NOT_METRICS, SETS, parts

from foreshock_models.panel import Panel
from foreshock_pipelines.evaluation.evaluation_set import MIN_ROWS
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.training.fit import fit
from foreshock_pipelines.tuning.settings import VALIDATION_SHARE, tune_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--series", type=int, default=2, help="of each set, spread evenly")
    parser.add_argument("--trials", type=int, default=12, help="of each detector")
    parser.add_argument("--detectors", default="", help="default: those of a job with so many features")
    parser.add_argument("--out", type=Path, default=Path("bench-out/tuning.csv"))
    options = parser.parse_args()
    if not options.data.is_dir():
        sys.exit(f"{options.data}: no folder of labelled metrics; give one with DATA=folder")
    import ray

    ray.init("local", include_dashboard=False, log_to_driver=False, object_store_memory=500_000_000)
    table = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame(columns=["set", "series"])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.sets.split(","):
            files = [f for f in sorted((options.data / name).glob("*.parquet")) if suits(*parts(f))]
            for file in files[:: max(1, len(files) // options.series)][: options.series]:
                if ((table["set"] == name) & (table["series"] == file.stem)).any():
                    continue
                row = {"set": name, "series": file.stem, **compare(file, options.trials, options.detectors)}
                print(row, flush=True)
                table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
                table.to_csv(options.out, index=False)
    finally:
        ray.shutdown()
    print(report(table))


def suits(train: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Whether there are enough rows to tune on, and anomalies to judge by."""
    return len(train) * VALIDATION_SHARE > MIN_ROWS + 1 and bool(test["label"].any())


def compare(file: Path, trials: int, detectors: str) -> dict[str, Any]:
    """Average precision on the test part, before and after tuning on the train part."""
    began = time.perf_counter()
    train, test = parts(file)
    features = [c for c in train.columns if c not in NOT_METRICS]
    known = panel_of(train, features)
    document: dict[str, Any] = {
        "name": "bench",
        "source": {"parquet": str(file)},
        "queries": {name: name for name in features},
        "entity": ["entity"],
        "step": f"{known.step:g}s",
        "history": "400d",
    }
    if detectors:
        document["detectors"] = detectors.split(",")
    job = Job.model_validate(document)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        found = tune_settings(job, known, job.detector_params, trials=trials, seconds=None, folder=Path(folder))
        default, tuned = (
            on_labels(job, known, train, test, features, s) for s in (job.detector_params, found.settings)
        )
    return {
        "default": round(default, 4),
        "tuned": round(tuned, 4),
        "injected_default": found.default_auc_pr,
        "injected_tuned": found.auc_pr,
        "seconds": round(time.perf_counter() - began),
        "settings": found.settings,
        "notes": found.notes,
    }


def on_labels(
    job: Job, known: Panel, train: pd.DataFrame, test: pd.DataFrame, features: list[str], settings: Any
) -> float:
    detector = fit(known, settings, job.budget).detector
    context = train.iloc[len(train) - detector.context :]
    rows = panel_of(pd.concat([context, test]), features)
    scores = detector.score(rows, since=int(rows.timestamps[len(context)])).score
    return float(average_precision_score(test["label"].astype(bool), scores))


def panel_of(rows: pd.DataFrame, features: list[str]) -> Panel:
    times = rows["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    step = float(np.median(np.diff(times))) / 1000
    values = np.ascontiguousarray(rows[features].to_numpy(np.float64))
    return Panel(values, np.array([0, len(rows)]), ("entity",), tuple(features), times, step)


def report(table: pd.DataFrame) -> str:
    """One table: AUC-PR against the true labels, and on the injected anomalies that the search saw."""
    shown = table.drop(columns=["settings", "notes"]).assign(gain=table["tuned"] - table["default"])
    numbers = ["default", "tuned", "gain", "injected_default", "injected_tuned"]
    means = shown.groupby("set", sort=False)[numbers].mean().round(3)
    lines = [shown.to_string(index=False), "", "mean of each set", means.to_string(), ""]
    return "\n".join([*lines, f"mean gain {shown['gain'].mean():.3f}"])


if __name__ == "__main__":
    main()
