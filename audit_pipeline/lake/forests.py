"""Proofs in many trees at once: level by level over all of them, so that a level is one call of the hasher.

What is proved, and in which order of nodes, is `tlog.multiproof`'s. A data file may have a thousand trees, and each on
its own would be many small calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.tlog.merkle import HASH_BYTES

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ProvedTree:
    """A tree's root, and the nodes that join the wanted leaves to it."""

    root: bytes
    nodes: bytes


def prove_trees(leaves: bytes, sizes: Sequence[int], wanted: Sequence[_Numbers]) -> list[ProvedTree]:
    """Of trees of these sizes, none of them empty, whose leaf hashes follow each other.

    `wanted` are the numbers of some leaves of each tree, rising.
    """
    level, widths = leaves, np.array(sizes, np.int64)
    known, tree = np.concatenate(wanted), np.repeat(np.arange(len(sizes)), [len(some) for some in wanted])
    nodes, tree_of_nodes = [np.empty((0, HASH_BYTES), np.uint8)], [tree[:0]]
    while widths.max() > 1:
        beside = _unknown_siblings(known, tree, widths)
        at = (np.cumsum(widths) - widths)[tree] + (known ^ 1)
        nodes.append(np.frombuffer(level, np.uint8).reshape(-1, HASH_BYTES)[at[beside]])
        tree_of_nodes.append(tree[beside])
        known = known >> 1
        is_new = np.ones(len(known), bool)
        is_new[1:] = (known[1:] != known[:-1]) | (tree[1:] != tree[:-1])
        known, tree = known[is_new], tree[is_new]
        level, widths = _level_above(level, widths), (widths + 1) >> 1
    of = np.concatenate(tree_of_nodes)
    joined = np.concatenate(nodes)[np.argsort(of, kind="stable")].tobytes()
    ends = (HASH_BYTES * np.cumsum(np.bincount(of, minlength=len(sizes)))).tolist()
    return [
        ProvedTree(level[HASH_BYTES * number : HASH_BYTES * (number + 1)], joined[begin:end])
        for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]


def _unknown_siblings(known: _Numbers, tree: _Numbers, widths: _Numbers) -> npt.NDArray[np.bool_]:
    """Which of the known have a sibling in their level that is not known too."""
    is_unknown = known ^ 1 < widths[tree]
    is_left = (known[1:] == known[:-1] ^ 1) & (tree[1:] == tree[:-1])
    is_unknown[:-1] &= ~is_left
    is_unknown[1:] &= ~is_left
    return is_unknown


def _level_above(level: bytes, widths: _Numbers) -> bytes:
    """The level above of all trees. The last node of a tree's odd level moves up as it is."""
    lone = (HASH_BYTES * (np.cumsum(widths)[widths & 1 == 1] - 1)).tolist()
    runs = list(zip([0, *(at + HASH_BYTES for at in lone)], [*lone, len(level)], strict=True))
    parents = hash_nodes(b"".join([level[begin:end] for begin, end in runs]))
    above, used = [], 0
    for begin, end in runs:
        above += [parents[used : used + (end - begin) // 2], level[end : end + HASH_BYTES]]
        used += (end - begin) // 2
    return b"".join(above)
