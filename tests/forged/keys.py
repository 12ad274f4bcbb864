"""Rotations, handovers and freezes that nobody of ours made, and what the key holder can do with them."""

import dataclasses
import shutil
from collections.abc import Sequence
from datetime import date, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.appending import append_draft
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import draft_name, handover_name, read_log
from tests.forgeries import KEY, Forger, forgery
from tests.lakes import POLICY_DIGEST, TODAY


def their_key(forger: Forger, seed: bytes) -> tlog.Signer:
    """A forger's key under the log's name."""
    return tlog.Signer(forger.material.verifier.name, tlog.ED25519, Ed25519PrivateKey.from_private_bytes(seed * 32))


def append(
    forger: Forger, kind: str, handover: tuple[str, str] | None = None, day: date = TODAY
) -> list[tlog.SealEntry]:
    """One more entry, with its draft, row, commit and tiles; gives back the log."""
    lake = forger.lake.lake
    log = read_log(lake.open(SEALS))
    before = [seal for seal in log if seal.day == day]
    turn = dataclasses.replace(
        log[-1],
        kind=kind,
        day=day,
        segment=len(before) + 1,
        previous=tlog.leaf_hash(tlog.format_seal(before[-1])).hex() if before else None,
        sources=0,
        records=0,
        size=0,
        root=tlog.EMPTY_ROOT.hex(),
        adapters=(),
        pseudonym_key=None,
        policy=POLICY_DIGEST,
        handover=handover,
    )
    lake.evidence.put_new(draft_name(day, turn.segment), tlog.format_draft(turn, []))
    append_draft(lake, day, turn.segment, lambda: forger.lake.now, kind)
    log = read_log(lake.open(SEALS))
    for path, hashes in tlog.tiles_for(tlog.hash_leaves(map(tlog.format_seal, log)), hash_nodes=hash_nodes):
        lake.log.put_new(path, hashes)
    return log


def sign_head(forger: Forger, log: Sequence[tlog.SealEntry], signer: tlog.Signer) -> None:
    root = tlog.tree_root(tlog.hash_leaves(map(tlog.format_seal, log)), hash_nodes)
    note = tlog.sign_checkpoint(tlog.Checkpoint(signer.name, len(log), root), signer)
    forger.lake.lake.log.replace("checkpoint", note)


@forgery(
    "a rotation forged", "to a key of theirs", "without a handover", "from a key of theirs", "and its log's first key"
)
def _rotation(forger: Forger, place: str) -> None:
    old, new = their_key(forger, b"o"), their_key(forger, b"n")
    named = forger.material.verifier if place in ("to a key of theirs", "without a handover") else old.verifier
    log = append(forger, "key", (tlog.format_vkey(named), tlog.format_vkey(new.verifier)))
    if place != "without a handover":
        forger.lake.lake.log.put_new(handover_name(1), tlog.make_handover(log, old, new))
    if place == "and its log's first key":
        forger.stored("log/vkey").write_text(tlog.format_vkey(old.verifier) + "\n")
    sign_head(forger, log, new)


@forgery("a handover changed", "removed", "of another entry", "signed by one key alone", by=KEY)
def _handover(forger: Forger, place: str) -> None:
    signer, new = forger.signer(), their_key(forger, b"n")
    log = append(forger, "key", (tlog.format_vkey(signer.verifier), tlog.format_vkey(new.verifier)))
    handover = tlog.make_handover(log, signer, new)
    if place == "of another entry":
        other = dataclasses.replace(log[-1], nonce="0" * 64)
        handover = tlog.make_handover([*log[:-1], other], signer, new)
    elif place == "signed by one key alone":
        handover = handover[: handover.rindex("\u2014 ".encode())]
    if place != "removed":
        forger.lake.lake.log.put_new(handover_name(1), handover)
    sign_head(forger, log, new)


@forgery("the old key goes on after a rotation", "a longer log", "a shorter log", by=KEY)
def _old_key(forger: Forger, place: str) -> None:
    """Somebody who has the old key alone signs in place of the new one."""
    signer = forger.signer()
    forger.lake.rotate()
    log = read_log(forger.lake.lake.open(SEALS))
    sign_head(forger, log if place == "a longer log" else log[:-1], signer)


@forgery("an entry after a freeze", "a seal", "a key", by=KEY)
def _after_freeze(forger: Forger, place: str) -> None:
    signer = forger.signer()
    append(forger, "freeze")
    if place == "a seal":
        log = append(forger, "seal", day=TODAY + timedelta(days=1))
    else:
        new = their_key(forger, b"n")
        log = append(forger, "key", (tlog.format_vkey(signer.verifier), tlog.format_vkey(new.verifier)))
        forger.lake.lake.log.put_new(handover_name(1), tlog.make_handover(log, signer, new))
        signer = new
    sign_head(forger, log, signer)


@forgery("the log handed over to a key of theirs", by=KEY, found_at=())
def _handed_over(forger: Forger, _: str) -> None:
    """As `key rotate` does it: who has the key is the log, so keys are frozen, not rotated, when they are stolen."""
    marks = forger.stored("keys/marks")
    shutil.copytree(marks, forger.root / "before")
    forger.lake.rotate()
    shutil.rmtree(marks)
    (forger.root / "before").rename(marks)
