"""The networks in machine code, forward and back, are those of torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foreshock_models.artifacts import save
from foreshock_models.detectors import LSTM, VAE, Ensemble, IForest, NetworkDetector
from foreshock_models.detectors._torch_nets import Net
from foreshock_models.detectors._windows import row_starts
from foreshock_models.errors import ArtifactError
from foreshock_models.kernels.compiled.lstm import BLOCK, GRADIENT_BLOCK
from foreshock_models.kernels.constants import MAX_EXCESS
from foreshock_models.panel import Panel

DETECTORS = [
    LSTM(epochs=2),
    LSTM(epochs=1, window=1, hidden=5, horizon=60.0, smoothing=1),
    VAE(epochs=2),
    VAE(epochs=1, window=2, hidden=7, latent=1, smoothing=20),
]


def rows_of(n: int, seed: int = 0, n_features: int = 3) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    size = (n, n_features)
    return rng.normal(size=size) + 20.0 * (rng.random(size) < 0.02)  # far ones too, where gates are shut


def in_torch(model: NetworkDetector) -> Net:
    net = model.scorer_.architecture.build()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in model.scorer_.weights.items()})
    return net.eval()


@pytest.mark.parametrize("detector", DETECTORS, ids=str)
def test_a_pass_in_machine_code_is_that_of_torch(detector: NetworkDetector) -> None:
    """Over entities that are shorter than a window, and more windows than go through together."""
    model = detector.fit(rows_of(300))
    panel = Panel.of(
        rows_of(2 * BLOCK + 9, 1), entities=["a"] * 3 + ["b"] * (2 * BLOCK + 6), features=model.features_in_
    )
    scorer = model.scorer_
    x, _ = scorer._inputs(panel)
    starts, rows = row_starts(panel), np.arange(panel.n_rows)
    expected = scorer.predict_on(torch.device("cpu"), x, starts, rows)
    np.testing.assert_allclose(scorer.architecture.predict(scorer.packed, x, starts, rows), expected, atol=2e-6)


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("detector", DETECTORS, ids=str)
def test_gradients_in_machine_code_are_those_of_torch(detector: NetworkDetector, n_features: int) -> None:
    """Where parts are none, between, and at their limit; over more windows than go through together."""
    model = detector.fit(rows_of(300, n_features=n_features))
    rng = np.random.default_rng(1)
    shape = (2 * GRADIENT_BLOCK + 9, model.scorer_.architecture.span, n_features)
    windows = (rng.normal(size=shape) * rng.choice([0.3, 2.0], size=(shape[0], 1, 1))).astype(np.float32)
    weights = rng.random((shape[0], n_features)).astype(np.float32)
    usual = model.scorer_.usual.astype(np.float32)
    way = torch.from_numpy(windows).requires_grad_(True)
    residual = (way[:, -1] - in_torch(model).predict(way)).abs() / torch.from_numpy(usual)
    parts = (residual - 1.0).clamp(0.0, MAX_EXCESS)
    (expected,) = torch.autograd.grad((parts * torch.from_numpy(weights)).sum(), way)
    found = model.scorer_.architecture.gradients(model.scorer_.packed, windows, weights, usual)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    np.testing.assert_allclose(
        model.scorer_.excess_of(windows, usual), parts.detach().numpy(), atol=1e-5 * MAX_EXCESS
    )


def test_scores_between_epochs_are_those_of_the_weights_as_they_stand() -> None:
    seen = []
    model = LSTM(epochs=3, patience=3)
    model.on_epoch = lambda _, settle: seen.append(settle().decision_function(rows_of(60)))
    model.features_in_ = ("feature_0", "feature_1", "feature_2")
    model.fit(rows_of(300))
    assert len({values.tobytes() for values in seen}) == len(seen) == 3


def test_weights_that_do_not_fit_are_refused() -> None:
    """Machine code would read beyond them."""
    model = VAE(epochs=1).fit(rows_of(300))
    values, arrays = model.scorer_.to_arrays()
    for changed in ({"net.mean.bias": np.zeros(1, np.float32)}, {"net.more": np.zeros(1, np.float32)}):
        with pytest.raises(ArtifactError, match="damaged"):
            VAE(epochs=1)._load_scorer(values, {**arrays, **changed})


def test_who_loads_scores_and_explains_a_model_loads_nothing_that_trains(tmp_path: Path) -> None:
    x = rows_of(300)
    members = {"iforest": IForest(n_trees=5), "lstm": LSTM(epochs=1), "vae": VAE(epochs=1)}
    save(Ensemble(members).fit(x), tmp_path / "model")
    np.save(tmp_path / "rows.npy", x)
    code = f"""
import sys
import numpy as np
from foreshock_models.artifacts import load
model, x = load({str(tmp_path / "model")!r}), np.load({str(tmp_path / "rows.npy")!r})
assert np.isfinite(model.score(x).score).all()
assert np.isfinite(model.explain(x, [200, 299]).attributions).all()
loaded = {{"torch", "sklearn", "pyod", "shap", "pandas"}} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)
