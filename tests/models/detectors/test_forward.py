"""The networks' passes in machine code are those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foreshock_models.detectors import LSTM, VAE
from foreshock_models.detectors._forward import BLOCK
from foreshock_models.detectors._network import NetworkDetector
from foreshock_models.detectors._windows import Stacked
from foreshock_models.panel import Panel


def rows_of(n: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) + 20.0 * (rng.random((n, 3)) < 0.02)  # far ones too, where gates are shut


@pytest.mark.parametrize("kind", [LSTM, VAE])
def test_a_pass_in_machine_code_is_that_of_torch(kind: type[LSTM | VAE]) -> None:
    """Over entities that are shorter than a window, and more windows than go through together."""
    model: NetworkDetector = kind(epochs=2).fit(rows_of(300))
    panel = Panel.of(
        rows_of(2 * BLOCK + 9, 1), entities=["a"] * 3 + ["b"] * (2 * BLOCK + 6), features=model.features_in_
    )
    x, _ = model._inputs(panel)
    windows, rows = Stacked(x, panel, model._span), np.arange(panel.n_rows)
    with torch.inference_mode():
        expected = model._predict(torch.from_numpy(windows[rows])).numpy()
    np.testing.assert_allclose(model._predict_rows(windows, rows), expected, atol=2e-6)


def test_weights_that_change_change_the_pass() -> None:
    """Training goes on after a look at the scores."""
    model = LSTM(epochs=1).fit(rows_of(300))
    before = model.decision_function(rows_of(60))
    with torch.no_grad():
        model.net_.head.bias.add_(1.0)
    assert (model.decision_function(rows_of(60)) != before).any()
