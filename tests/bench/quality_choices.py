"""Defaults that are choices: each value judged on every set, and the value that each set's absence would choose.

One value of one choice is changed at a time, all others stay at their defaults. A value is judged by the mean, over
sets, of its VUS-PR as a share of that of the default. What a set's absence chooses is the best value on the others;
what it costs on the set left out is measured there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
from tests.bench.quality_ours import BUDGETS, of_test, write
from tests.bench.quality_series import Series, features_of, panel_of, step_of

from foreshock_models.detectors import Ensemble, default_detectors, ensemble, make

Value = Mapping[str, Any]
"""``members``, ``weights``, or parameters by detector."""
SEVERAL, ONE = "several features", "one feature"
DEFAULT = "default"
CHOICES: dict[str, dict[str, Value]] = {
    "members, several features": {
        "without iforest": {"members": ("lstm", "vae", "covariance")},
        "without lstm": {"members": ("iforest", "vae", "covariance")},
        "without vae": {"members": ("iforest", "lstm", "covariance")},
        "without covariance": {"members": ("iforest", "lstm", "vae")},
    },
    "members, one feature": {
        "covariance alone": {"members": ("covariance",)},
        "with discord": {"members": ("iforest", "covariance", "discord")},
        "with vae": {"members": ("iforest", "vae", "covariance")},
        "before: iforest, subspace, discord": {"members": ("iforest", "subspace", "discord")},
    },
    "weight of covariance": {"1": {"weights": 1.0}, "2": {"weights": 2.0}, "5": {"weights": 5.0}},
    "scales of covariance": {
        "5": {"covariance": {"scales": 5}},
        "6": {"covariance": {"scales": 6}},
        "8": {"covariance": {"scales": 8}},
    },
    "memory of covariance": {
        "128": {"covariance": {"memory": 128}},
        "512": {"covariance": {"memory": 512}},
    },
    "ridge of covariance": {"0.03": {"covariance": {"ridge": 0.03}}, "0.3": {"covariance": {"ridge": 0.3}}},
    "windows of iforest": {
        "3, 30, 3": {"iforest": {"short": 3, "long": 30, "smoothing": 3}},
        "15, 200, 30": {"iforest": {"short": 15, "long": 200, "smoothing": 30}},
    },
}


def values() -> Iterator[str]:
    """Names of all values: ``choice=value``; the default once."""
    yield DEFAULT
    for choice, found in CHOICES.items():
        yield from (f"{choice}={value}" for value in found)


def concerns(method: str, series: Series) -> bool:
    """Whether a value changes anything for this series."""
    one = len(features_of(series.parts()[0])) == 1
    return (SEVERAL not in method or not one) and (ONE not in method or one)


def score(name: str, series: Series, file: Path) -> None:
    choice, _, label = name.partition("=")
    value: Value = CHOICES[choice][label] if label else {}
    train, test = series.parts()
    step = step_of(train)
    names = value.get("members", default_detectors(len(features_of(train))))
    members = {member: make(member, random_state=0, **value.get(member, {})) for member in names}
    weights = {**ensemble.WEIGHTS, "covariance": value.get("weights", ensemble.WEIGHTS["covariance"])}
    with warnings.catch_warnings(), patch.object(ensemble, "WEIGHTS", weights):
        warnings.simplefilter("ignore")
        fitted = Ensemble(members).fit(panel_of(train, step))
        scores, alert, _, _ = of_test(fitted, train, test, step, BUDGETS[0])
    write(file, scores, alert, None)


def report(table: pd.DataFrame) -> str:
    """One table for each choice: values by set, and what each set's absence chooses."""
    table = table.dropna(subset=["vus_pr"])
    means = table.groupby(["method", "set"])["vus_pr"].mean().unstack()
    means.index = means.index.str.removeprefix("choice:")
    lines = []
    for choice in CHOICES:
        here = means[means.index.str.startswith(f"{choice}=")].rename(lambda name: name.partition("=")[2])
        here = pd.concat([means.loc[[DEFAULT]], here])
        here = here.loc[:, here.iloc[1:].notna().any()]
        lines += [f"\n{choice}", here.round(3).to_string(), *left_out(here)]
    return "\n".join(lines)


def left_out(values: pd.DataFrame) -> Iterator[str]:
    share = values / values.loc[DEFAULT]
    for group in values.columns:
        others = share.drop(columns=group).mean(axis=1)
        best = str(others.idxmax())
        gain = values.loc[best, group] - values.loc[DEFAULT, group]
        yield f"  without {group}: {best} ({others[best] - 1:+.1%} on the others), {gain:+.3f} on {group}"
