"""Isolation trees as flat arrays, walked in machine code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest  # whoever only walks the trees need not load what grows them

__all__ = ["Forest", "flatten", "grow", "score_forests"]

BLOCK = 256
"""Rows that go down a tree together."""
FEW = 8
"""So few go one by one: there the processor overlaps the trees."""


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

    @cached_property
    def walked(self) -> tuple[NDArray[Any], ...]:
        """The same trees as `_score` walks them: a leaf leads to itself, so that every walk has as many steps."""
        leaf = self.feature < 0
        itself = np.arange(len(leaf), dtype=np.int32)
        child = np.column_stack([np.where(leaf, itself, self.left), np.where(leaf, itself, self.right)]).ravel()
        threshold = self.threshold.astype(np.float32)
        # rounded down: no float32 lies between the two, so that every comparison comes out the same
        threshold = np.where(threshold > self.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        levels = _levels(self.left, self.right, self.roots)
        feature, child, roots = (a.astype(np.uint32) for a in (np.maximum(self.feature, 0), child, self.roots))
        return feature, threshold, child, self.depth, roots, levels, self.normal

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        return {f"trees.{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Forest:
        return cls(**{k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")})


def grow(samples: NDArray[np.float32], n_trees: int, max_samples: int, seed: int) -> Forest:
    """One forest for each block of `samples` ``(n_forests, n_rows, n_columns)``, grown by scikit-learn."""
    from sklearn.ensemble import IsolationForest

    size = min(max_samples, samples.shape[1])
    return flatten(
        [
            IsolationForest(n_estimators=n_trees, max_samples=size, random_state=seed + f).fit(rows)
            for f, rows in enumerate(samples)
        ]
    )


def flatten(forests: Sequence[IsolationForest]) -> Forest:
    """The same trees as arrays; every forest has as many."""
    from sklearn.ensemble._iforest import _average_path_length

    parts: list[list[NDArray[Any]]] = []
    roots, normal = [], []
    at = 0
    for forest in forests:
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
        normal.append(float(_average_path_length(np.array([forest.max_samples_]))[0]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    feature, threshold, left, right, depth = columns
    return Forest(feature, threshold, left, right, depth, np.array(roots, np.int32), np.array(normal))


@njit(cache=True, nogil=True)
def _score(
    x: NDArray[np.float32],
    feature: NDArray[np.uint32],
    threshold: NDArray[np.float32],
    child: NDArray[np.uint32],
    depth: NDArray[np.float64],
    roots: NDArray[np.uint32],
    levels: NDArray[np.int64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_forests, n_rows, _ = x.shape
    n_trees = roots.shape[1]
    out = np.zeros((n_rows, n_forests))
    at = np.empty(BLOCK, np.uint32)
    total = np.empty(BLOCK)
    for f in range(n_forests):
        scale = -1.0 / (n_trees * normal[f]) if normal[f] > 0 else 0.0
        if n_rows < FEW:
            for i in range(n_rows):
                sum_of_depths = 0.0
                for t in range(n_trees):
                    node = roots[f, t]
                    for _ in range(levels[f]):
                        node = child[2 * node + (x[f, i, feature[node]] > threshold[node])]
                    sum_of_depths += depth[node]
                out[i, f] = 2.0 ** (sum_of_depths * scale)
            continue
        for first in range(0, n_rows, BLOCK):
            size = min(BLOCK, n_rows - first)
            total[:size] = 0.0
            for t in range(n_trees):
                at[:size] = roots[f, t]
                # all rows of a block go down one tree together, a level at a time: the steps of different rows
                # do not wait for each other, and the tree stays in the cache
                for _ in range(levels[f]):
                    for i in range(size):
                        node = at[i]
                        at[i] = child[2 * node + (x[f, first + i, feature[node]] > threshold[node])]
                for i in range(size):
                    total[i] += depth[at[i]]
            for i in range(size):
                out[first + i, f] = 2.0 ** (total[i] * scale)
    return out


def score_forests(forest: Forest, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Isolation scores in (0, 1): ``(n_forests, n_rows, n_columns)`` -> ``(n_rows, n_forests)``."""
    scores: NDArray[np.float64] = _score(x, *forest.walked)
    return scores


def _levels(left: NDArray[np.int32], right: NDArray[np.int32], roots: NDArray[np.int32]) -> NDArray[np.int64]:
    """Steps from the root to the deepest leaf of each forest ``(n_forests,)``."""
    levels = np.zeros(len(roots), np.int64)
    for f, nodes in enumerate(roots):
        inner = nodes[left[nodes] >= 0]
        while len(inner):
            levels[f] += 1
            nodes = np.concatenate([left[inner], right[inner]])
            inner = nodes[left[nodes] >= 0]
    return levels
