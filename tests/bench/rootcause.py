"""Root-cause rankings on known faults, beside simple orders, judged by the ``evaluate_rca.py`` beside the data.

``make bench-rca`` (``DATA=folder``) reads ``rca_petshop`` and ``rca_nezha``, ranks every case by each method,
prints the judge's table for each, and the share of quiet stretches on which a ranking abstains.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from foreshock_models.rootcause import Metric, rank_causes

QUIET_STRETCHES = 40
Ranking = Callable[["Case"], list[str]]


@dataclass(frozen=True)
class Case:
    """Rows around a fault, quiet rows of the same metrics, the alert, and who calls whom."""

    name: str
    values: np.ndarray[Any, Any]
    quiet: np.ndarray[Any, Any]
    metrics: list[Metric]
    onset: int
    symptom: Metric
    calls: dict[str, list[str]] = field(default_factory=dict)

    @property
    def endpoints(self) -> set[str]:
        """X-Ray calls what it sees only from the caller's side ``NAME_remote``."""
        return {node for node in self.calls if node.endswith("_remote")}


# -- methods --------------------------------------------------------------------------------------------
def with_graph(case: Case) -> list[str]:
    calls = case.calls or None
    found = rank_causes(
        case.values, case.metrics, case.onset, case.quiet,
        symptom=case.symptom if calls else None, calls=calls, callers_view=case.endpoints,
    )  # fmt: skip
    return [cause.node for cause in found]


def without_graph(case: Case) -> list[str]:
    return [cause.node for cause in rank_causes(case.values, case.metrics, case.onset, case.quiet)]


def robust_order(case: Case) -> list[str]:
    """Largest distance from the quiet median, in interquartile ranges (the order of BARO, without its onset)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a metric without a quiet sample
        low, middle, high = np.nanquantile(case.quiet, [0.25, 0.5, 0.75], axis=0)
    return by_node(case, np.abs(case.values[case.onset :] - middle) / np.where(high > low, high - low, np.nan))


def n_sigma(case: Case) -> list[str]:
    """Largest distance from the quiet mean, in standard deviations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        deviation, mean = np.nanstd(case.quiet, axis=0), np.nanmean(case.quiet, axis=0)
    away = np.abs(case.values[case.onset :] - mean)
    return by_node(case, away / np.where(deviation > 0, deviation, np.nan))


def at_random(case: Case) -> list[str]:
    nodes = sorted({metric.node for metric in case.metrics})
    return [str(node) for node in np.random.default_rng(len(case.name)).permutation(nodes)]


METHODS: dict[str, Ranking] = {
    "foreshock, with the graph": with_graph,
    "foreshock, without": without_graph,
    "robust order": robust_order,
    "n-sigma": n_sigma,
    "random": at_random,
}


def by_node(case: Case, away: np.ndarray[Any, Any]) -> list[str]:
    largest = np.nanmax(np.where(np.isnan(away), -1.0, away), axis=0)
    nodes = pd.Series(largest).groupby([metric.node for metric in case.metrics]).max()
    return [str(node) for node in nodes.sort_values(ascending=False, kind="stable").index]


# -- data -----------------------------------------------------------------------------------------------
def cases(data: Path, group: str) -> Iterator[Case]:
    for name, target in json.loads((data / group / "targets.json").read_text()).items():
        rows = read(data / group / f"{name}.parquet")
        yield case_of(f"{group}/{name}", rows, quiet_rows(data / group, name, target), target, data / group / name)


def quiet_rows(folder: Path, name: str, target: dict[str, Any]) -> pd.DataFrame:
    """Normal operation; PetShop's changing traffic has none of its own, so that of low traffic stands in."""
    named = target["metadata"].get("noissue") or f"{name.split('/')[0]}/noissue"
    file = folder / f"{named}.parquet"
    return read(file if file.exists() else folder / "low_traffic" / "noissue.parquet")


def case_of(name: str, rows: pd.DataFrame, quiet: pd.DataFrame, target: dict[str, Any], file: Path) -> Case:
    columns = [column for column in rows.columns if column in quiet.columns]
    at = pd.Timestamp(target["target"]["timestamp"], unit="s", tz="UTC")
    onset = int(rows.index.searchsorted(at, side="right")) - 1
    alert = target["target"]
    return Case(
        name, rows[columns].to_numpy(np.float64), quiet[columns].to_numpy(np.float64),
        [metric_of(column) for column in columns], min(max(onset, 1), len(rows) - 1),
        Metric(alert["node"], alert["metric"], alert["agg"] or ""), graph(file.with_name("graph.csv")),
    )  # fmt: skip


def metric_of(column: str) -> Metric:
    """``node|metric|statistic``; the metric of a call, ``caller->callee|metric``, is the callee's."""
    node, kind, *statistic = column.split("|")
    caller, arrow, callee = node.partition("->")
    return Metric(callee, kind, f"from {caller}") if arrow else Metric(node, kind, "".join(statistic))


def graph(file: Path) -> dict[str, list[str]]:
    if not file.exists():
        return {}
    table = pd.read_csv(file, index_col=0)
    return {str(node): [str(callee) for callee in table.columns[row > 0]] for node, row in table.iterrows()}


def read(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file).set_index("timestamp")


# -- quiet operation ------------------------------------------------------------------------------------
def abstained(data: Path) -> Iterator[tuple[str, float]]:
    """Share of quiet stretches, of the half that is not learnt from, on which the ranking names nobody."""
    alerts = {
        "rca_petshop/high_traffic/noissue": [
            Metric("PetSite", kind, "Average") for kind in ("latency", "availability")
        ],
        "rca_petshop/low_traffic/noissue": [
            Metric("PetSite", kind, "Average") for kind in ("latency", "availability")
        ],
        "rca_nezha/noissue_ob22": [Metric("front_service", "LatencyP90(s)")],
        "rca_nezha/noissue_tt29": [Metric("front_service", "LatencyP90(s)")],
    }
    for name, symptoms in alerts.items():
        rows = read(data / f"{name}.parquet")
        metrics = [metric_of(column) for column in rows.columns]
        values, half = rows.to_numpy(np.float64), len(rows) // 2
        starts = np.linspace(half, len(rows) - 12, QUIET_STRETCHES).astype(int)
        for symptom in symptoms:
            silent = [
                not rank_causes(values[i : i + 12], metrics, 6, values[:half], symptom=symptom) for i in starts
            ]
            yield f"{name}, {symptom.node} {symptom}", float(np.mean(silent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out/rootcause"))
    options = parser.parse_args()
    judge = options.data.parent / "evaluate_rca.py"
    groups = [group for group in ("rca_petshop", "rca_nezha") if (options.data / group).is_dir()]
    if not groups or not judge.is_file():
        sys.exit(
            f"{options.data}: no rca_petshop or rca_nezha with {judge.name} beside the folder; see DATA=folder"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    found = [case for group in groups for case in cases(options.data, group)]
    for method, rank in METHODS.items():
        ranks = options.out / f"{method.replace(' ', '-').replace(',', '')}.json"
        ranks.write_text(json.dumps({case.name: rank(case) for case in found}))
        print(f"\n{method}")
        command = [sys.executable, str(judge), "--data", str(options.data), "--ranks", str(ranks)]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip())
    print("\nabstains on quiet operation")
    for name, share in abstained(options.data):
        print(f"  {name}: {share:.2f}")


if __name__ == "__main__":
    main()
