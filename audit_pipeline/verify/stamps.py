"""The timestamps of the log's checkpoints, compared with its entries and with whom the verifier trusts to stamp."""

import re
from collections.abc import Sequence

from audit_pipeline import tlog
from audit_pipeline.attest.stamps import check_stamp, response_name, stamp_name
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.opened import Lake
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify.findings import Findings

STAMP = re.compile(r"log/stamps/([1-9][0-9]{0,17})(\.tsr)?")


def is_due_stamp(lake: Lake, size: int, entries: int) -> bool:
    """Whether the log was of this size, and its note is there, without which a response stamps nothing."""
    return size <= entries and lake.log.exists(stamp_name(size))


def check_stamps(
    lake: Lake,
    leaves: bytes,
    checkpoint: tlog.Checkpoint,
    keys: tlog.LogKeys,
    trust: Trust | None,
    findings: Findings,
) -> None:
    """Every stamped note is a checkpoint of this log, every timestamp one of it by somebody who is trusted to stamp."""
    names = [match for name in lake.log.names("stamps") if (match := STAMP.fullmatch(f"log/{name}"))]
    sizes = sorted({int(match[1]) for match in names if match[2] is None and int(match[1]) <= len(leaves) // 32})
    roots = trust.timestampers if trust else {}
    shown = None
    for size in sizes:
        head = tlog.Checkpoint(checkpoint.origin, size, tlog.tree_root(leaves[: 32 * size], hash_nodes))
        found = findings.guard("log", lambda head=head: _check_stamp(lake, head, keys, list(roots.values())))  # type: ignore[misc]
        shown = found if size == checkpoint.size else shown
    if shown:
        findings.levels.append("timestamped")
        findings.notes.append(f"the checkpoint was stamped at {shown}")
    elif roots:
        findings.notes.append(f"the checkpoint of size {checkpoint.size} has no timestamp yet: run the day again")
    elif sizes:
        findings.notes.append("timestamps were not compared: no `timestamper` of a trust file says whose would count")


def _check_stamp(lake: Lake, head: tlog.Checkpoint, keys: tlog.LogKeys, roots: Sequence[bytes]) -> str | None:
    """When it was stamped; None where there is no timestamp yet, or none that could be compared."""
    path, note = lake.log.path(stamp_name(head.size)), lake.log.get(stamp_name(head.size)) or b""
    line = tlog.signature_line(head, note, keys.in_force(head.size))
    if line is None or note != f"{tlog.format_checkpoint(head)}\n{line}".encode():
        raise ProofError(
            f"{path}: is not the checkpoint of this log of that size; restore it from a backup, or remove it"
        )
    answer = lake.log.get(response_name(head.size))
    if answer is None or not roots:
        return None
    try:
        return check_stamp(note, answer, roots)
    except ProofError as err:
        raise ProofError(f"{lake.log.path(response_name(head.size))}: {err}") from err
