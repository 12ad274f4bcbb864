"""Offline proofs that an entry is in a log, as C2SP tlog-proof v1 writes them (`.tlog-proof` files).

    c2sp.org/tlog-proof@v1
    extra <base64>              left out when there is none; nothing vouches for it
    index <decimal>
    <base64 of a hash>          one line each, the leaf's sibling first
    <empty line>
    <the checkpoint's note, byte for byte>

The entry itself is not inside: whoever checks has it, and hashes it into the leaf.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog.checkpoint import open_checkpoint
from audit_pipeline.tlog.encoding import MAX_DECIMAL, decode_ascii, format_base64, parse_base64, parse_decimal, shown
from audit_pipeline.tlog.keys import Verifier
from audit_pipeline.tlog.merkle import HASH_BYTES, check_inclusion
from audit_pipeline.tlog.note import MAX_NOTE_BYTES

MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES
MAX_PROOF_HASHES = 64  # a tree of 2**64 leaves has no longer path
_TAG = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Where an entry is in a log, and what shows it."""

    index: int
    hashes: tuple[bytes, ...]
    """The leaf's sibling first."""
    checkpoint: bytes
    """A signed note, not opened yet."""
    extra: bytes = b""
    """For the application; anyone may have changed it."""

    def __post_init__(self) -> None:
        if not 0 <= self.index <= MAX_DECIMAL:
            raise ProofError(f"tlog-proof: expected an index from 0 to 10**18 - 1, got {self.index}")
        if len(self.hashes) > MAX_PROOF_HASHES or any(len(sibling) != HASH_BYTES for sibling in self.hashes):
            raise ProofError(f"tlog-proof: expected at most {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes each")


def format_proof(proof: InclusionProof) -> bytes:
    lines = [_TAG]
    if proof.extra:
        lines.append(f"extra {format_base64(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines.extend(format_base64(sibling) for sibling in proof.hashes)
    return "\n".join([*lines, "", ""]).encode() + proof.checkpoint


def parse_proof(encoded: bytes) -> InclusionProof:
    """The proof that `format_proof` wrote. It shows nothing before `check_proof` has passed.

    Raises:
        ProofError: it is not such a proof, or is one written another way.
    """
    if len(encoded) > MAX_PROOF_BYTES:
        raise ProofError(f"tlog-proof: expected at most {MAX_PROOF_BYTES} bytes, got {len(encoded)}")
    opening, found, checkpoint = encoded.partition(b"\n\n")
    if not found or not checkpoint:
        raise ProofError("tlog-proof: expected an empty line and a checkpoint after the hashes")
    lines = decode_ascii(opening, "tlog-proof").split("\n")
    tag, lines = lines[0], lines[1:]
    if tag != _TAG:
        raise ProofError(f"tlog-proof: expected the first line {_TAG}, got {shown(tag)}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = parse_base64(lines.pop(0).removeprefix("extra "), "tlog-proof: extra")
    if not lines or not lines[0].startswith("index "):
        raise ProofError(f"tlog-proof: expected a line index <decimal>, got {shown(lines[:1])}")
    index = parse_decimal(lines.pop(0).removeprefix("index "), "tlog-proof: index")
    hashes = tuple(parse_base64(line, "tlog-proof: hash") for line in lines)
    proof = InclusionProof(index, hashes, checkpoint, extra)
    if format_proof(proof) != encoded:
        raise ProofError("tlog-proof: an empty extra line: leave it out")
    return proof


def check_proof(proof: InclusionProof, leaf: bytes, verifiers: Iterable[Verifier]) -> None:
    """Check that leaf hash `leaf` is at the proof's index in a log whose key is among `verifiers`.

    Raises:
        ProofError: the checkpoint is not signed by its log, or the hashes do not join the leaf to its root.
    """
    checkpoint, _ = open_checkpoint(proof.checkpoint, verifiers)
    check_inclusion(leaf, proof.index, checkpoint.head, proof.hashes)
