"""The keys of a log, one after the other, and the handovers between them (docs/evidence-format.md section 5).

A handover is the proof of a `key` entry under the checkpoint that ends with it, signed by the key before and the key
after. It needs nothing beside it, so it is public, and whoever was given a key of the log can follow it to the next.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from audit_pipeline.tlog.encoding import shown
from audit_pipeline.tlog.entries import SealEntry, format_seal, parse_seal
from audit_pipeline.tlog.keys import ED25519, Signer, Verifier, parse_vkey
from audit_pipeline.tlog.merkle import HashNodes, hash_leaves, hash_pairs, leaf_hash, prove_inclusion, tree_root
from audit_pipeline.tlog.note import Note
from audit_pipeline.tlog.proof import InclusionProof, check_proof, format_proof, parse_proof


@dataclass(frozen=True, slots=True)
class Handover:
    """A handover that holds: each of the two keys says that the other is its neighbour."""

    old: Verifier
    new: Verifier
    checkpoint: Checkpoint
    """The log up to the entry and with it."""
    entry: bytes


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys of one log, in order."""

    keys: tuple[Verifier, ...]
    sizes: tuple[int, ...]
    """For each key but the first, the least size of a checkpoint that it must sign."""

    def in_force(self, size: int) -> Verifier:
        """The key that must sign a checkpoint of this size."""
        return self.keys[sum(size >= first for first in self.sizes)]

    def check_signed(self, checkpoint: Checkpoint, note: Note) -> None:
        """Check that the right one of these keys signed a checkpoint of their log.

        Raises:
            ProofError: another did, which was or will be in force at other sizes.
        """
        needed = self.in_force(checkpoint.size)
        if needed not in [signature.verifier for signature in note.signatures]:
            raise ProofError(
                f"checkpoint of {checkpoint.origin}, size {checkpoint.size}: the key in force, {needed.key_id.hex()}, "
                "did not sign it; ask for the one that the log published"
            )


def keys_of(first: Verifier, entries: Iterable[SealEntry]) -> LogKeys:
    """The keys that a log which began with `first` has had, by its own entries.

    Raises:
        ProofError: an entry names a key that was not in force, or hands over to no key that could follow.
    """
    keys, sizes = [first], []
    for index, entry in enumerate(entries):
        if entry.handover is None:
            continue
        old, new = _named(entry)
        if old != keys[-1] or new in keys:
            raise ProofError(f"entry {index}: hands over from {old.key_id.hex()}, in force is {keys[-1].key_id.hex()}")
        keys.append(new)
        sizes.append(index + 1)
    return LogKeys(tuple(keys), tuple(sizes))


def make_handover(entries: Sequence[SealEntry], old: Signer, new: Signer, hash_nodes: HashNodes = hash_pairs) -> bytes:
    """The handover by the last of a log's first entries. Whether they may be signed is the caller's to know."""
    encoded = [format_seal(entry) for entry in entries]
    leaves, index = hash_leaves(encoded), len(encoded) - 1
    checkpoint = Checkpoint(old.name, len(encoded), tree_root(leaves, hash_nodes))
    note = sign_checkpoint(checkpoint, old, new)
    return format_proof(InclusionProof(index, prove_inclusion(leaves, index, hash_nodes), note, extra=encoded[-1]))


def open_handover(encoded: bytes) -> Handover:
    """What a handover says. It shows nothing to who believes neither key.

    Raises:
        ProofError: it does not hold.
    """
    proof = parse_proof(encoded)
    entry = parse_seal(proof.extra)
    if entry.handover is None:
        raise ProofError(f"handover: its entry is of kind {entry.kind}, expected key")
    old, new = _named(entry)
    checkpoint, note = open_checkpoint(proof.checkpoint, [old, new])
    if len({signature.verifier for signature in note.signatures}) != 2 or note.unknown:
        raise ProofError(f"handover of {checkpoint.origin}: expected the signatures of the old and the new key alone")
    if checkpoint.size != proof.index + 1 or checkpoint.origin.rsplit("/", 1)[-1] != entry.lake:
        raise ProofError(f"handover of {checkpoint.origin}: its entry is not the last one of its checkpoint")
    check_proof(proof, leaf_hash(proof.extra), [old])
    return Handover(old, new, checkpoint, proof.extra)


def follow_handovers(trusted: Sequence[Verifier], handovers: Sequence[bytes]) -> LogKeys | None:
    """The keys that handovers, in order, lead to from one that is trusted, that one first; None where there are none.

    Keys from before it are left out: without the whole log nothing tells what they signed while they were in force.

    Raises:
        ProofError: a handover does not hold or follow on the one before, or none has to do with a trusted key.
    """
    opened = [open_handover(encoded) for encoded in handovers]
    if not opened:
        return None
    for before, after in pairwise(opened):
        if before.new != after.old or before.checkpoint.size >= after.checkpoint.size:
            raise ProofError(f"handover at size {after.checkpoint.size}: does not follow on the one before")
    keys = (opened[0].old, *(one.new for one in opened))
    sizes = tuple(one.checkpoint.size for one in opened)
    start = next((at for at, key in enumerate(keys) if key in trusted), None)
    if start is None:
        raise ProofError(
            f"handovers of {shown(keys[0].name)}: they lead from no key that you trust: give its first vkey"
        )
    return LogKeys(keys[start:], sizes[start:])


def _named(entry: SealEntry) -> tuple[Verifier, Verifier]:
    """The old and the new key of a `key` entry."""
    assert entry.handover is not None
    try:
        old, new = map(parse_vkey, entry.handover)
    except InputError as err:
        raise ProofError(f"key entry of {entry.day}/{entry.segment}: {err}") from err
    if old == new or old.name != new.name or {old.signature_type, new.signature_type} != {ED25519}:
        raise ProofError(f"key entry of {entry.day}/{entry.segment}: expected two keys of one log, of type 0x01")
    return old, new
