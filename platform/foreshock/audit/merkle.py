"""Merkle trees as RFC 9162, section 2.1, has them, with SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = [
    "EMPTY", "append", "consistency_proof", "inclusion_proof", "leaf_hash", "root_of", "tree_hash",
    "verify_consistency", "verify_inclusion",
]  # fmt: skip

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(frontier: list[bytes], size: int, leaf: bytes) -> list[bytes]:
    """Return the frontier of a tree with one leaf more: the roots of its full subtrees, the largest first.

    Parameters
    ----------
    size
        Number of leaves before.
    """
    found = [*frontier, leaf]
    while size & 1:  # two subtrees of one size become one
        right = found.pop()
        found[-1] = node_hash(found[-1], right)
        size >>= 1
    return found


def root_of(frontier: Sequence[bytes]) -> bytes:
    """Return the root of a tree by its frontier."""
    if not frontier:
        return EMPTY
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree by its leaf hashes."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        frontier = append(frontier, size, leaf)
    return root_of(frontier)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from a leaf to the root (section 2.1.3.1)."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*inclusion_proof(leaves[:k], index), tree_hash(leaves[k:])]
    return [*inclusion_proof(leaves[k:], index - k), tree_hash(leaves[:k])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check that a leaf is in the tree of that root (section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(node, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, node)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistency_proof(leaves: Sequence[bytes], before: int) -> list[bytes]:
    """Return the hashes that show that a tree grew out of its first `before` leaves (section 2.1.4.1)."""
    return [] if before in (0, len(leaves)) else _subproof(leaves, before, True)


def verify_consistency(before: int, after: int, proof: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Check that the tree of root `new` holds that of root `old` unchanged (section 2.1.4.2)."""
    if before == 0 or before == after:
        return not proof and (old == (EMPTY if before == 0 else new))
    if not 0 < before < after or not proof:
        return False
    path = list(proof)
    if before & (before - 1) == 0:  # a full tree: its root is the first node
        path.insert(0, old)
    at, last = before - 1, after - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, node)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old and second == new


def _subproof(leaves: Sequence[bytes], m: int, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*_subproof(leaves[:k], m, whole), tree_hash(leaves[k:])]
    return [*_subproof(leaves[k:], m - k, False), tree_hash(leaves[:k])]


def _split(n: int) -> int:
    """Return the largest power of two below `n`."""
    return 1 << (n - 1).bit_length() - 1
