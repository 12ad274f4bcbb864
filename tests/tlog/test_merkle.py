"""Roots and proofs: the fast implementation against the textbook one, and against published figures."""

import base64
import random
from functools import cache

import pytest

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import (
    EMPTY_ROOT,
    TreeHead,
    check_consistency,
    check_inclusion,
    hash_leaves,
    hash_pairs,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    tree_root,
)

from .reference import Reference

SMALL = 300
EDGES = sorted({2**k + step for k in range(9, 13) for step in (-1, 0, 1)})
ENTRIES = [b"%d" % number for number in range(max(EDGES))]
LEAVES = hash_leaves(ENTRIES)
REFERENCE = Reference(ENTRIES)


def head(size: int) -> TreeHead:
    return TreeHead(size, REFERENCE.root(0, size))


def leaves(size: int) -> bytes:
    return LEAVES[: 32 * size]


def test_hashes_are_those_that_other_logs_publish() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = node_hash(b"N123", b"N456").hex()
    assert node == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (0, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (1, "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek="),
        (5, "gy5gl3aksFyiCO95a/1vLXz88A3dRq+0l9Sxte8ZqZQ="),
    ],
)
def test_roots_are_those_that_a_tessera_log_signed(size: int, root: str) -> None:
    entries = [b"one", b"two", b"three", b"four", b"five"]

    assert tree_root(hash_leaves(entries[:size])) == base64.b64decode(root)


@pytest.mark.parametrize("size", [*range(SMALL + 1), *EDGES])
def test_root_is_that_of_the_rfc(size: int) -> None:
    assert tree_root(leaves(size)) == REFERENCE.root(0, size)


def test_root_of_65536_leaves_is_that_of_the_rfc() -> None:
    entries = [b"%d" % number for number in range(2**16)]

    root = tree_root(hash_leaves(entries))

    assert root == Reference(entries).root(0, 2**16)


def test_every_inclusion_proof_of_every_small_tree_is_that_of_the_rfc_and_checks() -> None:
    for size in range(1, SMALL + 1):
        hash_once = cache(hash_pairs)
        for index in range(size):
            proof = prove_inclusion(leaves(size), index, hash_once)

            assert list(proof) == REFERENCE.path(index, 0, size)
            check_inclusion(leaf_hash(ENTRIES[index]), index, head(size), proof)


@pytest.mark.parametrize("size", EDGES)
def test_inclusion_proofs_at_edges_are_those_of_the_rfc_and_check(size: int) -> None:
    for index in {0, 1, size // 2 - 1, size // 2, size - 2, size - 1}:
        proof = prove_inclusion(leaves(size), index)

        assert list(proof) == REFERENCE.path(index, 0, size)
        check_inclusion(leaf_hash(ENTRIES[index]), index, head(size), proof)


def old_sizes(size: int) -> list[int]:
    """All old sizes of a small tree; of a larger one the edges, and five by chance."""
    if size <= 64:
        return list(range(1, size + 1))
    powers = {2**k + step for k in range(size.bit_length()) for step in (-1, 0, 1)}
    by_chance = random.Random(size).sample(range(1, size), 5)
    return sorted({old for old in {*powers, *by_chance, size // 2, size - 1, size} if 0 < old <= size})


def test_consistency_proofs_are_those_of_the_rfc_and_check() -> None:
    for size in [*range(1, SMALL + 1), *EDGES]:
        hash_once = cache(hash_pairs)
        for old_size in old_sizes(size):
            proof = prove_consistency(leaves(size), old_size, hash_once)

            assert list(proof) == REFERENCE.proof(old_size, size)
            check_consistency(head(old_size), head(size), proof)


@pytest.mark.parametrize("size", [0, 1, 2, 300])
def test_a_proof_from_the_empty_tree_is_empty(size: int) -> None:
    assert prove_consistency(leaves(size), 0) == ()
    check_consistency(TreeHead(0, EMPTY_ROOT), head(size), ())


def test_a_hasher_that_is_passed_in_makes_every_node() -> None:
    """The lake passes a vectorised hasher; no node may be made beside it."""
    made = []

    def count_pairs(pairs: bytes) -> bytes:
        made.append(len(pairs) // 64)
        return hash_pairs(pairs)

    root = tree_root(leaves(257), count_pairs)
    assert root == REFERENCE.root(0, 257)
    assert sum(made) == 256

    made.clear()
    prove_inclusion(leaves(257), 3, count_pairs)
    prove_consistency(leaves(257), 4, count_pairs)
    assert sum(made) == 2 * 256


@pytest.mark.parametrize("index", [-1, 7, 8])
def test_a_leaf_outside_the_tree_has_no_proof(index: int) -> None:
    with pytest.raises(InputError, match="not in a tree of 7 leaves"):
        prove_inclusion(leaves(7), index)


@pytest.mark.parametrize("old_size", [-1, 8])
def test_a_size_that_the_tree_never_had_has_no_proof(old_size: int) -> None:
    with pytest.raises(InputError, match="has no earlier size"):
        prove_consistency(leaves(7), old_size)


def test_leaf_hashes_that_are_cut_short_are_refused() -> None:
    with pytest.raises(ProofError, match="multiple of 32 bytes, got 95"):
        tree_root(leaves(3)[:-1])
