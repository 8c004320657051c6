"""Isolation forests as flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import ArtifactError
from foreshock_models.kernels.compiled.trees import isolation_scores

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest  # scoring needs no scikit-learn

__all__ = ["Forest", "flatten", "grow", "score_forests"]


KINDS = {"threshold": np.float64, "depth": np.float64, "normal": np.float64} | {
    name: np.int32 for name in ("feature", "left", "right", "roots")
}
"""Types of the arrays of a `Forest`."""
DEEPEST = 20
"""Levels of the deepest tree that is loaded; one grown on 256 rows has 8."""


@dataclass(frozen=True)
class Forest:
    """Several isolation forests, their nodes in common arrays.

    Parameters
    ----------
    feature, threshold, left, right
        ``(n_nodes,)``; a leaf has ``feature`` -1.
    depth
        ``(n_nodes,)``: path length at a leaf, including its expected remainder.
    roots
        ``(n_forests, n_trees)``: number of each root node.
    normal
        ``(n_forests,)``: mean path length that scores 0.5.
    """

    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    depth: NDArray[np.float64]
    roots: NDArray[np.int32]
    normal: NDArray[np.float64]

    @cached_property
    def complete(self) -> tuple[NDArray[Any], ...]:
        """The trees as kernels take them, each padded to a complete binary tree of all `levels`.

        The children of the node at place ``i`` are at ``2 i`` and ``2 i + 1``, the root is at 1: the next node
        is computed, not looked up. Below a leaf nothing exceeds the threshold, and all places on the deepest
        level that can be reached have the depth of the leaf. Features are stored in as few bytes as possible, so
        that more of a tree fits into the cache.
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
        """Return arrays for `from_arrays`."""
        return {f"trees.{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Forest:
        """Restore forests from `to_arrays`.

        Raises
        ------
        ArtifactError
            The arrays are not trees: a walk down them would not end, or would leave them.
        """
        try:
            forest = cls(**{f.name: arrays[f"trees.{f.name}"] for f in fields(cls)})
        except KeyError as exc:
            raise ArtifactError(f"the saved trees are damaged: {exc.args[0]} is missing") from exc
        if not forest._is_sound():
            raise ArtifactError("the saved trees are damaged: their nodes do not form trees")
        return forest

    def _is_sound(self) -> bool:
        """Each child comes after its only parent, and no leaf is deeper than `DEEPEST` levels."""
        n = len(self.feature)
        if (
            any(a.shape != (n,) for a in (self.threshold, self.left, self.right, self.depth))
            or any(getattr(self, name).dtype != kind for name, kind in KINDS.items())
            or self.roots.ndim != 2
        ):
            return False
        (inner,) = np.nonzero(self.left >= 0)
        children = np.concatenate([self.left[inner], self.right[inner]])
        return bool(
            np.array_equal(self.feature >= 0, self.left >= 0)
            and (children > np.tile(inner, 2)).all()
            and (children < n).all()
            and len(np.unique(children)) == len(children)
            and len(self.normal) == len(self.roots)
            and ((self.roots >= 0) & (self.roots < n)).all()
            and _levels(self.left, self.right, self.roots).max(initial=0) <= DEEPEST
        )


def grow(samples: NDArray[np.float32], n_trees: int, max_samples: int, seed: int) -> Forest:
    """Grow one forest for each block of `samples` ``(n_forests, n_rows, n_columns)`` with scikit-learn."""
    from sklearn.ensemble import IsolationForest

    size = min(max_samples, samples.shape[1])
    return flatten(
        [
            IsolationForest(n_estimators=n_trees, max_samples=size, random_state=seed + f).fit(rows)
            for f, rows in enumerate(samples)
        ]
    )


def flatten(forests: Sequence[IsolationForest]) -> Forest:
    """Return forests of scikit-learn, all with the same number of trees, as arrays."""
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


def score_forests(forest: Forest, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return isolation scores in (0, 1): ``(n_forests, n_rows, n_columns)`` -> ``(n_rows, n_forests)``."""
    scores: NDArray[np.float64] = isolation_scores(x, *forest.complete)
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
