"""Isolation trees as flat arrays, walked in machine code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.ensemble._iforest import _average_path_length

__all__ = ["Forest", "grow", "score_forests"]


@dataclass(frozen=True)
class Forest:
    """Several isolation forests, their nodes in common arrays.

    Attributes
    ----------
    feature, threshold, left, right : ``(n_nodes,)``; a leaf has ``feature`` -1
    depth : ``(n_nodes,)`` path length at a leaf, the expected rest of it included
    roots : ``(n_forests, n_trees)`` node number of each root
    normal : ``(n_forests,)`` average path length that scores 0.5
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    depth: NDArray[np.float64]
    roots: NDArray[np.int32]
    normal: NDArray[np.float64]

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        return {f"trees.{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Forest:
        return cls(**{k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")})


def grow(samples: NDArray[np.float32], n_trees: int, max_samples: int, seed: int) -> Forest:
    """One forest for each block of `samples` ``(n_forests, n_rows, n_columns)``, grown by scikit-learn."""
    parts: list[list[NDArray[Any]]] = []
    roots, normal = [], []
    at = 0
    for f, rows in enumerate(samples):
        size = min(max_samples, len(rows))
        forest = IsolationForest(n_estimators=n_trees, max_samples=size, random_state=seed + f).fit(rows)
        starts = []
        for estimator, depths, lengths in zip(
            forest.estimators_,
            forest._decision_path_lengths,
            forest._average_path_length_per_tree,
            strict=True,
        ):
            tree = estimator.tree_
            leaf = tree.children_left < 0
            parts.append(
                [
                    np.where(leaf, -1, tree.feature).astype(np.int32),
                    tree.threshold.astype(np.float64),
                    np.where(leaf, -1, tree.children_left + at).astype(np.int32),
                    np.where(leaf, -1, tree.children_right + at).astype(np.int32),
                    (depths + lengths - 1.0).astype(np.float64),
                ]
            )
            starts.append(at)
            at += tree.node_count
        roots.append(starts)
        normal.append(float(_average_path_length(np.array([size]))[0]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    feature, threshold, left, right, depth = columns
    return Forest(feature, threshold, left, right, depth, np.array(roots, np.int32), np.array(normal))


@njit(cache=True, nogil=True)
def _score(
    x: NDArray[np.float32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    depth: NDArray[np.float64],
    roots: NDArray[np.int32],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_forests, n_rows, _ = x.shape
    n_trees = roots.shape[1]
    out = np.empty((n_rows, n_forests))
    for f in range(n_forests):
        scale = -1.0 / (n_trees * normal[f]) if normal[f] > 0 else 0.0
        for i in range(n_rows):
            total = 0.0
            for t in range(n_trees):
                node = roots[f, t]
                while feature[node] >= 0:
                    node = left[node] if x[f, i, feature[node]] <= threshold[node] else right[node]
                total += depth[node]
            out[i, f] = 2.0 ** (total * scale)
    return out


def score_forests(forest: Forest, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Isolation scores in (0, 1): ``(n_forests, n_rows, n_columns)`` -> ``(n_rows, n_forests)``."""
    scores: NDArray[np.float64] = _score(x, **vars(forest))
    return scores
