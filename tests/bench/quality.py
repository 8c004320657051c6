"""Detection quality on labelled metrics, beside peers fitted on the same rows in the same run.

Every series of ``DATA/<set>/*.parquet`` is fitted on its train part and scored, causally, on its test part with
default settings; long ones are cut (`quality_series`). What is written,
``OUT/<method>@<budget>/seed-<n>/<set>/<series>.parquet``, is judged by the ``evaluate.py`` beside the data, in an
environment of its own. What is there already is not done again. ``--choices`` judges the values of each default
that is a choice instead, and says what leaving one kind of series out would have chosen (`quality_choices`).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.progress import Progress
from tests.bench import quality_choices, quality_ours, quality_peers
from tests.bench.quality_ours import BUDGETS
from tests.bench.quality_report import report
from tests.bench.quality_series import NOT_METRICS, SETS, TEST_ROWS, TRAIN_ROWS, Series, cut, find
from threadpoolctl import threadpool_limits

__all__ = ["NOT_METRICS", "SETS", "main", "parts"]

PEERS = ("IForest", "PCA", "ECOD", "VAE", "LSTMAD", "CNN", "Sub-PCA")


@dataclass(frozen=True)
class Task:
    """One series, with one seed, by ours, by one peer, or by one value of a choice."""

    series: Series
    method: str
    seed: int
    out: Path

    @property
    def name(self) -> str:
        return f"{self.method} {self.series.set}/{self.series.file.stem}"

    def file(self, method: str, budget: str = BUDGETS[0]) -> Path:
        run = f"{method}@{budget.replace(' ', '-')}"
        return self.out / run / f"seed-{self.seed}" / self.series.set / self.series.file.name

    @property
    def done(self) -> bool:
        if self.method == "ours":
            return all(self.file("ensemble", budget).exists() for budget in BUDGETS)
        return self.file(self.method).exists()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/quality"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(PEERS), help="of PyOD and TSB-AD; empty for none")
    parser.add_argument("--rows", type=int, default=TEST_ROWS, help="cut longer train and test parts")
    parser.add_argument("--every", type=int, default=1, help="take every n-th series of a set")
    parser.add_argument("--choices", action="store_true", help="judge the values of each default that is a choice")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    judge = options.data.parent / "evaluate.py"
    if not options.data.is_dir() or not judge.is_file():
        sys.exit(
            f"{options.data}: no folder of labelled metrics with {judge.name} beside it; give one with DATA=folder"
        )
    sets = options.sets.split(",")
    data = options.out / "series"
    cut(options.data, data, sets, min(options.rows, TRAIN_ROWS), options.rows)
    chosen = [series for name in sets for series in find(data, [name])[:: options.every]]
    methods = ["ours", *(f"peer:{name}" for name in options.peers.split(",") if name)]
    if options.choices:
        methods = [f"choice:{name}" for name in quality_choices.values()]
    python = evaluation_environment()
    tasks = [
        Task(series, method, seed, options.out)
        for seed in range(1 if options.choices else options.seeds)
        for method in methods
        for series in chosen
        if (seed == 0 or method.removeprefix("peer:") not in quality_peers.UNSEEDED)
        and (not options.choices or quality_choices.concerns(method, series))
    ]
    run([task for task in tasks if not task.done], options.jobs, python)
    table = evaluate(data, judge, options.out, options.jobs, python)
    table = table[table["method"].str.startswith("choice:") == options.choices]
    print(quality_choices.report(table) if options.choices else report(table, options.out))


def run(tasks: list[Task], jobs: int, python: Path) -> None:
    with Progress() as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task("fit and score", total=len(tasks))
        for future in as_completed([pool.submit(work, task, python) for task in tasks]):
            progress.update(bar, advance=1, description=future.result())


def work(task: Task, python: Path) -> str:
    import torch

    torch.set_num_threads(1)
    kind, _, name = task.method.partition(":")
    with threadpool_limits(limits=1):  # threads of BLAS that wait for a core burn the one of another series
        if kind == "ours":
            quality_ours.score(task.series, task.seed, task.file)
        elif kind == "choice":
            quality_choices.score(name, task.series, task.file(task.method))
        elif name in quality_peers.TSB:
            words = [python, quality_peers.__file__, name, task.series.file, task.seed, task.file(task.method)]
            subprocess.run([str(word) for word in words], check=True, capture_output=True)
        else:
            quality_peers.write_scores(name, task.series.file, task.seed, task.file(task.method))
    return task.name


def parts(series: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the train part and the test part of a whole series."""
    return Series(series).parts()


# -- judging -------------------------------------------------------------------------------------------
def evaluate(data: Path, judge: Path, out: Path, jobs: int, python: Path) -> pd.DataFrame:
    """Run evaluate.py over every run whose table is missing or older than its scores."""
    runs = sorted(folder for folder in out.glob("*/seed-*") if any(folder.glob("*/*.parquet")))
    stale = [run for run in runs if outdated(run)]
    with Progress() as progress, ProcessPoolExecutor(jobs) as pool:
        bar = progress.add_task("judge", total=len(stale))
        for future in as_completed([pool.submit(judge_run, python, judge, data, run) for run in stale]):
            progress.update(bar, advance=1, description=future.result())
    frames = []
    for run in runs:
        method, _, budget = run.parent.name.partition("@")
        table = pd.read_csv(run / "table.csv", dtype={"series": str})
        files = str(data) + "/" + table["set"] + "/" + table["series"] + ".parquet"
        kinds = [Series(Path(file)).kind for file in files]
        frames.append(table.assign(method=method, budget=budget, seed=run.name, kind=kinds))
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


if __name__ == "__main__":
    main()
