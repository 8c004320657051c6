"""Our scores of one series: the default ensemble, and detectors alone, under each budget."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tests.bench.quality_series import Series, features_of, panel_of, step_of

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, Ensemble, make
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_pipelines.scoring.causes import usual_values

BUDGETS = ("1 per week", "1 per day")
RESOLVE_AFTER = 600.0
ALONE = ("iforest", "lstm", "vae")
"""Detectors that have a counterpart among the peers: judged alone where they are no member, too."""
EXPLAINED_EVERY, MOST_EXPLAINED = 5, 2000

File = Callable[[str, str], Path]
"""Path of the scores of a method under a budget: ``(method, budget) -> path``."""


def score(series: Series, seed: int, file: File) -> None:
    train, test = series.parts()
    step = step_of(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ensemble = Ensemble(random_state=seed).fit(panel_of(train, step))
        detectors: dict[str, Detector] = {**ensemble.members_}
        for name in ALONE:
            if name not in detectors:
                detectors[name] = make(name, random_state=seed).fit(panel_of(train, step))
    for name, detector in detectors.items():
        write(file(name, BUDGETS[0]), *of_test(detector, train, test, step, BUDGETS[0])[:2], None)
    for budget in BUDGETS:
        scores, alert, rows, skip = of_test(ensemble, train, test, step, budget)
        top = causes(ensemble, rows, alert, skip) if len(features_of(train)) > 1 else None
        write(file("ensemble", budget), scores, alert, top)


def of_test(
    detector: Detector, train: pd.DataFrame, test: pd.DataFrame, step: float, budget: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], Panel, int]:
    """Scores of the test rows, alerts, the rows with those before them, and how many are before them."""
    context = train.iloc[-detector.context :]  # a live scorer has them at hand
    rows = panel_of(pd.concat([context, test]), step)
    detector.recalibrate(Budget.parse(budget))
    scores = detector.score(rows, since=int(rows.timestamps[len(context)]))
    return scores.score, open_alerts(scores.score, panel_of(test, step), ~scores.warming), rows, len(context)


def open_alerts(
    score: NDArray[np.float64], panel: Panel, permitted: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Rows at which an alert is open, by the default policy (3 of 5, resolved after 10 min).

    ``permitted`` ``(n_rows,)``: rows that may alert, as those that are warming up may not; default: all.
    """
    allowed = np.ones(len(score), np.bool_) if permitted is None else permitted
    state = Policy(resolve_after=RESOLVE_AFTER).apply(panel, score, allowed).entity_state
    return np.isin(state, (EntityState.OPENED, EntityState.ANOMALOUS, EntityState.QUIET))


def causes(detector: Detector, rows: Panel, alert: NDArray[np.bool_], skip: int) -> list[list[str] | None]:
    """For rows in alert, the metrics by attribution: explained as an alert opens and every 5 rows after.

    As in an alert, a metric whose values are usual is no cause.
    """
    top: list[list[str] | None] = [None] * len(alert)
    begins = np.flatnonzero(np.diff(np.r_[0, alert.astype(int)]) == 1)
    ends = np.flatnonzero(np.diff(np.r_[alert.astype(int), 0]) == -1) + 1
    runs = [np.arange(a, b, EXPLAINED_EVERY) for a, b in zip(begins, ends, strict=True)]
    chosen = np.concatenate(runs or [np.zeros(0, int)])[:MOST_EXPLAINED]
    if len(chosen) == 0:
        return top
    attributions = detector.explain(rows, chosen + skip).attributions
    usual = usual_values(rows, detector, chosen + skip, Policy().of)
    attributions = np.where(usual & ~usual.all(axis=1, keepdims=True), -np.inf, attributions)
    names = np.array(detector.features_in_)
    at = np.searchsorted(chosen, np.flatnonzero(alert), side="right") - 1
    ranked = [
        names[order][np.isfinite(values[order])].tolist()
        for values, order in zip(attributions, np.argsort(-attributions, axis=1, kind="stable"), strict=True)
    ]
    for row, k in zip(np.flatnonzero(alert), at, strict=True):
        top[row] = ranked[k]
    return top


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
