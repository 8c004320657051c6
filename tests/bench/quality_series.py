"""Labelled series, cut to a length that a benchmark can afford, with the labels of their causes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from foreshock_models.panel import Panel

SETS = ("SMD", "ASD", "JS3", "NAB", "AIOPS", "MSCLOUD")
NOT_METRICS = {"timestamp", "label", "split"}
TRAIN_ROWS, TEST_ROWS = 16_000, 16_000
"""A longer series is cut to its newest training rows and its first test rows: as many more as it takes to hold one
whole event."""
CAUSES = "interpretation_labels.json"


@dataclass(frozen=True)
class Series:
    """The train part and the test part of one file."""

    file: Path

    @property
    def set(self) -> str:
        return self.file.parent.name

    @property
    def kind(self) -> str:
        """The set and the group in it: machines of one group, KPIs of one operator."""
        if self.set == "SMD":
            return f"SMD {self.file.stem.split('-')[1]}"
        groups = self.file.parent / "groups.json"
        return f"{self.set} {operators(groups)[self.file.stem]}" if groups.exists() else self.set

    def parts(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        table = pq.read_table(self.file).to_pandas()
        return table[table["split"] == "train"], table[table["split"] == "test"]


@cache
def operators(groups: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(groups.read_text())["operator"]
    return found


def find(data: Path, sets: list[str]) -> list[Series]:
    return [Series(file) for name in sets for file in sorted((data / name).glob("*.parquet"))]


def cut(data: Path, to: Path, sets: list[str], train_rows: int, test_rows: int) -> None:
    """Write the series of `data` to `to`, cut; those that are there already stay."""
    for series in find(data, sets):
        file = to / series.set / series.file.name
        if file.exists():
            continue
        train, test = series.parts()
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = pd.concat([train.iloc[-train_rows:], test.iloc[: test_end(test, test_rows)]])
        partial = file.with_suffix(".partial")
        kept.to_parquet(partial, index=False)
        partial.rename(file)
    for name in sets:
        for labels in ("groups.json", CAUSES):
            if (data / name / labels).exists():
                (to / name / labels).write_text(_fitting(data / name / labels, to / name))


def test_end(test: pd.DataFrame, test_rows: int) -> int:
    """Number of test rows that are kept."""
    label = test["label"].to_numpy()
    ends = np.flatnonzero(np.diff(np.r_[label, 0]) == -1) + 1
    return max(test_rows, int(ends[0]) if len(ends) else 0)


def _fitting(labels: Path, to: Path) -> str:
    """The causes of those events that the cut series still hold; another file as it is."""
    if labels.name != CAUSES:
        return labels.read_text()
    events = json.loads(labels.read_text())
    for file in to.glob("*.parquet"):
        rows = int((pq.read_table(file, columns=["split"]).to_pandas()["split"] == "test").sum())
        events[file.stem] = [event for event in events.get(file.stem, []) if event["test_end"] <= rows]
    return json.dumps(events)


def features_of(table: pd.DataFrame) -> tuple[str, ...]:
    return tuple(c for c in table.columns if c not in NOT_METRICS)


def panel_of(rows: pd.DataFrame, step: float) -> Panel:
    times = rows["timestamp"].astype("datetime64[ms, UTC]").astype("int64").to_numpy()
    features = features_of(rows)
    values = np.ascontiguousarray(rows[list(features)].to_numpy(np.float64))
    return Panel(values, np.array([0, len(rows)]), ("entity",), features, times, step)


def step_of(rows: pd.DataFrame) -> float:
    return float(np.median(np.diff(rows["timestamp"].astype("datetime64[ms, UTC]").astype("int64")))) / 1000
