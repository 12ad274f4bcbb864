"""Proofs in many trees at once are those of each tree alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.lake.forests import prove_trees
from audit_pipeline.tlog import hash_leaves, tree_root
from audit_pipeline.tlog.multiproof import prove_leaves, root_from

LEAVES = hash_leaves(b"%d" % number for number in range(6 * 70))


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """(size, wanted leaves) of each."""
    sizes = draw(st.lists(st.integers(1, 70), min_size=1, max_size=6))
    return [(size, sorted(draw(st.sets(st.integers(0, size - 1), min_size=1)))) for size in sizes]


@given(trees())
@settings(deadline=None)
def test_the_trees_of_a_forest_are_proved_as_each_alone(of: list[tuple[int, list[int]]]) -> None:
    sizes = [size for size, _ in of]

    proved = prove_trees(LEAVES[: 32 * sum(sizes)], sizes, [np.array(wanted) for _, wanted in of])

    at = 0
    for (size, wanted), tree in zip(of, proved, strict=True):
        leaves = LEAVES[32 * at : 32 * (at + size)]
        assert (tree.root, tree.nodes) == (tree_root(leaves), prove_leaves(leaves, wanted))
        at += size


def test_a_large_tree_is_proved_beside_small_ones() -> None:
    """Where levels are hashed by another way than few nodes are."""
    leaves, sizes = hash_leaves(b"%d" % number for number in range(5_008)), [3, 5_000, 5]
    wanted = [np.array([1]), np.arange(0, 5_000, 7), np.array([4])]

    small, large, last = prove_trees(leaves, sizes, wanted)

    mine = {at: leaves[32 * (3 + at) : 32 * (4 + at)] for at in range(0, 5_000, 7)}
    assert large.root == tree_root(leaves[96 : 32 * 5_003]) == root_from(5_000, mine, large.nodes)
    assert small.root == tree_root(leaves[:96])
    assert last.nodes == prove_leaves(leaves[32 * 5_003 :], [4])
