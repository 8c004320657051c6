"""Trees as flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from foreshock_models.detectors._trees import Forest, flatten, grow, score_forests
from foreshock_models.errors import ArtifactError
from foreshock_models.kernels.compiled.trees import BLOCK


@pytest.mark.parametrize("n_rows", [1, 6, BLOCK - 1, BLOCK, BLOCK + 3])
@pytest.mark.parametrize("max_samples", [2, 300])
def test_scores_are_scikit_learns(n_rows: int, max_samples: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    forest = IsolationForest(n_estimators=20, max_samples=max_samples, random_state=0).fit(x)
    rows = np.ascontiguousarray(x[:n_rows])
    found = score_forests(flatten([forest]), rows[None])
    np.testing.assert_allclose(found[:, 0], -forest.score_samples(rows), rtol=1e-12)


def test_a_row_on_a_threshold_goes_the_way_it_does_in_scikit_learn() -> None:
    x = np.arange(64, dtype=np.float32)[:, None]
    forest = IsolationForest(n_estimators=10, max_samples=64, random_state=1).fit(x)
    thresholds = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_])
    edges = thresholds.astype(np.float32)
    rows = np.concatenate([edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(0))])
    found = score_forests(flatten([forest]), rows[None, :, None])
    np.testing.assert_allclose(found[:, 0], -forest.score_samples(rows[:, None]), rtol=1e-12)


def test_forests_of_different_depths_and_a_forest_that_saw_one_value_score_as_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 300, 2)).astype(np.float32)
    x[1] = 1.0
    forests = [
        IsolationForest(n_estimators=8, max_samples=size, random_state=0).fit(rows)
        for size, rows in zip((256, 256, 5), x, strict=True)
    ]
    together = score_forests(flatten(forests), x)
    for f, forest in enumerate(forests):
        np.testing.assert_allclose(together[:, f], -forest.score_samples(x[f]), rtol=1e-12)


def test_more_columns_than_a_byte_counts_are_told_apart() -> None:
    x = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)
    forest = IsolationForest(n_estimators=20, random_state=0).fit(x)
    found = score_forests(flatten([forest]), x[None])
    np.testing.assert_allclose(found[:, 0], -forest.score_samples(x), rtol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"left": lambda left, _: np.where(left == left[left >= 0][0], 0, left)},  # a circle
        {"left": lambda left, right: np.where(left >= 0, right, left)},  # two parents: 2 ** depth walks
        {"right": lambda right, _: np.where(right >= 0, len(right) + 7, right)},  # outside
        {"roots": lambda roots, _: roots - 1},
        {"depth": lambda depth, _: depth[:-1]},
    ],
)
def test_saved_nodes_that_are_no_trees_are_damage(wrong: dict[str, Any]) -> None:
    samples = np.random.default_rng(0).normal(size=(1, 64, 2)).astype(np.float32)
    arrays = dict(grow(samples, 3, 64, 0).to_arrays())
    assert Forest.from_arrays(arrays).roots.shape == (1, 3)
    ((name, change),) = wrong.items()
    arrays[f"trees.{name}"] = change(arrays[f"trees.{name}"], arrays["trees.right"]).astype(np.int32)
    with pytest.raises(ArtifactError, match="damaged"):
        Forest.from_arrays(arrays)
