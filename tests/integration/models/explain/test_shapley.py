"""The forest's attributions beside those that shap computes from its scores alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from foreshock_models.detectors import IForest
from foreshock_models.panel import Panel

N_FEATURES = 4


@pytest.fixture(scope="module")
def forest() -> IForest:
    return IForest(n_trees=10, short=2, long=6, smoothing=3).fit(rows(600, seed=1))


def rows(n: int, *, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    x: NDArray[np.float64] = np.sin(np.arange(n)[:, None] / (5 + np.arange(N_FEATURES))) + rng.normal(
        0, 0.2, (n, N_FEATURES)
    )
    return x


def stretches(x: NDArray[np.float64], ends: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """The rows that end at each of `ends`: ``(n, length, n_features)``."""
    return np.stack([x[end - length + 1 : end + 1] for end in ends])


def test_attributions_are_the_shapley_values_of_the_raw_score(forest: IForest) -> None:
    """shap swaps whole stretches of single features against those of other rows, and sees scores alone."""
    import shap

    length = forest.context + 1
    x = rows(300, seed=2)
    x[100:110, 1] += 3
    x[200:220, 3] -= 4
    explained = np.array([60, 104, 108, 150, 205, 215])
    background = np.arange(20, 290, 30)
    pool = np.concatenate([stretches(x, explained, length), stretches(x, background, length)])

    def score(chosen: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(n, n_features)`` numbers of the stretch that each feature is taken from -> raw scores ``(n,)``."""
        index = chosen.astype(int)
        mixed = np.stack([pool[index[:, j], :, j] for j in range(N_FEATURES)], axis=2)  # (n, length, F)
        n = len(mixed)
        panel = Panel(
            values=mixed.reshape(n * length, N_FEATURES),
            offsets=np.arange(n + 1) * length,
            entities=tuple(f"e{i}" for i in range(n)),
            features=forest.features_in_,
            timestamps=np.tile(np.arange(length) * 60_000, n).astype(np.int64),
            step=60.0,
        )
        raw: NDArray[np.float64] = forest.decision_function(panel)[length - 1 :: length]
        return raw

    players = np.repeat(np.arange(len(pool), dtype=float)[:, None], N_FEATURES, axis=1)
    split = len(explained)
    exact = shap.explainers.Exact(score, shap.maskers.Independent(players[split:], max_samples=100))
    values = exact(players[:split]).values
    found = forest.explain(
        Panel(
            values=pool[:split].reshape(-1, N_FEATURES),
            offsets=np.arange(split + 1) * length,
            entities=tuple(f"e{i}" for i in range(split)),
            features=forest.features_in_,
            timestamps=np.tile(np.arange(length) * 60_000, split).astype(np.int64),
            step=60.0,
        ),
        np.arange(length - 1, split * length, length),
        reweighted=False,
    )
    # what is taken as usual differs: here some rows, there the training rows. What a row adds to another does not
    np.testing.assert_allclose(found.attributions - found.attributions[0], values - values[0], atol=1e-9)
    np.testing.assert_allclose(found.additivity_error, 0.0, atol=1e-9)
    assert found.attributions[1].argmax() == 1
    assert found.attributions[4].argmax() == 3
