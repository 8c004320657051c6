"""Row 6: attributions of one row by each detector, beside shap's KernelExplainer on the same score."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator

import numpy as np
import shap
import torch
from numpy.typing import NDArray
from tests.bench.harness import Row, Size, at_least, seconds
from tests.bench.inputs import fleet

from foreshock_models.detectors import LSTM, VAE, Detector, Ensemble, IForest
from foreshock_models.panel import Panel

__all__ = ["rows"]

SAMPLES = 2**8
"""Coalitions that KernelExplainer looks at: all there are of eight features, so that it adds up exactly."""
BACKGROUND = 16


def rows(size: Size) -> Iterator[Row]:
    torch.set_num_threads(1)
    panel = fleet(4, 3, incidents=3).to_panel()
    members: dict[str, Detector] = {"iforest": IForest(), "lstm": LSTM(epochs=2), "vae": VAE(epochs=2)}
    ensemble = Ensemble(members).fit(panel)
    rng = np.random.default_rng(0)
    worst = np.argsort(-ensemble.decision_scores_)[:200]
    asked = rng.choice(worst, size=size.of(40, 10), replace=False)
    for name, model in {**members, "ensemble": ensemble}.items():
        _timed(model, panel, int(asked[0]))
        ours = [_timed(model, panel, int(row)) for row in asked]
        p50, p95 = np.quantile([wall for wall, _, _ in ours], [0.5, 0.95])
        error = float(np.median([e for _, _, e in ours]))
        peers = [_peer(model, panel, int(row)) for row in asked[: size.of(4, 2)]]
        theirs = float(np.median([took for took, _ in peers]))
        ratio = theirs / float(np.median([cpu for _, cpu, _ in ours]))
        goal, met = at_least(50.0, ratio)
        yield Row(
            f"explain: {name}, one row, p50 / p95", f"{seconds(p50)} / {seconds(p95)}",
            f"KernelExplainer {seconds(theirs)}", ratio, f"{goal}, p95 < 100 ms", met and bool(p95 < 0.1),
            {"p50_s": p50, "p95_s": p95, "peer_s": theirs, "additivity_error": error,
             "peer_additivity_error": float(np.median([e for _, e in peers]))},
        )  # fmt: skip


def _timed(model: Detector, panel: Panel, row: int) -> tuple[float, float, float]:
    """Seconds for one row with its context, by clock and by processor, and the error as a share of the score."""
    part, at = _with_context(model, panel, row)
    began, busy = time.perf_counter(), time.process_time()
    found = model.explain(part, [at])
    took, busy = time.perf_counter() - began, time.process_time() - busy
    return took, busy, float(found.additivity_error[0] / max(abs(found.raw[0]), 1e-9))


def _peer(model: Detector, panel: Panel, row: int) -> tuple[float, float]:
    """The same row by KernelExplainer: a feature is present or not over the whole window."""
    part, at = _with_context(model, panel, row)
    rng = np.random.default_rng(0)
    starts = rng.choice(panel.n_rows // panel.n_entities - part.n_rows, size=BACKGROUND)
    usual = [np.nan_to_num(panel.values[s : s + part.n_rows]) for s in starts]
    window = np.nan_to_num(part.values)

    def score(masks: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, F)``: which features are the row's own (1), or number ``-i`` of the background."""
        blocks = [np.where(mask > 0, window, usual[int(-mask.min())]) for mask in masks]
        n = len(blocks)
        many = Panel(
            np.concatenate(blocks), np.arange(n + 1) * part.n_rows, tuple(map(str, range(n))), part.features,
            np.tile(part.timestamps, n), part.step,
        )  # fmt: skip
        rows_asked = np.arange(n) * part.n_rows + at
        return model.scorer_.score(many, rows_asked)

    background = -np.repeat(np.arange(BACKGROUND)[:, None], panel.n_features, axis=1).astype(float)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = shap.KernelExplainer(score, background)
        one = np.ones((1, panel.n_features))
        values = explainer.shap_values(one, nsamples=SAMPLES, silent=True, l1_reg=0)
    took = time.process_time() - began
    raw = float(score(one)[0])
    return took, abs(float(explainer.expected_value + values.sum()) - raw) / max(abs(raw), 1e-9)


def _with_context(model: Detector, panel: Panel, row: int) -> tuple[Panel, int]:
    first = max(row - model.context, int(panel.offsets[panel.codes[row]]))
    return panel.rows(first, row + 1), row - first
