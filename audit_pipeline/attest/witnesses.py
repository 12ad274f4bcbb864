"""Asking a witness to cosign a checkpoint (C2SP tlog-witness).

    POST <url>/add-checkpoint
    old <size of the newest checkpoint that the witness has cosigned>
    <base64 of a hash>          the consistency proof from there, at most 63
    <empty line>
    <the checkpoint's note>

200: its signature lines. 409: the size that it has cosigned, with which it is asked once more.
"""

from datetime import datetime, timedelta

from audit_pipeline import tlog
from audit_pipeline.attest.posting import post
from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.tlog.encoding import format_base64, parse_decimal, shown

MOST_CLOCKS_APART = timedelta(minutes=5)
_SIZE_CHANGED = 409


def ask_witness(
    url: str,
    verifier: tlog.Verifier,
    note: bytes,
    checkpoint: tlog.Checkpoint,
    leaves: bytes,
    seen: int,
    now: datetime,
    hash_nodes: tlog.HashNodes = tlog.hash_pairs,
) -> str:
    """The witness's signature line for this checkpoint. `seen` is the size that it has probably cosigned last.

    Raises:
        StorageError: it does not answer, refuses, or what it answers is not its cosignature of now.
        ProofError: it has cosigned a larger log of this name.
    """
    where = f"{url.rstrip('/')}/add-checkpoint"
    status, answer = post(where, "text/plain", format_request(note, checkpoint, leaves, seen, hash_nodes))
    if status == _SIZE_CHANGED:
        seen = _cosigned_size(where, answer)
        if seen > checkpoint.size:
            raise ProofError(
                f"{where}: has cosigned {checkpoint.origin} at size {seen}, here it has {checkpoint.size}: the log was "
                "cut or restored from an older backup, marks and all; see docs/recovery.md, `An older backup`"
            )
        status, answer = post(where, "text/plain", format_request(note, checkpoint, leaves, seen, hash_nodes))
    if status != 200:
        text = shown(answer[:80].decode(errors="replace").strip())
        raise StorageError(f"{where}: answered {status} {text}; ask who runs it")
    head = tlog.format_checkpoint(checkpoint).encode()
    try:
        (cosignature,) = tlog.open_note(head + b"\n" + answer, [verifier]).signatures
    except (ProofError, ValueError) as err:
        raise StorageError(f"{where}: the answer is not one cosignature by {verifier.name}: {err}") from err
    apart = abs(now.timestamp() - (cosignature.timestamp_s or 0))
    if apart > MOST_CLOCKS_APART.total_seconds():
        raise StorageError(f"{where}: the cosignature says a time {apart:.0f} s from ours; set the clocks right")
    return cosignature.line


def format_request(
    note: bytes,
    checkpoint: tlog.Checkpoint,
    leaves: bytes,
    seen: int,
    hash_nodes: tlog.HashNodes = tlog.hash_pairs,
) -> bytes:
    """The body of a request to a witness that has seen `seen` leaves of the log."""
    proof = tlog.prove_consistency(leaves, seen, hash_nodes) if seen <= checkpoint.size else ()
    lines = [f"old {seen}", *map(format_base64, proof), "", ""]
    return "\n".join(lines).encode() + note


def _cosigned_size(where: str, answer: bytes) -> int:
    try:
        return parse_decimal(answer.decode("ascii", "replace").removesuffix("\n"), f"{where}: size")
    except ProofError as err:
        raise StorageError(f"{err}; ask who runs it") from err
