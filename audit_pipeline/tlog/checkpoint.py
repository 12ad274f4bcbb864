"""Signed checkpoints: the one statement of a log about itself, and the only object of it that ever changes.

A checkpoint is a note whose text `head.py` describes. The log's key bears the log's origin as its name and signs with
type 0x01; witnesses may add cosignatures under names of their own.
"""

from collections.abc import Iterable

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.head import Checkpoint, format_checkpoint, parse_checkpoint
from audit_pipeline.tlog.keys import ED25519, Signer, Verifier
from audit_pipeline.tlog.note import Note, open_note, sign_note


def sign_checkpoint(checkpoint: Checkpoint, *signers: Signer) -> bytes:
    """The note to publish, with the signatures in the order of the keys: of several, the one in force first.

    Whether the log may sign is the caller's to know: it signs nothing that does not extend what it signed before.

    Raises:
        InputError: the key is not this log's, or is for cosigning.
    """
    for signer in signers:
        if signer.name != checkpoint.origin:
            raise InputError(
                f"checkpoint of {checkpoint.origin}: the key is named {signer.name}: use the key of this log"
            )
    return sign_note(format_checkpoint(checkpoint), signers)


def open_checkpoint(note: bytes, verifiers: Iterable[Verifier]) -> tuple[Checkpoint, Note]:
    """The checkpoint that its own log signed, and all that vouches for it.

    Raises:
        ProofError: the note does not open, is no checkpoint, or no trusted
            key of type 0x01 named like the origin signed it.
    """
    opened = open_note(note, verifiers)
    checkpoint = parse_checkpoint(opened.text)
    signed_by = [signature.verifier for signature in opened.signatures]
    if not any(key.signature_type == ED25519 and key.name == checkpoint.origin for key in signed_by):
        names = ", ".join(sorted({key.name for key in signed_by}))
        raise ProofError(f"checkpoint of {checkpoint.origin}: signed by {names}, not by its log: give the log's vkey")
    return checkpoint, opened


def signature_line(checkpoint: Checkpoint, note: bytes, verifier: Verifier) -> str | None:
    """The line by which a key signed this checkpoint in a note; None where it did not, whatever else the note says."""
    try:
        opened = open_note(note, [verifier])
    except ProofError:
        return None
    return opened.signatures[0].line if opened.text == format_checkpoint(checkpoint) else None


__all__ = [
    "Checkpoint",
    "format_checkpoint",
    "open_checkpoint",
    "parse_checkpoint",
    "sign_checkpoint",
    "signature_line",
]
