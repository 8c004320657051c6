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

__all__ = ["BLOCK", "Forest", "add_depths", "flatten", "grow", "score_forests"]

BLOCK = 256
"""Rows that go down a tree together."""


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
        """The same trees as `add_depths` walks them, each filled up to a whole binary tree of all `levels`.

        The children of the node at place ``i`` stand at ``2 i`` and ``2 i + 1``, the root at 1: where to go next is
        computed, not looked up. Below a leaf nothing is greater than the threshold, and all places at the bottom
        that can be reached have the leaf's depth. A column is named in as few
        bytes as will do: what is not in the cache takes longest.
        """
        levels = _levels(self.left, self.right, self.roots)
        deepest = int(levels.max(initial=0))
        threshold = self.threshold.astype(np.float32)
        # rounded down: no float32 lies between the two, so that every comparison comes out the same
        threshold = np.where(threshold > self.threshold, np.nextafter(threshold, np.float32(-np.inf)), threshold)
        here = self.roots.reshape(-1, 1)  # (n_trees of all forests, places on this level): which node is there
        thresholds = np.full((len(here), 1 << deepest), np.inf, np.float32)
        features = np.zeros(thresholds.shape, np.min_scalar_type(int(self.feature.max(initial=0))))
        for level in range(deepest):
            places = slice(1 << level, 2 << level)
            leaf = self.feature[here] < 0
            thresholds[:, places] = np.where(leaf, np.inf, threshold[here])
            features[:, places] = np.where(leaf, 0, self.feature[here])
            below = [np.where(leaf, here, child[here]) for child in (self.left, self.right)]
            here = np.stack(below, axis=2).reshape(len(here), -1)
        return thresholds, features, self.depth[here], levels, self.normal

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
def add_depths(
    rows: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: int,
    total: NDArray[np.float64],
) -> None:
    """Add the path lengths of a block of `rows` ``(n, n_columns)`` in the trees of one forest to `total` ``(n,)``.

    The trees are as `Forest.walked` has them. All rows go down one tree together, a level at a time: the steps of
    different rows do not wait for each other, and the tree stays in the cache.
    """
    width = np.uint32(rows.shape[1])
    values = rows.ravel()
    places = depth.shape[1]
    # a forest that is less deep than others has its leaves where the left turns from there lead to
    further = places >> levels
    at = np.empty(len(rows), np.uint32)
    for t in range(len(threshold)):
        limit, column, bottom = threshold[t], feature[t], depth[t]
        at[:] = np.uint32(1)
        if levels > 0:  # all stand at the root
            first, root = column[1], limit[1]
            for i in range(len(rows)):
                at[i] = np.uint32(2) + np.uint32(values[np.uint32(i) * width + first] > root)
        for level in range(1, levels, 2):
            if level + 1 < levels:  # two at a time, which halves what is read and written between
                for i in range(len(rows)):
                    node, row = at[i], np.uint32(i) * width
                    node = node + node + np.uint32(values[row + column[node]] > limit[node])
                    at[i] = node + node + np.uint32(values[row + column[node]] > limit[node])
            else:
                for i in range(len(rows)):
                    node = at[i]
                    at[i] = node + node + np.uint32(values[np.uint32(i) * width + column[node]] > limit[node])
        for i in range(len(rows)):
            total[i] += bottom[at[i] * further - places]


@njit(cache=True, nogil=True)
def _score(
    x: NDArray[np.float32],
    threshold: NDArray[np.float32],
    feature: NDArray[np.uint8],
    depth: NDArray[np.float64],
    levels: NDArray[np.int64],
    normal: NDArray[np.float64],
) -> NDArray[np.float64]:
    n_forests, n_rows, _ = x.shape
    n_trees = len(threshold) // n_forests
    out = np.zeros((n_rows, n_forests))
    total = np.empty(BLOCK)
    for f in range(n_forests):
        scale = -1.0 / (n_trees * normal[f]) if normal[f] > 0 else 0.0
        trees = slice(f * n_trees, (f + 1) * n_trees)
        for first in range(0, n_rows, BLOCK):
            rows = x[f, first : first + BLOCK]
            total[:] = 0.0
            add_depths(rows, threshold[trees], feature[trees], depth[trees], levels[f], total)
            for i in range(len(rows)):
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
