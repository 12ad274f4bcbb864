"""What a proof must not show: every case here is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import ProofError
from audit_pipeline.records.canonical import record_leaf
from audit_pipeline.tlog import (
    EMPTY_ROOT,
    SealEntry,
    SourceEntry,
    TreeHead,
    check_consistency,
    check_inclusion,
    format_seal,
    format_source,
    hash_leaves,
    leaf_hash,
    node_hash,
    parse_mark,
    parse_seal,
    parse_source,
    prove_consistency,
    prove_inclusion,
    tree_root,
)

from .support import LEAVES, flipped, seal_entries, source_entries

EDGES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 255, 256, 257]


def head(size: int) -> TreeHead:
    return TreeHead(size, tree_root(LEAVES[: 32 * size]))


def leaf(index: int) -> bytes:
    return LEAVES[32 * index : 32 * index + 32]


def test_a_repeated_last_leaf_changes_the_root() -> None:
    three, four = hash_leaves([b"a", b"b", b"c"]), hash_leaves([b"a", b"b", b"c", b"c"])

    assert tree_root(three) != tree_root(four)


def test_a_tree_with_its_last_leaf_repeated_does_not_pass_for_the_same_tree() -> None:
    three, four = hash_leaves([b"a", b"b", b"c"]), hash_leaves([b"a", b"b", b"c", b"c"])
    old, forged = TreeHead(3, tree_root(three)), TreeHead(4, tree_root(three))

    with pytest.raises(ProofError):
        check_consistency(old, forged, prove_consistency(four, 3))


def test_a_node_is_not_a_leaf_of_the_same_bytes() -> None:
    """The second preimage: an entry made of two hashes must not pass for the node above them."""
    left, right = node_hash(leaf(0), leaf(1)), node_hash(leaf(2), leaf(3))
    two_leaves_as_one_entry = leaf(0) + leaf(1)

    with pytest.raises(ProofError, match="gives root"):
        check_inclusion(leaf_hash(two_leaves_as_one_entry), 0, TreeHead(2, node_hash(left, right)), [right])


def test_a_node_given_as_a_leaf_needs_too_short_a_proof() -> None:
    left, right = node_hash(leaf(0), leaf(1)), node_hash(leaf(2), leaf(3))

    with pytest.raises(ProofError, match="too few or too many"):
        check_inclusion(left, 0, head(4), [right])


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=300))
def test_what_is_hashed_of_a_record_is_no_entry(salt: bytes, record: bytes) -> None:
    """A seal entry cannot pass for a record's leaf, nor a record for a seal, whatever salt and record are."""
    hashed = b"\x01" + salt + record

    assert record_leaf(salt, record) == leaf_hash(hashed)
    for parse in (parse_source, parse_seal, parse_mark):
        with pytest.raises(ProofError):
            parse(hashed)


@given(st.one_of(source_entries, seal_entries), st.binary(max_size=40))
def test_no_salt_and_record_hash_to_the_leaf_of_an_entry(
    entry: SealEntry | SourceEntry, salt_and_record: bytes
) -> None:
    encoded = format_seal(entry) if isinstance(entry, SealEntry) else format_source(entry)

    assert encoded[0] != 0x01
    assert leaf_hash(encoded) != leaf_hash(b"\x01" + salt_and_record)


@pytest.mark.parametrize("size", EDGES)
def test_a_proof_holds_at_no_other_index(size: int) -> None:
    for index in {0, size // 2, size - 1}:
        proof = prove_inclusion(LEAVES[: 32 * size], index)

        for other in range(-1, size + 2):
            if other != index:
                with pytest.raises(ProofError):
                    check_inclusion(leaf(index), other, head(size), proof)


@pytest.mark.parametrize("size", EDGES)
def test_a_proof_holds_for_no_other_leaf(size: int) -> None:
    proof = prove_inclusion(LEAVES[: 32 * size], size - 1)

    with pytest.raises(ProofError, match="gives root"):
        check_inclusion(leaf(size), size - 1, head(size), proof)


@pytest.mark.parametrize("size", EDGES[:-3])
def test_a_proof_does_not_hold_in_a_tree_of_another_root(size: int) -> None:
    """For the first leaf several sizes have paths of one shape, so only the root tells them apart."""
    for index in {0, size - 1}:
        proof = prove_inclusion(LEAVES[: 32 * size], index)

        for other in {1, 2, size - 1, size + 1, 2 * size, 256} - {size, 0}:
            with pytest.raises(ProofError):
                check_inclusion(leaf(index), index, head(other), proof)


@given(st.integers(1, 70), st.data())
def test_a_damaged_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = list(prove_inclusion(LEAVES[: 32 * size], index))

    for damaged in data.draw(damages(proof)):
        with pytest.raises(ProofError):
            check_inclusion(leaf(index), index, head(size), damaged)


@given(st.integers(2, 70), st.data())
def test_a_damaged_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    old_size = data.draw(st.integers(1, size - 1))
    proof = list(prove_consistency(LEAVES[: 32 * size], old_size))

    for damaged in data.draw(damages(proof)):
        with pytest.raises(ProofError):
            check_consistency(head(old_size), head(size), damaged)


@st.composite
def damages(draw: st.DrawFn, proof: list[bytes]) -> list[list[bytes]]:
    """Longer, shorter, reordered, flipped and cut copies of a proof."""
    garbage = draw(st.binary(min_size=32, max_size=32))
    at = draw(st.integers(0, len(proof)))
    damaged = [[*proof[:at], garbage, *proof[at:]], [*proof[:at], b"", *proof[at:]], [*proof, EMPTY_ROOT]]
    if proof:
        at %= len(proof)
        bit = draw(st.integers(0, 255))
        damaged += [
            proof[:at] + proof[at + 1 :],
            [*proof[:at], proof[at], *proof[at:]],
            [*proof[:at], flipped(proof[at])[bit], *proof[at + 1 :]],
            [*proof[:at], proof[at][:31], *proof[at + 1 :]],
            [*proof[:at], proof[at] + b"\x00", *proof[at + 1 :]],
        ]
    if proof[::-1] != proof:
        damaged.append(proof[::-1])
    return damaged


@pytest.mark.parametrize("size", [1, 7, 8])
def test_equal_sizes_with_other_roots_are_refused(size: int) -> None:
    other = TreeHead(size, tree_root(hash_leaves([b"x"] * size)))

    with pytest.raises(ProofError, match="gives root"):
        check_consistency(head(size), other, ())


@pytest.mark.parametrize("size", [1, 7, 8])
def test_equal_heads_need_no_proof_and_take_none(size: int) -> None:
    check_consistency(head(size), head(size), ())

    with pytest.raises(ProofError, match="too few or too many"):
        check_consistency(head(size), head(size), [leaf(0)])


def test_a_rollback_is_refused() -> None:
    with pytest.raises(ProofError, match="leaves were removed"):
        check_consistency(head(8), head(7), prove_consistency(LEAVES[: 32 * 8], 7))


def test_a_changed_early_leaf_is_not_an_append() -> None:
    changed = leaf(9) + LEAVES[32 : 32 * 13]
    new = TreeHead(13, tree_root(changed))

    for old_size in range(1, 13):
        with pytest.raises(ProofError, match="gives root"):
            check_consistency(head(old_size), new, prove_consistency(changed, old_size))


def test_a_proof_from_the_empty_tree_with_hashes_is_refused() -> None:
    with pytest.raises(ProofError, match="too few or too many"):
        check_consistency(TreeHead(0, EMPTY_ROOT), head(1), [leaf(0)])


def test_an_empty_proof_between_sizes_is_refused() -> None:
    for old_size, size in [(1, 2), (3, 4), (4, 7), (5, 7)]:
        with pytest.raises(ProofError, match="too few or too many"):
            check_consistency(head(old_size), head(size), ())


def test_nothing_is_in_the_empty_tree() -> None:
    with pytest.raises(ProofError, match="below the tree size"):
        check_inclusion(EMPTY_ROOT, 0, TreeHead(0, EMPTY_ROOT), ())


@pytest.mark.parametrize(
    ("size", "root"),
    [(-1, EMPTY_ROOT), (10**18, EMPTY_ROOT), (1, b""), (1, bytes(31)), (1, bytes(33)), (0, bytes(32))],
    ids=["negative", "beyond a column", "no root", "short root", "long root", "empty tree with a root"],
)
def test_a_head_that_no_tree_has_is_refused(size: int, root: bytes) -> None:
    with pytest.raises(ProofError, match=r"tree head|root"):
        TreeHead(size, root)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_proof_of_anything_but_hashes_is_refused(length: int) -> None:
    """Before any is hashed: a length must not be what joins two of them."""
    for position in (0, 1):
        proof = [bytes(32), bytes(32)]
        proof[position] = bytes(length)
        with pytest.raises(ProofError, match=f"hash {position}: expected 32 bytes, got {length}"):
            check_inclusion(leaf(0), 0, head(4), proof)
        with pytest.raises(ProofError, match=f"hash {position}: expected 32 bytes, got {length}"):
            check_consistency(head(3), head(4), proof)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_leaf_that_is_not_a_hash_is_refused(length: int) -> None:
    with pytest.raises(ProofError, match="expected 32 bytes"):
        check_inclusion(bytes(length), 0, head(1), ())
