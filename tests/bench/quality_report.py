"""Tables of what the judge found: each kind of series, mean ranks, alerts, and how the budgets held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from tests.bench.quality_ours import BUDGETS

DEFAULT = "ensemble"
ALERTS = {
    "event_recall": "recall", "event_precision": "precision", "false_alerts_per_day": "false/day",
    "false_positive_rows": "false rows", "delay_min": "delay min", "tail_min": "tail min",
    "tail_min_90": "tail 90%", "hit_rate_100": "Hit@100", "hit_rate_150": "Hit@150",
}  # fmt: skip
RESAMPLES = 2000


def report(table: pd.DataFrame, out: Path) -> str:
    """Return the tables; `out` gets one row for each series, method and budget."""
    table.to_csv(out / "all.csv", index=False)
    week = table[table["budget"] == BUDGETS[0].replace(" ", "-")]
    vus = week.dropna(subset=["vus_pr"])
    series = vus.groupby(["method", "set", "kind", "series"])["vus_pr"].mean().reset_index()  # over seeds
    sets = series.groupby(["method", "set"])["vus_pr"].mean().unstack()
    lines = ["VUS-PR: mean over the series of a set, and mean of ranks over the sets", with_ranks(sets).to_string()]
    kinds = series.groupby(["method", "kind"])["vus_pr"].mean().unstack()
    lines += ["\nby kind", kinds.round(3).to_string()]
    lines += ["\n90% intervals of the set's mean, series resampled", intervals(series).to_string()]
    spread = vus.groupby(["method", "set", "seed"])["vus_pr"].mean().groupby(["method", "set"]).std().unstack()
    if vus["seed"].nunique() > 1:
        lines += ["\nstandard deviation over seeds", spread.round(3).to_string()]
    for budget in BUDGETS:
        own = table[(table["method"] == DEFAULT) & (table["budget"] == budget.replace(" ", "-"))]
        means = own.groupby("set")[[c for c in ALERTS if c in own]].mean().rename(columns=ALERTS)
        lines += [f"\nalerts of the default, false alerts {budget}", means.round(3).to_string()]
    return "\n".join([*lines, *budgets(table)])


def with_ranks(sets: pd.DataFrame) -> pd.DataFrame:
    """Add the mean of ranks over the sets, the default and the peers only."""
    peers = [name for name in sets.index if name == DEFAULT or name.startswith("peer:")]
    rank = sets.loc[peers].rank(ascending=False).mean(axis=1)
    found: pd.DataFrame = sets.round(3).assign(**{"mean rank": rank.round(2)}).sort_values("mean rank")
    return found


def intervals(series: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(0)

    def interval(values: pd.Series[float]) -> str:
        drawn = rng.choice(values.to_numpy(), (RESAMPLES, len(values))).mean(axis=1)
        low, high = np.quantile(drawn, (0.05, 0.95))
        return f"{low:.2f}-{high:.2f}"

    return series.groupby(["method", "set"])["vus_pr"].apply(interval).unstack()


def budgets(table: pd.DataFrame) -> Iterator[str]:
    """Asked against got, for the default."""
    yield "\nbudget: false alerts got, as a multiple of what was asked"
    for budget in BUDGETS:
        asked = 1 / 7 if "week" in budget else 1.0
        own = table[(table["method"] == DEFAULT) & (table["budget"] == budget.replace(" ", "-"))]
        for group, here in own.groupby("set"):
            ratio = here["false_alerts_per_day"] / asked
            yield (
                f"  {group} {budget}: median {ratio.median():.2f}, 90% of series <= {ratio.quantile(0.9):.2f}, "
                f"all <= {ratio.max():.2f}"
            )
