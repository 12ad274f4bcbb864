"""Handovers: who believes which key of a log, and what no forger can make of them."""

import dataclasses
from datetime import UTC, date, datetime

import pytest

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import LogKeys, SealEntry, Signer, follow_handovers, keys_of, make_handover, open_handover
from audit_pipeline.tlog.trust import Trust, open_trusted
from tests.tlog.support import LAKE, digest_of, flipped, signer

NAME = f"log.example/{LAKE}"
KEYS = [signer(NAME, seed=f"key {number}") for number in range(4)]
ROTATED_AT = (2, 3, 6)
"""Indexes of the `key` entries."""


def turn(index: int, old: Signer | None = None, new: Signer | None = None) -> SealEntry:
    handover = None if old is None or new is None else (tlog.format_vkey(old.verifier), tlog.format_vkey(new.verifier))
    return SealEntry(
        kind="seal" if handover is None else "key",
        lake=LAKE,
        day=date(2026, 11, 3),
        segment=index + 1,
        previous=None,
        sources=0,
        records=0,
        size=0,
        root=tlog.EMPTY_ROOT.hex(),
        adapters=(),
        pseudonym_key=None,
        policy=digest_of("policy"),
        time=datetime(2026, 11, 3, tzinfo=UTC),
        nonce=digest_of(index),
        handover=handover,
    )


def made_log() -> list[SealEntry]:
    log, at = [], 0
    for index in range(9):
        is_turn = index in ROTATED_AT
        log.append(turn(index, KEYS[at], KEYS[at + 1]) if is_turn else turn(index))
        at += is_turn
    return log


LOG = made_log()
LEAVES = tlog.hash_leaves(map(tlog.format_seal, LOG))
HANDOVERS = [make_handover(LOG[: index + 1], KEYS[number], KEYS[number + 1]) for number, index in enumerate(ROTATED_AT)]


def checkpoint(size: int, *signers: Signer) -> bytes:
    return tlog.sign_checkpoint(tlog.Checkpoint(NAME, size, tlog.tree_root(LEAVES[: 32 * size])), *signers)


def trusting(*keys: Signer) -> Trust:
    return Trust(tuple(key.verifier for key in keys))


def test_a_key_entry_is_written_and_read_with_its_two_keys_and_nothing_else() -> None:
    encoded = tlog.format_seal(LOG[2])

    assert encoded.decode().endswith(
        f"\nold {tlog.format_vkey(KEYS[0].verifier)}\nnew {tlog.format_vkey(KEYS[1].verifier)}\n"
    )
    assert tlog.parse_seal(encoded) == LOG[2]
    for changes in (
        {"handover": None},
        {"kind": "seal"},
        {"kind": "freeze"},
        {"records": 1},
        {"root": digest_of("x")},
        {"pseudonym_key": "k"},
        {"handover": ("a b", "c")},
    ):
        with pytest.raises(InputError):
            tlog.format_seal(dataclasses.replace(LOG[2], **changes))  # type: ignore[arg-type]
    tlog.format_seal(dataclasses.replace(LOG[0], kind="freeze"))


def test_the_keys_of_a_log_follow_from_its_entries() -> None:
    keys = keys_of(KEYS[0].verifier, LOG)

    assert keys == LogKeys(tuple(key.verifier for key in KEYS), (3, 4, 7))
    in_force = [keys.keys.index(keys.in_force(size)) for size in range(10)]
    assert in_force == [0, 0, 0, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    "turns",
    [
        [turn(0, KEYS[1], KEYS[2])],
        [turn(0, KEYS[0], KEYS[1]), turn(1, KEYS[0], KEYS[2])],
        [turn(0, KEYS[0], KEYS[1]), turn(1, KEYS[1], KEYS[0])],
        [turn(0, KEYS[0], KEYS[0])],
        [turn(0, KEYS[0], signer("log.example/other"))],
        [turn(0, KEYS[0], signer(NAME, tlog.ED25519_COSIGNATURE))],
    ],
    ids=["from another key", "the old key again", "back to an old key", "to itself", "another name", "a cosigner"],
)
def test_entries_that_hand_over_to_no_next_key_are_refused(turns: list[SealEntry]) -> None:
    with pytest.raises(ProofError):
        keys_of(KEYS[0].verifier, turns)


def test_each_trusted_key_leads_to_all_that_follow_it_and_none_before() -> None:
    for number in range(4):
        keys = follow_handovers([KEYS[number].verifier], HANDOVERS)
        assert keys is not None
        assert keys.keys == tuple(key.verifier for key in KEYS[number:])
        assert keys.sizes == (3, 4, 7)[number:]
    assert follow_handovers([KEYS[0].verifier], []) is None
    with pytest.raises(ProofError, match="lead from no key that you trust"):
        follow_handovers([signer(NAME, seed="other").verifier], HANDOVERS)


def test_handovers_out_of_order_or_with_a_gap_are_refused() -> None:
    for wrong in (HANDOVERS[::-1], [HANDOVERS[0], HANDOVERS[2]], [HANDOVERS[0], HANDOVERS[0]]):
        with pytest.raises(ProofError, match="does not follow on"):
            follow_handovers([KEYS[0].verifier], wrong)


def test_a_checkpoint_must_be_signed_by_the_key_in_force_at_its_size() -> None:
    for size in range(1, 10):
        for number, key in enumerate(KEYS):
            needed = sum(size > index for index in ROTATED_AT)
            if number == needed:
                assert open_trusted(checkpoint(size, key), trusting(KEYS[0]), HANDOVERS)[0].size == size
                continue
            with pytest.raises(ProofError, match="the key in force"):
                open_trusted(checkpoint(size, key), trusting(KEYS[0]), HANDOVERS)


def test_in_the_overlap_both_signatures_stand_and_each_verifier_goes_by_its_own() -> None:
    both = checkpoint(9, KEYS[3], KEYS[2])

    assert open_trusted(both, trusting(KEYS[2]), [])[0].size == 9
    assert open_trusted(both, trusting(KEYS[3]), [])[0].size == 9
    assert len(open_trusted(both, trusting(KEYS[0]), HANDOVERS)[1].signatures) == 2


def test_who_trusts_the_new_key_alone_does_not_believe_the_old_one() -> None:
    """Of a short log that an old key signs nobody can tell offline whether it is the beginning of the long one."""
    for handovers in (HANDOVERS, HANDOVERS[2:], []):
        with pytest.raises(ProofError):
            open_trusted(checkpoint(2, KEYS[0]), trusting(KEYS[3]), handovers)


def test_who_trusts_the_old_key_alone_and_sees_no_handover_believes_it() -> None:
    """The stated limit: docs/threat-model.md."""
    assert open_trusted(checkpoint(9, KEYS[0]), trusting(KEYS[0]), [])[0].size == 9


def test_a_flipped_bit_of_a_handover_is_refused() -> None:
    for damaged in flipped(HANDOVERS[0]):
        with pytest.raises((ProofError, InputError)):
            open_handover(damaged)


def test_a_handover_signed_by_one_key_by_others_or_by_more_is_refused() -> None:
    other = signer(NAME, seed="other")
    third = HANDOVERS[0] + checkpoint(3, other).rpartition(b"\n\n")[2]
    one = HANDOVERS[0][: HANDOVERS[0].rindex("\u2014 ".encode())]
    twice = make_handover(LOG[:3], KEYS[0], KEYS[0])
    for wrong in (third, one, twice, make_handover(LOG[:3], other, KEYS[1]), make_handover(LOG[:3], KEYS[0], other)):
        with pytest.raises(ProofError):
            open_handover(wrong)


def test_a_handover_is_of_the_last_entry_of_its_checkpoint_and_of_its_own_log() -> None:
    proof = tlog.parse_proof(HANDOVERS[0])
    longer = dataclasses.replace(
        proof, hashes=tlog.prove_inclusion(LEAVES[: 32 * 5], 2), checkpoint=checkpoint(5, KEYS[0], KEYS[1])
    )
    no_turn = dataclasses.replace(proof, extra=tlog.format_seal(LOG[0]))
    elsewhere = dataclasses.replace(LOG[2], lake="f" * 32)
    others = make_handover([*LOG[:2], elsewhere], KEYS[0], KEYS[1])
    for wrong in (tlog.format_proof(longer), tlog.format_proof(no_turn), others):
        with pytest.raises(ProofError):
            open_handover(wrong)
