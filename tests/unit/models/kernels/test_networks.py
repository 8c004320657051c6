"""The networks forward and backward, and the raw score of residuals, as the reference has them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.models.kernels.inputs import Blocks, blocks, choices, seeds

from foreshock_models.kernels.compiled import lstm as compiled_lstm
from foreshock_models.kernels.compiled import residuals as compiled
from foreshock_models.kernels.compiled import vae as compiled_vae
from foreshock_models.kernels.reference import lstm as reference_lstm
from foreshock_models.kernels.reference import residuals as reference
from foreshock_models.kernels.reference import vae as reference_vae

F, SPAN, STEPS = 3, 6, 4
NETWORKS = {"lstm": (compiled_lstm, reference_lstm), "vae": (compiled_vae, reference_vae)}


def weights_of(name: str, seed: int) -> tuple[Any, ...]:
    """Weights as the kernels of that network take them, small enough for gates to be open."""
    rng = np.random.default_rng(seed)

    def of(*shape: int) -> np.ndarray:
        return (0.4 * rng.normal(size=shape)).astype(np.float32)

    if name == "lstm":
        h = 5
        return STEPS, (of(F + h, 4 * h), of(4 * h), of(F, h), of(F), rng.random(F).astype(np.float32))
    h, latent = 7, 2
    layers = of(h, SPAN * F), of(h, h), of(latent, h), of(h, latent), of(F, h)
    return layers, tuple(of(len(layer)) for layer in layers)


@pytest.mark.parametrize("name", NETWORKS)
@settings(deadline=None, max_examples=40)
@given(st.data(), blocks())
def test_predictions_and_raw_scores_are_those_of_the_reference(
    name: str, data: st.DataObject, rows: Blocks
) -> None:
    one, other = NETWORKS[name]
    rng = np.random.default_rng(data.draw(seeds))
    inputs = (
        rows.values, rows.offsets, rng.integers(0, 2, rows.n_entities), rng.normal(size=(2, F)),
        rng.uniform(0.2, 2.0, (2, F)), data.draw(choices(rows)), data.draw(st.integers(1, 5)), SPAN,
    )  # fmt: skip
    weights, usual = weights_of(name, data.draw(seeds)), rng.uniform(0.2, 1.0, F)
    for found, expected in zip(compiled.prepare(*inputs), reference.prepare(*inputs), strict=True):
        np.testing.assert_array_equal(found, expected)
    x, _, needed, starts, _, _ = compiled.prepare(*inputs)
    found, expected = (network.predict(x, starts, needed, SPAN, *weights) for network in (one, other))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found, expected = (network.raw_scores(inputs, usual, *weights) for network in (one, other))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
@settings(deadline=None, max_examples=25)
@given(st.integers(1, 70), seeds)
def test_gradients_are_the_differences_of_the_reference(name: str, n: int, seed: int) -> None:
    """Away from the kinks of the excess, where no gradient exists."""
    one, other = NETWORKS[name]
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(n, SPAN, F)).astype(np.float32)
    weights, usual = rng.random((n, F)).astype(np.float32), rng.uniform(0.05, 0.1, F).astype(np.float32)
    network = weights_of(name, seed)
    smooth = _away_from_kinks(other, windows, usual, network)
    found, expected = (module.gradients(windows, weights, usual, *network) for module in (one, other))
    np.testing.assert_allclose(found[smooth], expected[smooth], rtol=1e-3, atol=1e-3)


def _away_from_kinks(reference: ModuleType, windows: np.ndarray, usual: np.ndarray, network: Any) -> np.ndarray:
    """Which windows have no residual near 0, its usual size, or the largest that counts."""
    n = len(windows)
    starts = np.arange(n) * SPAN
    predicted = reference.predict(windows.reshape(-1, F), starts, starts + SPAN - 1, SPAN, *network)
    part = np.abs(windows[:, -1] - predicted) / usual
    kinks = np.array([0.0, 1.0, 9.0])
    return (np.abs(part[:, :, None] - kinks) > 1e-3).all(axis=(1, 2))
