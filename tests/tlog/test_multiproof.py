"""Proofs of many leaves at once, against the textbook tree and against everything that is not one."""

import random
from collections.abc import Mapping
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import hash_leaves, hash_pairs, node_hash, prove_inclusion, tree_root
from audit_pipeline.tlog.multiproof import prove_leaves, root_from

from .reference import Reference

EDGES = (1, 2, 3, 127, 128, 129, 255, 256, 257, 511, 512, 513)
ENTRIES = [b"%d" % number for number in range(max(EDGES))]
LEAVES = hash_leaves(ENTRIES)
REFERENCE = Reference(ENTRIES)


def leaf(index: int) -> bytes:
    return LEAVES[32 * index : 32 * (index + 1)]


def at(indexes: tuple[int, ...]) -> dict[int, bytes]:
    return {index: leaf(index) for index in indexes}


def textbook_nodes(size: int, indexes: tuple[int, ...]) -> bytes:
    """Section 7 of the format, word for word, over hashes of the textbook tree."""
    nodes, known, width, span = b"", set(indexes), size, 1
    while width > 1:
        for index in sorted(known):
            beside = index ^ 1
            if beside not in known and beside < width:
                nodes += REFERENCE.root(beside * span, min((beside + 1) * span, size))
        known, width, span = {index >> 1 for index in known}, (width + 1) >> 1, 2 * span
    return nodes


def subsets(size: int) -> list[tuple[int, ...]]:
    """All of small trees; of larger ones each leaf, all leaves, neighbours, the ends, and some at random."""
    if size <= 7:
        return [chosen for count in range(1, size + 1) for chosen in combinations(range(size), count)]
    chosen = random.Random(size)
    some = [tuple(sorted(chosen.sample(range(size), chosen.randint(1, size)))) for _ in range(12)]
    pairs = [(index, index + 1) for index in range(size - 1)]
    return [*((index,) for index in range(size)), *pairs, (0, size - 1), tuple(range(size)), *some]


@pytest.mark.parametrize("size", sorted({*range(1, 71), *EDGES}))
def test_nodes_are_those_of_the_text_and_give_the_root(size: int) -> None:
    for indexes in subsets(size) if size <= 70 else subsets(size)[:: size // 40]:
        nodes = prove_leaves(LEAVES[: 32 * size], indexes)

        assert nodes == textbook_nodes(size, indexes)
        assert root_from(size, at(indexes), nodes) == REFERENCE.root(0, size)


@pytest.mark.parametrize("size", [*range(1, 20), 255, 256, 257])
def test_the_nodes_of_one_leaf_are_its_audit_path(size: int) -> None:
    for index in range(size):
        nodes = prove_leaves(LEAVES[: 32 * size], [index])

        assert nodes == b"".join(prove_inclusion(LEAVES[: 32 * size], index))
        assert nodes == b"".join(REFERENCE.path(index, 0, size))


def test_a_large_tree_gives_its_root_through_a_hasher_that_is_passed_in() -> None:
    leaves = hash_leaves(b"%d" % number for number in range(65_536))
    indexes = list(range(0, 65_536, 7))
    calls = 0

    def counted(pairs: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return hash_pairs(pairs)

    nodes = prove_leaves(leaves, indexes, counted)

    assert calls == 16, "a level is hashed in one call"
    found = root_from(65_536, {index: leaves[32 * index : 32 * (index + 1)] for index in indexes}, nodes)
    assert found == tree_root(leaves)


@pytest.mark.parametrize("indexes", [(), (3, 2), (2, 2), (7,), (-1, 2)])
def test_indexes_that_no_proof_can_be_of_are_refused(indexes: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        prove_leaves(LEAVES[: 32 * 7], indexes)


@pytest.mark.parametrize(
    ("size", "leaves"),
    [
        (7, {}),
        (0, {}),
        (0, {0: leaf(0)}),
        (-1, {0: leaf(0)}),
        (7, {7: leaf(0)}),
        (7, {-1: leaf(0)}),
        (7, {0: leaf(0)[:31]}),
        (7, {0: leaf(0) + b"\0"}),
    ],
)
def test_leaves_that_no_tree_has_are_refused(size: int, leaves: Mapping[int, bytes]) -> None:
    with pytest.raises(ProofError):
        root_from(size, leaves, prove_leaves(LEAVES[: 32 * 7], [0]))


def test_half_a_node_is_refused() -> None:
    nodes = prove_leaves(LEAVES[: 32 * 7], [0, 4])

    with pytest.raises(ProofError, match="multiple of 32"):
        root_from(7, at((0, 4)), nodes[:-1])


def gives_another_root(size: int, leaves: Mapping[int, bytes], nodes: bytes, root: bytes) -> bool:
    try:
        return root_from(size, leaves, nodes) != root
    except ProofError:
        return True


@st.composite
def proved(draw: st.DrawFn) -> tuple[int, tuple[int, ...], bytes]:
    """(size, indexes, nodes)."""
    size = draw(st.one_of(st.integers(1, 70), st.sampled_from(EDGES)))
    indexes = tuple(sorted(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=20))))
    return size, indexes, prove_leaves(LEAVES[: 32 * size], indexes)


@given(proved(), st.data())
@settings(deadline=None)
def test_a_flipped_bit_gives_another_root(of: tuple[int, tuple[int, ...], bytes], data: st.DataObject) -> None:
    size, indexes, nodes = of
    known = b"".join(at(indexes).values()) + nodes
    bit = data.draw(st.integers(0, 8 * len(known) - 1))
    flipped = bytearray(known)
    flipped[bit // 8] ^= 1 << bit % 8

    leaves = {index: bytes(flipped[32 * n : 32 * (n + 1)]) for n, index in enumerate(indexes)}

    assert gives_another_root(size, leaves, bytes(flipped[32 * len(indexes) :]), REFERENCE.root(0, size))


@given(proved(), st.data())
@settings(deadline=None)
def test_a_node_dropped_added_or_swapped_gives_no_root(
    of: tuple[int, tuple[int, ...], bytes], data: st.DataObject
) -> None:
    size, indexes, nodes = of
    hashes = [nodes[start : start + 32] for start in range(0, len(nodes), 32)]
    place = data.draw(st.integers(0, len(hashes)))
    changed = [[*hashes[:place], leaf(0), *hashes[place:]]]
    if place < len(hashes):
        changed.append([*hashes[:place], *hashes[place + 1 :]])
    if place + 1 < len(hashes):
        changed.append([*hashes[:place], hashes[place + 1], hashes[place], *hashes[place + 2 :]])

    for wrong in changed:
        assert gives_another_root(size, at(indexes), b"".join(wrong), REFERENCE.root(0, size))


@given(proved(), st.data())
@settings(deadline=None)
def test_a_leaf_at_another_index_gives_another_root(
    of: tuple[int, tuple[int, ...], bytes], data: st.DataObject
) -> None:
    size, indexes, nodes = of
    others = [index for index in range(size + 2) if index not in indexes]
    moved, to = data.draw(st.sampled_from(indexes)), data.draw(st.sampled_from(others))
    leaves = {to if index == moved else index: leaf(index) for index in indexes}

    assert gives_another_root(size, leaves, nodes, REFERENCE.root(0, size))


@pytest.mark.parametrize("size", range(1, 40))
def test_no_other_size_gives_the_root_of_a_proof_but_where_it_does_not_enter(size: int) -> None:
    """Sizes come from the authenticated parent: a path may look the same in trees of several sizes."""
    for index in range(size):
        nodes = prove_leaves(LEAVES[: 32 * size], [index])
        for other in range(1, 80):
            if not gives_another_root(other, at((index,)), nodes, REFERENCE.root(0, size)):
                assert other == size or textbook_shape(other, index) == textbook_shape(size, index)


def textbook_shape(size: int, index: int) -> list[bool]:
    """On which side each node of a leaf's path is: all that a checker of one path can see of the size."""
    sides = []
    while size > 1:
        if index ^ 1 < size:
            sides.append(bool(index & 1))
        index, size = index >> 1, (size + 1) >> 1
    return sides


def test_three_leaves_are_not_four_with_the_last_one_twice() -> None:
    nodes = prove_leaves(LEAVES[: 32 * 3], [0, 1, 2])

    assert nodes == b""
    doubled = {0: leaf(0), 1: leaf(1), 2: leaf(2), 3: leaf(2)}
    assert root_from(4, doubled, b"") != root_from(3, at((0, 1, 2)), b"")


def test_an_interior_node_gives_the_root_only_in_a_smaller_tree() -> None:
    """Which is why a leaf is hashed from its content, and a size taken from the parent."""
    inner = {0: node_hash(leaf(0), leaf(1)), 1: node_hash(leaf(2), leaf(3))}

    assert root_from(2, inner, b"") == REFERENCE.root(0, 4)
    assert gives_another_root(4, inner, b"", REFERENCE.root(0, 4))
