"""Networks on a GPU give what they give on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foreshock_models.detectors import LSTM, VAE, NetworkDetector

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
KINDS = [LSTM, VAE]


@pytest.fixture(scope="module")
def rows() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.sin(np.arange(3000) / 40)[:, None] + rng.normal(0, 0.1, (3000, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_the_cpu_scores_the_same_on_a_gpu(
    kind: type[NetworkDetector], rows: NDArray[np.float64]
) -> None:
    detector = kind(epochs=2, device="cpu").fit(rows)
    before = detector.decision_function(rows)
    detector.scorer_.device = "cuda"
    np.testing.assert_allclose(detector.decision_function(rows), before, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_a_gpu_goes_the_same_way(kind: type[NetworkDetector], rows: NDArray[np.float64]) -> None:
    here, there = (kind(epochs=2, device=device).fit(rows) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there.losses_, here.losses_, rtol=1e-4)
