"""Offline proofs: their file, and what they do not show."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog import (
    Checkpoint,
    InclusionProof,
    check_proof,
    format_proof,
    leaf_hash,
    parse_proof,
    prove_inclusion,
    sign_checkpoint,
)

from .support import ENTRIES, LEAVES, checkpoint, flipped, numbers, signer

SIZE, INDEX = 13, 6
LOG = signer()
KNOWN = [LOG.verifier]
LEAF = leaf_hash(ENTRIES[INDEX])
NOTE = sign_checkpoint(checkpoint(SIZE), LOG)
PROOF = InclusionProof(INDEX, prove_inclusion(LEAVES[: 32 * SIZE], INDEX), NOTE)
ENCODED = format_proof(PROOF)
HASH = base64.b64encode(PROOF.hashes[0])

hashes = st.binary(min_size=32, max_size=32)
# The checkpoint is kept byte for byte, whatever it is; here too it is bytes that no format has touched.
proofs = st.builds(
    InclusionProof, numbers, st.lists(hashes, max_size=64).map(tuple), st.binary(min_size=1), st.binary(max_size=40)
)


@given(proofs)
def test_a_proof_reads_back_as_itself(proof: InclusionProof) -> None:
    assert parse_proof(format_proof(proof)) == proof


def test_the_bytes_of_a_proof_are_those_of_c2sp() -> None:
    """The layout of tlog-proof v1 written out by hand."""
    proof = InclusionProof(6, (bytes(32), b"\xff" * 32), NOTE, extra=b"\x00\x01\x02")

    assert format_proof(proof) == (
        b"c2sp.org/tlog-proof@v1\n"
        b"extra AAEC\n"
        b"index 6\n"
        b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        b"//////////////////////////////////////////8=\n"
        b"\n" + NOTE
    )


@pytest.mark.parametrize("index", range(SIZE))
def test_the_proof_of_each_entry_checks(index: int) -> None:
    proof = InclusionProof(index, prove_inclusion(LEAVES[: 32 * SIZE], index), NOTE)

    check_proof(parse_proof(format_proof(proof)), leaf_hash(ENTRIES[index]), KNOWN)


def test_the_only_entry_of_a_log_is_proved_without_hashes() -> None:
    proof = InclusionProof(0, (), sign_checkpoint(checkpoint(1), LOG))

    check_proof(parse_proof(format_proof(proof)), leaf_hash(ENTRIES[0]), KNOWN)


def check(encoded: bytes) -> None:
    check_proof(parse_proof(encoded), LEAF, KNOWN)


def test_any_flipped_bit_of_a_proof_is_refused() -> None:
    check(ENCODED)

    for damaged in flipped(ENCODED):
        with pytest.raises(ProofError):
            check(damaged)


def test_a_proof_cut_anywhere_is_refused() -> None:
    for length in range(len(ENCODED)):
        with pytest.raises(ProofError):
            check(ENCODED[:length])


@given(st.binary(min_size=1, max_size=80), st.integers(0, len(ENCODED)))
def test_garbage_in_a_proof_is_refused(garbage: bytes, at: int) -> None:
    with pytest.raises(ProofError):
        check(ENCODED[:at] + garbage + ENCODED[at:])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"@v1\n", b"@v2\n"),
        (b"@v1\n", b"@v1\r\n"),
        (b"@v1\n", b"@v1\n\n"),
        (b"index 6\n", b""),
        (b"index 6\n", b"index 06\n"),
        (b"index 6\n", b"index -6\n"),
        (b"index 6\n", b"index  6\n"),
        (b"index 6\n", b"index 6 \n"),
        (b"index 6\n", b"index \n"),
        (b"index 6\n", b"Index 6\n"),
        (b"index 6\n", b"index 6\nindex 6\n"),
        (b"index 6\n", b"extra \nindex 6\n"),
        (b"index 6\n", b"extra\nindex 6\n"),
        (b"index 6\n", b"extra AB==\nindex 6\n"),
        (b"index 6\n", b"extra AAEC\nextra AAEC\nindex 6\n"),
        (b"index 6\n", b"index 6\nextra AAEC\n"),
        (b"index 6\n", b"index 6\n\n"),
        (b"index 6\n", b"index 9999999999999999999\n"),
        (HASH, HASH[:-1]),
        (HASH, HASH + b" "),
        (HASH, base64.b64encode(bytes(31))),
        (HASH, base64.b64encode(bytes(33))),
        (HASH + b"\n", b""),
        (HASH, HASH + b"\n" + HASH),
        (b"\n\nlog", b"\nlog"),
        (b"\n\nlog", b"\n\n\nlog"),
    ],
)
def test_a_proof_written_another_way_is_refused(before: bytes, after: bytes) -> None:
    assert ENCODED.count(before) == 1

    with pytest.raises(ProofError):
        check(ENCODED.replace(before, after))


def test_bytes_that_are_not_ascii_are_refused_with_a_reason() -> None:
    with pytest.raises(ProofError, match="is not ASCII"):
        parse_proof(ENCODED.replace(b"index", b"ind\xe9x"))


@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        (ENCODED.replace(b"@v1", b"@v2"), "expected the first line"),
        (ENCODED.replace(b"index", b"Index"), "expected a line index"),
        (ENCODED.replace(b"index 6\n", b"extra \nindex 6\n"), "an empty extra line"),
        (ENCODED.partition(b"\n\n")[0], "expected an empty line and a checkpoint"),
    ],
    ids=["version", "index", "extra", "checkpoint"],
)
def test_what_is_wrong_with_a_proof_is_named(encoded: bytes, why: str) -> None:
    with pytest.raises(ProofError, match=why):
        parse_proof(encoded)


@pytest.mark.parametrize("index", [-1, 10**18])
def test_an_index_that_no_proof_can_write_is_refused(index: int) -> None:
    with pytest.raises(ProofError, match="expected an index from 0"):
        InclusionProof(index, PROOF.hashes, NOTE)


def test_more_hashes_than_any_tree_needs_are_refused() -> None:
    with pytest.raises(ProofError, match="at most 64 hashes"):
        InclusionProof(0, (bytes(32),) * 65, NOTE)


def test_a_proof_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ProofError, match="at most 2000000 bytes"):
        parse_proof(ENCODED + b"x" * 2_000_000)


def test_extra_bytes_are_given_back_and_vouched_for_by_nobody() -> None:
    """C2SP tlog-proof: nothing authenticates them, so another extra leaves the proof good."""
    for extra in (b"one", b"two"):
        proof = parse_proof(format_proof(InclusionProof(PROOF.index, PROOF.hashes, NOTE, extra)))

        assert proof.extra == extra
        check_proof(proof, LEAF, KNOWN)


def test_a_proof_for_another_entry_is_refused() -> None:
    with pytest.raises(ProofError, match="gives root"):
        check_proof(PROOF, leaf_hash(ENTRIES[INDEX + 1]), KNOWN)


def test_a_proof_under_an_unknown_key_is_refused() -> None:
    with pytest.raises(ProofError, match="none of its 1 signatures"):
        check_proof(PROOF, LEAF, [signer("other.example").verifier])


def test_a_proof_against_a_checkpoint_of_another_tree_is_refused() -> None:
    """The tree size is taken from the signed checkpoint, never from the proof."""
    for size in (6, 7, 12, 14):
        other = sign_checkpoint(checkpoint(size), LOG)
        with pytest.raises(ProofError):
            check_proof(InclusionProof(PROOF.index, PROOF.hashes, other), LEAF, KNOWN)


def test_a_proof_whose_root_nobody_signed_is_refused() -> None:
    forger = signer(seed="forger")
    forged = sign_checkpoint(Checkpoint(LOG.name, 1, LEAF), forger)

    with pytest.raises(ProofError, match="none of its 1 signatures"):
        check_proof(InclusionProof(0, (), forged), LEAF, KNOWN)
