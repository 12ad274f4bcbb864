"""Merkle trees of RFC 6962 section 2.1 (RFC 9162 section 2.1), SHA-256: roots and proofs, made and checked.

The root of no leaves is SHA-256 of nothing; a leaf is SHA-256(0x00 || entry); a node is SHA-256(0x01 || left || right).
A tree is built level by level. The last node of an odd level moves up as it is, which gives the RFC's split at the
largest power of two; it is never paired with itself, so [a, b, c] and [a, b, c, c] have different roots.

Many leaf hashes are one `bytes` of 32 * n, in order: the shape in which Arrow, tiles and hashers hold them.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import MAX_DECIMAL

HASH_BYTES = 32
RFC6962_LEAF_PREFIX = b"\x00"
RFC6962_NODE_PREFIX = b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()

HashNodes = Callable[[bytes], bytes]
"""From m pairs of hashes (64 * m bytes) to their m parents (32 * m bytes), in order."""

_NODE_STATE = hashlib.sha256(RFC6962_NODE_PREFIX)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """One state of a tree. Raises ProofError where no tree has such a head."""

    size: int
    """Leaves."""
    root: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_DECIMAL:
            raise ProofError(f"tree head: expected a size from 0 to 10**18 - 1, got {self.size}")
        _check_hash(self.root, "root")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise ProofError(f"tree head: the root of no leaves is {EMPTY_ROOT.hex()}, got {self.root.hex()}")


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(RFC6962_LEAF_PREFIX + entry).digest()


def hash_leaves(entries: Iterable[bytes]) -> bytes:
    """The leaf hashes of the entries, one after another."""
    return b"".join(map(leaf_hash, entries))


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(RFC6962_NODE_PREFIX + left + right).digest()


def hash_pairs(pairs: bytes) -> bytes:
    """The parents of m pairs of hashes, by hashlib. Copying a primed state beats a new one for each node by a third."""
    parents = []
    for at in range(0, len(pairs), 2 * HASH_BYTES):
        state = _NODE_STATE.copy()
        state.update(pairs[at : at + 2 * HASH_BYTES])
        parents.append(state.digest())
    return b"".join(parents)


def tree_root(leaf_hashes: bytes, hash_nodes: HashNodes = hash_pairs) -> bytes:
    """Root of the tree over 32 * n bytes of leaf hashes.

    Raises:
        ProofError: the bytes are not whole hashes.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    count_hashes(leaf_hashes)
    level = leaf_hashes
    while len(level) > HASH_BYTES:
        level = _level_above(level, hash_nodes)
    return level


def prove_inclusion(leaf_hashes: bytes, index: int, hash_nodes: HashNodes = hash_pairs) -> tuple[bytes, ...]:
    """The hashes that join leaf `index` to the root, the leaf's sibling first (RFC 9162 section 2.1.3.1).

    Raises:
        InputError: the tree has no such leaf.
    """
    size = count_hashes(leaf_hashes)
    if not 0 <= index < size:
        raise InputError(f"inclusion proof: leaf {index} is not in a tree of {size} leaves: give an index below {size}")
    return tuple(_siblings(leaf_hashes, index, hash_nodes))


def check_inclusion(leaf: bytes, index: int, head: TreeHead, proof: Sequence[bytes]) -> None:
    """Check that leaf hash `leaf` is at `index` in the tree of `head` (RFC 9162 section 2.1.3.2).

    `head` must come from an authenticated parent, never from whoever gives the proof.

    Raises:
        ProofError: the proof does not join leaf and root, or has hashes to spare.
    """
    name = f"inclusion proof of leaf {index} in {head.size}"
    _check_hash(leaf, f"{name}: leaf")
    if not 0 <= index < head.size:
        raise ProofError(f"{name}: expected an index below the tree size")
    node, last = index, head.size - 1
    root = leaf
    for sibling in _hashes(proof, name):
        if last == 0:
            raise _wrong_length(name, proof)
        if node & 1 or node == last:
            root = node_hash(sibling, root)
            while not node & 1 and node:  # the last node of an odd level moved up without a sibling
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _wrong_length(name, proof)
    _check_root(root, head, name)


def prove_consistency(leaf_hashes: bytes, old_size: int, hash_nodes: HashNodes = hash_pairs) -> tuple[bytes, ...]:
    """The hashes that show the tree of the first `old_size` leaves inside this one (RFC 9162 section 2.1.4.1).

    Empty from size 0 and from the same size.

    Raises:
        InputError: the tree is smaller than `old_size`.
    """
    size = count_hashes(leaf_hashes)
    if not 0 <= old_size <= size:
        raise InputError(f"consistency proof: a tree of {size} leaves has no earlier size {old_size}")
    if old_size in (0, size):
        return ()
    # The proof starts at the largest whole subtree that ends with the old tree's last leaf.
    level, node = leaf_hashes, old_size - 1
    while node & 1:
        level, node = _level_above(level, hash_nodes), node >> 1
    # Where that subtree is all of the old tree, the checker has its root already.
    start = () if node == 0 else (_hash_at(level, node),)
    return (*start, *_siblings(level, node, hash_nodes))


def check_consistency(old: TreeHead, new: TreeHead, proof: Sequence[bytes]) -> None:
    """Check that `new` only appends to `old`.

    `proof` is ordered leaf to root, as in RFC 9162 section 2.1.4. From size 0, and between equal heads, it is empty.

    Raises:
        ProofError: the proof does not join the two heads, or has hashes to spare.
    """
    name = f"consistency proof from {old.size} to {new.size}"
    hashes = list(_hashes(proof, name))
    if old.size > new.size:
        raise ProofError(f"{name}: the new tree is smaller, so leaves were removed: keep the old head as evidence")
    if old.size in (0, new.size):
        if hashes:
            raise _wrong_length(name, proof)
        if old.size == new.size:
            _check_root(old.root, new, name)
        return
    if not old.size & (old.size - 1):  # a whole subtree: its root opens the proof, and the prover leaves it out
        hashes.insert(0, old.root)
    if not hashes:
        raise _wrong_length(name, proof)
    node, last = old.size - 1, new.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_root = new_root = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise _wrong_length(name, proof)
        if node & 1 or node == last:
            old_root, new_root = node_hash(sibling, old_root), node_hash(sibling, new_root)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_root = node_hash(new_root, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise _wrong_length(name, proof)
    _check_root(old_root, old, name)
    _check_root(new_root, new, name)


def count_hashes(hashes: bytes) -> int:
    """How many hashes these bytes hold. Raises ProofError where the last one is cut short."""
    count, rest = divmod(len(hashes), HASH_BYTES)
    if rest:
        raise ProofError(f"hashes: expected a multiple of {HASH_BYTES} bytes, got {len(hashes)}: read them again")
    return count


def _level_above(level: bytes, hash_nodes: HashNodes) -> bytes:
    paired = len(level) // (2 * HASH_BYTES) * (2 * HASH_BYTES)
    parents = hash_nodes(level[:paired])
    assert 2 * len(parents) == paired, "a hasher gives one hash for two"
    return parents + level[paired:]


def _siblings(level: bytes, node: int, hash_nodes: HashNodes) -> Iterator[bytes]:
    """The siblings of `node` and of each node above it; a node that moves up alone has none."""
    while len(level) > HASH_BYTES:
        if sibling := _hash_at(level, node ^ 1):
            yield sibling
        level, node = _level_above(level, hash_nodes), node >> 1


def _hash_at(level: bytes, node: int) -> bytes:
    """The hash of one node, empty beyond the end of the level."""
    return level[node * HASH_BYTES : (node + 1) * HASH_BYTES]


def _hashes(proof: Sequence[bytes], name: str) -> Iterator[bytes]:
    for position, sibling in enumerate(proof):
        _check_hash(sibling, f"{name}: hash {position}")
        yield sibling


def _check_hash(candidate: bytes, name: str) -> None:
    if len(candidate) != HASH_BYTES:
        raise ProofError(f"{name}: expected {HASH_BYTES} bytes, got {len(candidate)}")


def _check_root(root: bytes, head: TreeHead, name: str) -> None:
    if root != head.root:
        raise ProofError(f"{name}: the proof gives root {root.hex()}, the head has {head.root.hex()}")


def _wrong_length(name: str, proof: Sequence[bytes]) -> ProofError:
    return ProofError(f"{name}: {len(proof)} hashes are too few or too many for these sizes: make the proof again")
