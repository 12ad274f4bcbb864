"""Others who vouch for a checkpoint: witnesses that cosign it, an authority that says when it was there."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from audit_pipeline import tlog
from audit_pipeline.attest.witnesses import ask_witness
from audit_pipeline.errors import AuditError, InputError, ProofError, StorageError
from audit_pipeline.tlog.trust import Trust, parse_trust, quorum_holds

_ANY_LOG = tlog.Verifier("any", tlog.ED25519, bytes([2]) + bytes(31))  # stands for the log that the lines are for


@dataclass(frozen=True, slots=True)
class Attesters:
    """Who is asked for each checkpoint."""

    witnesses: str = ""
    """Lines of a C2SP tlog-policy, without `log`. A quorum other than `none` must cosign what is published."""
    authority: str | None = None
    """URL of a time-stamping authority (RFC 3161)."""

    def trust(self, log: tlog.Verifier) -> Trust:
        """The witnesses as they are written in a trust file of this log."""
        return parse_trust(f"log {tlog.format_vkey(log)}\n{self.witnesses}".encode())


NOBODY = Attesters()


def check_witnesses(lines: str) -> None:
    """Check lines of a tlog-policy that a profile gives, where the log is not known yet.

    Raises:
        ValueError: a line is wrong, or of another kind than `witness`, `group` and `quorum`.
    """
    words = [line.split()[0] for line in lines.splitlines() if line.strip() and not line.strip().startswith("#")]
    if other := [word for word in words if word not in ("witness", "group", "quorum")]:
        raise ValueError(f"{other[0]!r}: expected lines witness <name> <vkey> <url>, group …, quorum <name>|none")
    try:
        trust = Attesters(lines).trust(_ANY_LOG)
    except InputError as err:
        raise ValueError(str(err)) from err
    if without := sorted(trust.witnesses.keys() - trust.urls.keys()):
        raise ValueError(f"witness {without[0]}: expected its URL after the vkey")


def cosign(
    attesters: Attesters,
    note: bytes,
    published: bytes | None,
    leaves: bytes,
    keys: tlog.LogKeys,
    now: Callable[[], datetime],
    hash_nodes: tlog.HashNodes = tlog.hash_pairs,
) -> tuple[bytes, list[str]]:
    """The note with the cosignatures it could get, and what went wrong with the others.

    `published` is the checkpoint that was published last: of the same head its cosignatures are kept.

    Raises:
        StorageError: the quorum that the profile requires was not reached.
        ProofError: a witness has seen a larger log, so this one was cut or restored.
    """
    checkpoint, _ = tlog.open_checkpoint(note, keys.keys)
    trust = attesters.trust(keys.in_force(checkpoint.size))
    warnings: list[str] = []
    for name, url in trust.urls.items():
        verifier = trust.witnesses[name]
        line = tlog.signature_line(checkpoint, published or b"", verifier)
        if line is None:
            try:
                line = ask_witness(
                    url, verifier, note, checkpoint, leaves, _seen(published, verifier), now(), hash_nodes
                )
            except ProofError:
                raise
            except AuditError as err:
                warnings.append(f"witness {name}: {err}")
                continue
        note += line.encode()
    if trust.quorum is not None and not quorum_holds(trust, tlog.open_note(note, trust.verifiers)):
        raise StorageError(
            f"checkpoint {checkpoint.size}: the quorum {trust.quorum} of the profile did not cosign it "
            f"({'; '.join(warnings) or 'it has no witness with a URL'}); run again, or set `quorum none`"
        )
    return note, warnings


def _seen(published: bytes | None, verifier: tlog.Verifier) -> int:
    """The size of the last published checkpoint if this witness cosigned it, else 0."""
    try:
        opened = tlog.open_note(published or b"", [verifier])
    except ProofError:
        return 0
    return tlog.parse_checkpoint(opened.text).size
