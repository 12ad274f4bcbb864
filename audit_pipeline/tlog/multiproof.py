"""One proof for many leaves of a tree, as docs/evidence-format.md section 7 defines its nodes.

Level by level from the leaves, left to right: the hash beside a known one is a node of the proof unless it is known too
or lies beyond the level's end. Which nodes those are follows from the size and the indexes alone, so a proof holds
hashes and nothing else. For one leaf it is RFC 6962's audit path.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.merkle import HASH_BYTES, RFC6962_NODE_PREFIX, HashNodes, count_hashes, hash_pairs


def prove_leaves(leaf_hashes: bytes, indexes: Sequence[int], hash_nodes: HashNodes = hash_pairs) -> bytes:
    """The nodes that join the leaves at `indexes` to the root, 32 bytes each.

    Raises:
        InputError: the indexes are none, do not rise, or are not in the tree.
    """
    size = count_hashes(leaf_hashes)
    if not indexes or any(before >= after for before, after in pairwise(indexes)):
        raise InputError("proof: expected the numbers of some leaves, rising, none twice")
    if not 0 <= indexes[0] <= indexes[-1] < size:
        raise InputError(f"proof: leaves {indexes[0]} to {indexes[-1]} are not in a tree of {size}: give lower indexes")
    nodes: list[bytes] = []
    level, known = leaf_hashes, list(indexes)
    while len(level) > HASH_BYTES:
        nodes.extend(level[HASH_BYTES * at : HASH_BYTES * (at + 1)] for at in _unknown_siblings(known))
        known = list(dict.fromkeys(index >> 1 for index in known))
        paired = len(level) // (2 * HASH_BYTES) * (2 * HASH_BYTES)
        level = hash_nodes(level[:paired]) + level[paired:]
    return b"".join(nodes)


def root_from(size: int, leaves: Mapping[int, bytes], nodes: bytes) -> bytes:
    """The root that these leaf hashes, by index, and these nodes give for a tree of `size` leaves.

    It shows nothing until it is compared with a root from an authenticated parent, from which `size` comes too.

    Raises:
        ProofError: no tree of this size has such leaves, or the nodes are too few or too many.
    """
    if not leaves or not 0 <= min(leaves) <= max(leaves) < size:
        raise ProofError(f"expected the numbers of some leaves, from 0 to {size - 1}, got {sorted(leaves)[:5]}")
    if any(len(leaf) != HASH_BYTES for leaf in leaves.values()):
        raise ProofError(f"expected leaf hashes of {HASH_BYTES} bytes each")
    given = count_hashes(nodes)
    beside = iter([nodes[at : at + HASH_BYTES] for at in range(0, len(nodes), HASH_BYTES)])
    width, known = size, dict(sorted(leaves.items()))
    try:
        while width > 1:
            known, width = _level_above(known, width, beside), (width + 1) >> 1
    except StopIteration as err:
        raise ProofError(f"expected more than {given} nodes for these leaves") from err
    if unused := sum(1 for _ in beside):
        raise ProofError(f"expected {given - unused} nodes for these leaves, got {given}")
    return known[0]


def _level_above(known: Mapping[int, bytes], width: int, beside: Iterator[bytes]) -> dict[int, bytes]:
    """The parents of known hashes, in rising order like them. What is not known is the next of `beside`.

    Raises:
        StopIteration: there is no next one.
    """
    sha256, prefix, parents = hashlib.sha256, RFC6962_NODE_PREFIX, {}
    for index, here in known.items():
        if index & 1:
            if index - 1 not in known:  # else it was hashed with the one before
                parents[index >> 1] = sha256(prefix + next(beside) + here).digest()
        elif index + 1 in known:
            parents[index >> 1] = sha256(prefix + here + known[index + 1]).digest()
        elif index + 1 < width:
            parents[index >> 1] = sha256(prefix + here + next(beside)).digest()
        else:
            parents[index >> 1] = here
    return parents


def _unknown_siblings(known: Sequence[int]) -> Iterator[int]:
    """The siblings of these indexes that are not among them. One may lie beyond the level's end."""
    there = set(known)
    return (index ^ 1 for index in known if index ^ 1 not in there)
