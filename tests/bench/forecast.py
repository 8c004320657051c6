"""Forecast accuracy and coverage out of sample, beside seasonal naive; and speed, beside plain Prophet.

Every series of ``DATA/NAB`` and of the demo fleet is forecast a day ahead from origins in its second half, each
time from the four weeks before the origin and nothing else, with default settings. WAPE is the sum of absolute
errors over the sum of absolute values; coverage is the share of observed values inside the 80% interval; both over
the rows up to 1 h and up to 24 h ahead. A series is seasonal if its first half says so (`find_seasons`); clearly
so, if in addition what the first half showed explains 80% of the variance of the second half.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import Progress

from foreshock_models.forecasters import FORECASTERS, Forecast, make
from foreshock_models.forecasters._grid import choose_grid, on_grid
from foreshock_models.forecasters._seasons import find_seasons, profile
from foreshock_models.panel import Panel
from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows

HISTORY = timedelta(days=28)
HORIZONS = {"1 h": timedelta(hours=1), "24 h": timedelta(hours=24)}
LEVEL = 0.8
CLEAR = 0.8
SPEED_SERIES = 100


@dataclass(frozen=True)
class Task:
    """One panel of series, by one method."""

    group: str
    name: str
    panel: Panel
    method: str
    origins: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/forecast"))
    parser.add_argument("--methods", default=",".join(FORECASTERS))
    parser.add_argument("--origins", type=int, default=8, help="per series")
    parser.add_argument("--hosts", type=int, default=6, help="of the demo fleet; 6 features each")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--prophet-sample", type=int, default=20, help="series that plain Prophet is timed on")
    parser.add_argument("--only", choices=("accuracy", "speed"), default=None)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.only != "speed":
        rows = accuracy(args)
        rows.to_csv(args.out / "series.csv", index=False)
        print(report(rows))
    if args.only != "accuracy":
        print(speed(args.prophet_sample))


# -- accuracy ------------------------------------------------------------------------------------------
def accuracy(args: argparse.Namespace) -> pd.DataFrame:
    """One row per series, method and horizon."""
    methods = args.methods.split(",")
    panels = [*nab(args.data / "NAB"), ("demo fleet", "fleet", fleet(args.hosts))]
    tasks = [Task(g, name, panel, method, args.origins) for method in methods for g, name, panel in panels]
    rows: list[dict[str, object]] = []
    with Progress() as progress, ProcessPoolExecutor(args.jobs) as pool:
        bar = progress.add_task("forecast", total=len(tasks))
        for future in as_completed([pool.submit(measure, task) for task in tasks]):
            rows += future.result()
            progress.advance(bar)
    return pd.DataFrame(rows)


def nab(folder: Path) -> Iterator[tuple[str, str, Panel]]:
    for file in sorted(folder.glob("*.parquet")):
        frame = pd.read_parquet(file, columns=["timestamp", "value"])
        yield "NAB", file.stem.partition("__")[2], Windows.from_pandas(frame).to_panel()


def fleet(hosts: int) -> Panel:
    """Six weeks without incidents."""
    return demo_fleet(hosts=hosts + 1, days=42, step=300, incidents=0, seed=11)[0].to_panel()


def measure(task: Task) -> list[dict[str, object]]:
    """Forecast from every origin, and compare with what came."""
    logging.disable(logging.WARNING)
    panel = task.panel
    first, last = int(panel.timestamps.min()), int(panel.timestamps.max())
    day = 86_400_000
    at = np.linspace((first + last) / 2, last - day, task.origins).astype(np.int64)
    began = time.process_time()
    pairs: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for origin in at:
        span = (panel.timestamps >= origin - HISTORY.total_seconds() * 1000) & (panel.timestamps < origin)
        forecaster = make(task.method).fit(panel.take(span))
        forecast = forecaster.predict(timedelta(hours=24), levels=(LEVEL,))
        for key, pair in compared(panel, forecast):
            pairs.setdefault(key, []).append(pair)
    seconds = time.process_time() - began
    out: list[dict[str, object]] = []
    for (entity, feature), parts in pairs.items():
        kind = season_of(panel, entity, feature)
        pair = pd.concat(parts)
        for name, horizon in HORIZONS.items():
            rows = pair[pair["ahead"] < horizon.total_seconds()]
            size = rows["observed"].abs().sum()
            out.append(
                {
                    "group": task.group,
                    "series": f"{entity}/{feature}" if entity else task.name,
                    "season": kind,
                    "method": task.method,
                    "horizon": name,
                    "wape": (rows["observed"] - rows["point"]).abs().sum() / size if size else np.nan,
                    "coverage": rows["observed"].between(rows["lower"], rows["upper"]).mean(),
                    "rows": len(rows),
                    "cpu_seconds": seconds / len(pairs) / len(at),
                }
            )
    return out


def compared(panel: Panel, forecast: Forecast) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Observed means of the forecast's rows, beside the forecast."""
    size = round(forecast.step * 1000)
    for entity, part in panel:
        if entity not in forecast.entities:
            continue
        i = forecast.entities.index(entity)
        times = forecast.timestamps[i]
        for j, feature in enumerate(panel.features):
            if (entity, feature) not in forecast.method:
                continue
            cells = (panel.timestamps[part] - times[0]) // size
            values = panel.values[part, j]
            known = (cells >= 0) & (cells < len(times)) & ~np.isnan(values)
            counts = np.bincount(cells[known], minlength=len(times))
            sums = np.bincount(cells[known], weights=values[known], minlength=len(times))
            seen = counts > 0
            yield (
                (entity, feature),
                pd.DataFrame(
                    {
                        "ahead": np.arange(len(times))[seen] * forecast.step,
                        "observed": sums[seen] / counts[seen],
                        "point": forecast.point[i, seen, j],
                        "lower": forecast.lower[0, i, seen, j],
                        "upper": forecast.upper[0, i, seen, j],
                    }
                ),
            )


def season_of(panel: Panel, entity: str, feature: str) -> str:
    """``none``, ``some`` or ``clear``: what the first half of a series shows, and whether the second keeps it."""
    rows = next(part for name, part in panel if name == entity)
    grid = choose_grid(panel.step, rows.stop - rows.start)
    values, _ = on_grid(panel.timestamps[rows], panel.values[rows, panel.features.index(feature)], grid, panel.step)
    half = len(values) // 2
    seasons = find_seasons(values[:half], grid)
    if not seasons:
        return "none"
    rest = values[half:]
    left = rest - profile(values[:half], seasons, len(rest))[half:]
    return "clear" if share_explained(rest, left) >= CLEAR else "some"


def share_explained(values: NDArray[np.float64], left: NDArray[np.float64]) -> float:
    return 1.0 - float(np.nanvar(left) / np.nanvar(values)) if np.nanvar(values) > 0 else 0.0


def report(rows: pd.DataFrame) -> str:
    """Mean over the series of each group, per method: WAPE beside seasonal naive, and coverage."""
    base = rows[rows["method"] == "seasonal_naive"].set_index(["group", "series", "horizon"])["wape"]
    rows = rows.join(base.rename("naive"), on=["group", "series", "horizon"])
    lines = []
    for (group, season), here in rows.groupby(["group", "season"], sort=True):
        table = here.pivot_table(index="method", columns="horizon", values=["wape", "coverage"], sort=False)
        gain = here.groupby(["method", "horizon"])[["wape", "naive"]].mean()
        for name in HORIZONS:
            mean = gain.xs(name, level="horizon")
            table[f"vs naive {name}"] = mean["wape"] / mean["naive"] - 1
        table["cpu s"] = here.groupby("method")["cpu_seconds"].mean()
        table.columns = [" ".join(filter(None, c)) if isinstance(c, tuple) else c for c in table.columns]
        lines += [f"\n{group}, season: {season} ({here['series'].nunique()} series)", table.round(3).to_string()]
    return "\n".join(lines)


# -- speed ---------------------------------------------------------------------------------------------
def speed(sample: int) -> str:
    """CPU seconds for 100 series of 4 weeks of hours, fitted and forecast a day ahead."""
    import prophet

    logging.disable(logging.WARNING)
    windows, _ = demo_fleet(hosts=21, days=28, step=3600, incidents=0, seed=5)
    panel = windows.to_panel().select([f"host-{i:02d}" for i in range(1, 21)])
    panel = Panel(
        np.ascontiguousarray(panel.values[:, :5]), panel.offsets, panel.entities, panel.features[:5],
        panel.timestamps, panel.step,
    )  # fmt: skip
    lines = [f"\nspeed, {SPEED_SERIES} series of 4 weeks of hours, fitted and forecast 24 h ahead"]
    taken = {}
    for method in ("auto", "arima"):
        make(method).fit(panel.select(["host-01"])).predict(24)  # compiles
        began = time.process_time()
        make(method).fit(panel).predict(24)
        taken[method] = time.process_time() - began
    frames = [
        pd.DataFrame({"ds": pd.to_datetime(panel.timestamps[rows], unit="ms"), "y": panel.values[rows, j]})
        for _, rows in panel
        for j in range(5)
    ]
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, sample).astype(int)]
    began = cpu_with_children()
    for frame in chosen:
        model = prophet.Prophet()
        model.fit(frame)
        model.predict(model.make_future_dataframe(24, freq="h", include_history=False))
    plain = (cpu_with_children() - began) / len(chosen) * SPEED_SERIES
    for method, seconds in taken.items():
        lines.append(
            f"  {method:8} {seconds:7.1f} s CPU   {plain / seconds:5.1f} times faster than Prophet in a loop"
        )
    lines.append(f"  Prophet in a loop {plain:.1f} s CPU ({sample} series measured, scaled to {SPEED_SERIES})")
    return "\n".join(lines)


def cpu_with_children() -> float:
    """Prophet fits in a process of its own (CmdStan)."""
    import os

    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


if __name__ == "__main__":
    main()
