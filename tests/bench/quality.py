"""Detection quality on labelled metrics, beside peers fitted on the same rows in the same run.

Every series of ``DATA/<set>/*.parquet`` is fitted on its train part and scored, causally, on its test part with
default settings. What is written, ``OUT/<method>@<budget>/seed-<n>/<set>/<series>.parquet``, is judged by the
``evaluate.py`` beside the data, in an environment of its own. What is there already is not done again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.progress import Progress
from threadpoolctl import threadpool_limits

NOT_METRICS = {"timestamp", "label", "split"}
SETS = ("SMD", "ASD", "NAB")
PEERS = ("IForest", "PCA", "ECOD", "VAE")
BUDGETS = ("1 per week", "1 per day")
RESOLVE_AFTER = 600.0
COLUMNS = {
    "vus_pr": "VUS-PR", "auc_pr": "AUC-PR", "event_recall": "recall", "false_alerts_per_day": "false/day",
    "hit_rate_100": "Hit@100", "hit_rate_150": "Hit@150",
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One series, with one seed, by ours or by one peer."""

    series: Path
    method: str
    seed: int
    out: Path

    @property
    def name(self) -> str:
        return f"{self.method} {self.series.parent.name}/{self.series.stem}"

    def file(self, method: str, budget: str) -> Path:
        run = f"{method}@{budget.replace(' ', '-')}"
        return self.out / run / f"seed-{self.seed}" / self.series.parent.name / self.series.name

    @property
    def done(self) -> bool:
        if self.method == "ours":
            return all(self.file("ensemble", budget).exists() for budget in BUDGETS)
        return self.file(f"pyod:{self.method}", BUDGETS[0]).exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/quality"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS), help="PyOD's detectors; empty for none")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    judge = options.data.parent / "evaluate.py"
    if not options.data.is_dir() or not judge.is_file():
        sys.exit(
            f"{options.data}: no folder of labelled metrics with {judge.name} beside it; give one with DATA=folder"
        )
    series = [file for name in options.sets.split(",") for file in sorted((options.data / name).glob("*.parquet"))]
    methods = ["ours", *filter(None, options.peers.split(","))]
    tasks = [
        Task(file, method, seed, options.out)
        for seed in range(options.seeds)
        for method in methods
        for file in series
        if seed == 0 or method not in {"PCA", "ECOD"}  # these have no seed
    ]
    run([task for task in tasks if not task.done], options.jobs)
    print(report(evaluate(options.data, judge, options.out, options.jobs)))


def run(tasks: list[Task], jobs: int) -> None:
    with Progress() as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task("fit and score", total=len(tasks))
        for future in as_completed([pool.submit(work, task) for task in tasks]):
            progress.update(bar, advance=1, description=future.result())


def work(task: Task) -> str:
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(limits=1):  # threads of BLAS that wait for a core burn the one of another series
        if task.method == "ours":
            ours(task)
        else:
            peer(task)
    return task.name


# -- ours ----------------------------------------------------------------------------------------------
def ours(task: Task) -> None:
    """The default ensemble of a job, and each of its members alone, under each budget."""
    from foreshock_models.calibration.budget import Budget
    from foreshock_models.detectors import Detector, Ensemble
    from foreshock_models.panel import Panel

    train, test = parts(task.series)
    features = tuple(c for c in train.columns if c not in NOT_METRICS)
    step = float(np.median(np.diff(train["timestamp"].astype("int64")))) / 1000

    def panel(rows: pd.DataFrame) -> Panel:
        times = rows["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
        return Panel(
            np.ascontiguousarray(rows[list(features)].to_numpy(np.float64)),
            np.array([0, len(rows)]), ("entity",), features, times, step,
        )  # fmt: skip

    # a live scorer has the rows before the first one at hand: they are context
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ensemble = Ensemble(random_state=task.seed).fit(panel(train))
    context = train.iloc[-ensemble.context :]
    rows = panel(pd.concat([context, test]))
    since = int(rows.timestamps[len(context)])
    detectors: dict[str, Detector] = {"ensemble": ensemble, **ensemble.members_}
    for budget in BUDGETS:
        for name, detector in detectors.items():
            detector.recalibrate(Budget.parse(budget))
            scores = detector.score(rows, since=since).score
            alert = open_alerts(scores, panel(test))
            write(
                task.file(name, budget), scores, alert, causes(detector, rows, alert, len(context), reweighted=True)
            )
            if len(features) > 1:
                alone = causes(detector, rows, alert, len(context), reweighted=False)
                write(task.file(f"{name}, SHAP alone", budget), scores, alert, alone)


def open_alerts(score: NDArray[np.float64], panel: object) -> NDArray[np.bool_]:
    """Rows at which an alert is open, by the default policy (3 of 5, resolved after 10 min)."""
    from foreshock_models.policy import Policy, Step

    step = Policy(resolve_after=RESOLVE_AFTER).apply(panel, score, np.ones(len(score), np.bool_)).step  # type: ignore[arg-type]
    return np.isin(step, (Step.OPENED, Step.ANOMALOUS, Step.QUIET))


def causes(
    detector: object, rows: object, alert: NDArray[np.bool_], skip: int, *, reweighted: bool
) -> list[list[str] | None]:
    """For rows in alert, the metrics by attribution: explained as an alert opens and every 5 rows after."""
    top: list[list[str] | None] = [None] * len(alert)
    begins = np.flatnonzero(np.diff(np.r_[0, alert.astype(int)]) == 1)
    ends = np.flatnonzero(np.diff(np.r_[alert.astype(int), 0]) == -1) + 1
    chosen = np.concatenate([np.arange(a, b, 5) for a, b in zip(begins, ends, strict=True)] or [np.zeros(0, int)])[
        :2000
    ]
    if len(chosen) == 0:
        return top
    attributions = detector.explain(rows, chosen + skip, reweighted=reweighted).attributions  # type: ignore[attr-defined]
    names = np.array(detector.features_in_)  # type: ignore[attr-defined]
    at = np.searchsorted(chosen, np.flatnonzero(alert), side="right") - 1
    ranked = [names[order].tolist() for order in np.argsort(-attributions, axis=1, kind="stable")]
    for row, k in zip(np.flatnonzero(alert), at, strict=True):
        top[row] = ranked[k]
    return top


# -- peers ---------------------------------------------------------------------------------------------
def peer(task: Task) -> None:
    """A PyOD detector as its documentation uses it, on standardised rows; gaps carried forward.

    Without the metrics that never change in training: standardised, a change of one drowns all others.
    """
    import importlib

    from sklearn.preprocessing import StandardScaler

    train, test = parts(task.series)
    features = [c for c in train.columns if c not in NOT_METRICS]
    filled = pd.concat([train, test])[features].ffill().bfill().fillna(0.0).to_numpy(np.float64)
    changing = np.ptp(filled[: len(train)], axis=0) > 0
    filled = filled[:, changing] if changing.any() else filled
    scaler = StandardScaler().fit(filled[: len(train)])
    x = scaler.transform(filled)
    kind = getattr(importlib.import_module(f"pyod.models.{module_of(task.method)}"), task.method)
    options = {} if task.method in {"PCA", "ECOD"} else {"random_state": task.seed}
    if task.method == "VAE":
        options |= {"verbose": 0, "batch_size": min(256, len(train) // 2)}  # it leaves out a last, smaller batch
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(**options).fit(x[: len(train)])
        raw = model.decision_function(x[len(train) :])
    score = np.asarray(raw, float) / max(float(np.quantile(model.decision_scores_, 0.999)), 1e-12)
    write(task.file(f"pyod:{task.method}", BUDGETS[0]), score, score >= 1.0, None)


def module_of(name: str) -> str:
    return {"IForest": "iforest", "PCA": "pca", "ECOD": "ecod", "VAE": "vae"}.get(name, name.lower())


# -- data ----------------------------------------------------------------------------------------------
def parts(series: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pq.read_table(series).to_pandas()
    return table[table["split"] == "train"], table[table["split"] == "test"]


def write(
    file: Path, score: NDArray[np.float64], alert: NDArray[np.bool_], top: list[list[str] | None] | None
) -> None:
    columns = {"score": pa.array(score), "alert": pa.array(alert)}
    if top is not None:
        columns["top"] = pa.array(top, pa.list_(pa.string()))
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    pq.write_table(pa.table(columns), partial)
    partial.rename(file)


# -- judging -------------------------------------------------------------------------------------------
def evaluate(data: Path, judge: Path, out: Path, jobs: int) -> pd.DataFrame:
    """Run evaluate.py over every run whose table is missing or older than its scores."""
    python = evaluation_environment()
    runs = sorted(folder for folder in out.glob("*/seed-*") if any(folder.glob("*/*.parquet")))
    stale = [run for run in runs if outdated(run)]
    with Progress() as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task("judge", total=len(stale))
        for future in as_completed([pool.submit(judge_run, python, judge, data, run) for run in stale]):
            progress.update(bar, advance=1, description=future.result())
    frames = []
    for run in runs:
        method, _, budget = run.parent.name.partition("@")
        frames.append(pd.read_csv(run / "table.csv").assign(method=method, budget=budget, seed=run.name))
    return pd.concat(frames, ignore_index=True)


def outdated(run: Path) -> bool:
    table = run / "table.csv"
    return not table.exists() or any(f.stat().st_mtime > table.stat().st_mtime for f in run.glob("*/*.parquet"))


def judge_run(python: Path, judge: Path, data: Path, run: Path) -> str:
    command = [python, judge, "--data", data, "--scores", run, "--out", run / "table.csv"]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return str(run)


def evaluation_environment() -> Path:
    """TSB-AD needs an older numpy than ours."""
    folder = Path(".venv-eval")
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "TSB-AD", "pyarrow<22", "torch==2.13.0"]
        subprocess.run(install, check=True)
        (folder / ".ready").touch()
    return python.absolute()


def report(table: pd.DataFrame) -> str:
    """One table: the mean over the series of each set, its spread over seeds, and how the budgets held."""
    lines = []
    for (group, budget), here in table.groupby(["set", "budget"], sort=False):
        means = here.groupby(["method", "seed"])[[c for c in COLUMNS if c in here]].mean()
        shown = means.groupby("method").mean().join(means["vus_pr"].groupby("method").std().rename("spread"))
        shown = shown.rename(columns=COLUMNS).sort_values("VUS-PR", ascending=False)
        lines += [f"\n{group}, false alerts {str(budget).replace('-', ' ')}", shown.round(3).to_string()]
    return "\n".join([*lines, *budgets(table)])


def budgets(table: pd.DataFrame) -> Iterator[str]:
    """Asked against got, for the ensemble."""
    asked = {budget.replace(" ", "-"): 1 / 7 if "week" in budget else 1.0 for budget in BUDGETS}
    yield "\nbudget: false alerts got, as a multiple of what was asked (ensemble)"
    chosen = table[(table["method"] == "ensemble") & table["budget"].isin(list(asked))]
    for (group, budget), here in chosen.groupby(["set", "budget"], sort=False):
        ratio = here["false_alerts_per_day"] / asked[str(budget)]
        yield f"  {group} {budget}: median {ratio.median():.2f}, 90% of series <= {ratio.quantile(0.9):.2f}"


if __name__ == "__main__":
    main()
