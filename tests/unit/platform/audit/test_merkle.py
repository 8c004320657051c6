"""Merkle trees of RFC 9162: known roots, and proofs that hold for what is in the tree and for nothing else."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock.audit.merkle import (
    EMPTY,
    append,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    tree_hash,
    verify_consistency,
    verify_inclusion,
)

# the inputs and roots of the reference tests of Certificate Transparency
INPUTS = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
leaves_lists = st.lists(st.binary(max_size=8), min_size=1, max_size=70).map(
    lambda data: [leaf_hash(d) for d in data]
)


def test_roots_are_those_of_the_reference() -> None:
    assert tree_hash([]) == EMPTY == hashlib.sha256(b"").digest()
    leaves = [leaf_hash(data) for data in INPUTS]
    assert [tree_hash(leaves[: n + 1]).hex() for n in range(8)] == ROOTS


@given(leaves_lists, st.data())
@settings(max_examples=200, deadline=None)
def test_a_leaf_is_proved_at_its_place_and_at_no_other(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion_proof(leaves, index), tree_hash(leaves)
    assert verify_inclusion(leaves[index], index, len(leaves), proof, root)
    assert not verify_inclusion(leaf_hash(b"another leaf"), index, len(leaves), proof, root)
    assert not verify_inclusion(leaves[index], index, len(leaves), proof, leaf_hash(b"another root"))
    assert not verify_inclusion(leaves[index], index, len(leaves), [*proof, root], root)
    other = data.draw(st.integers(-1, len(leaves)))
    if other != index:
        assert not verify_inclusion(leaf_hash(b"x"), other, len(leaves), proof, root)


@given(leaves_lists, st.data())
@settings(max_examples=200, deadline=None)
def test_a_tree_is_consistent_with_its_beginnings_alone(leaves: list[bytes], data: st.DataObject) -> None:
    before = data.draw(st.integers(0, len(leaves)))
    proof, new = consistency_proof(leaves, before), tree_hash(leaves)
    assert verify_consistency(before, len(leaves), proof, tree_hash(leaves[:before]), new)
    if before:
        assert not verify_consistency(before, len(leaves), proof, leaf_hash(b"another"), new)
        changed = [leaf_hash(b"another leaf"), *leaves[1:]]
        assert not verify_consistency(before, len(leaves), proof, tree_hash(changed[:before]), new)


@given(leaves_lists)
@settings(max_examples=50, deadline=None)
def test_appending_one_leaf_after_another_gives_the_root_of_all(leaves: list[bytes]) -> None:
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        frontier = append(frontier, size, leaf)
        assert len(frontier) == (size + 1).bit_count()
    assert root_of(frontier) == tree_hash(leaves)
