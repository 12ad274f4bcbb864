"""What is checked: bundles of records, proofs of days, bundles of reports, each from its bytes up."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.records.canonical import SALT_BYTES, exceptions_digest, record_leaf, source_id
from audit_pipeline.tlog.bundle import BundledSeal, BundledSource, parse_bundle
from audit_pipeline.tlog.encoding import shown
from audit_pipeline.tlog.merkle import HASH_BYTES
from audit_pipeline.tlog.multiproof import root_from
from audit_pipeline.tlog.report_bundle import LEAVES_FILE, ReportBundle, open_report_bundle
from audit_pipeline.tlog.trust import Trust, open_trusted, quorum_holds

SIGNED, EXTENDS_HELD, WITNESSED = "signed", "extends-held", "witnessed"
_OK = ("ok", "")
_ODD_STATUSES = ("partial_tail", "quarantined")
_REASON = re.compile("[a-z0-9_]*")  # a newline in one would be digested as another exception


class CheckedRecord(NamedTuple):
    """A record that was in a source when its day was sealed. A tuple: of very many, a quarter of the time to make."""

    stream: str
    path: str
    """Relative to the stream's fixed folder."""
    source: str
    day: date
    generation: int
    snapshot: int
    position: int
    container: str
    status: str
    reason: str
    sealed_at: datetime
    """As the seal says, by the clock of who sealed."""
    record: bytes


@dataclass(frozen=True, slots=True)
class CheckedHead:
    """The checkpoint that everything was checked against."""

    origin: str
    size: int
    root: str
    levels: tuple[str, ...]
    """Of `signed`, `extends-held` and `witnessed`, those that were shown."""
    notes: tuple[str, ...]
    """What was not compared, and why."""


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """What a bundle shows."""

    head: CheckedHead
    records: tuple[CheckedRecord, ...]
    """In the order of the log, of the day trees, of positions."""


@dataclass(frozen=True, slots=True)
class CheckedDay:
    """What a day proof shows: this seal is entry `index` of the log."""

    head: CheckedHead
    index: int
    seal: tlog.SealEntry


@dataclass(frozen=True, slots=True)
class CheckedReport:
    """What a report bundle shows: these files are those that the log's key signed, these days are in the log."""

    head: CheckedHead | None
    """None where the report is the notice that nothing can be relied on, or nothing was sealed: it is of no log."""
    first: str
    last: str
    days: tuple[date, ...]
    """Whose last seals are in the log, with the roots that the report says."""
    counts: Mapping[str, int]
    """Controls by status, as whoever signed found them."""
    digests: Mapping[str, str]
    """SHA-256 of each file, hex."""


def check_bundle(bundle: bytes, trust: Trust) -> CheckedBundle:
    """What the bundle shows to whoever trusts `trust`.

    Raises:
        ProofError: it does not hold, or is not a bundle in its one form.
    """
    parsed = parse_bundle(bundle)
    checkpoint, note = open_trusted(parsed.checkpoint, trust, parsed.handovers)
    sources = [source for seal in parsed.seals for source in _seal_sources(seal, checkpoint)]
    leaves = {seal.index: tlog.leaf_hash(seal.entry) for seal in parsed.seals}
    _check_root("log", checkpoint.size, leaves, parsed.nodes, checkpoint.root.hex())
    if len({(of[0].source, of[0].generation, of[0].snapshot) for of in sources}) != len(sources):
        raise ProofError("bundle: a snapshot is there twice: each is sealed once, so the log is not one of ours")
    head = _check_head(checkpoint, note, trust, parsed.consistency)
    return CheckedBundle(head, tuple(record for of in sources for record in of))


def check_day(proof: bytes, entry: bytes, trust: Trust, handovers: Sequence[bytes] = ()) -> CheckedDay:
    """What a `.tlog-proof` shows of a seal entry. `handovers`, in order, lead from a key you trust to a newer one.

    Raises:
        ProofError: it does not hold, or the entry is not of a seal.
    """
    parsed = tlog.parse_proof(proof)
    checkpoint, note = open_trusted(parsed.checkpoint, trust, handovers)
    seal = tlog.parse_seal(entry)
    _check_seal(f"seal {parsed.index}", seal, checkpoint)
    tlog.check_inclusion(tlog.leaf_hash(entry), parsed.index, checkpoint.head, parsed.hashes)
    return CheckedDay(_check_head(checkpoint, note, trust, None), parsed.index, seal)


def check_report(bundle: bytes, trust: Trust) -> CheckedReport:
    """What a report bundle shows to whoever trusts `trust`.

    The statuses are what the signer says: rows that would show them are in the lake. Shown here is that the files are
    the signer's, and that the days' roots are in the log.

    Raises:
        ProofError: it does not hold.
    """
    opened = open_report_bundle(bundle, trust.logs)
    try:
        report = json.loads(opened.files["report.json"])
        period, counts = report["period"], {str(name): int(number) for name, number in report["counts"].items()}
        roots = {one["day"]: one["segments"][-1] for one in report["days"] if one["segments"]}
        first, last = str(period["first"]), str(period["last"])
        said = {"counts": report["counts"], "period": period, "isNotice": report["no_reliance"] is not None}
        proved = {day: (segment["index"], segment["root"]) for day, segment in roots.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as err:
        raise ProofError(f"report.json: is not of a report: {err}") from err
    for name, value in said.items():
        if opened.predicate.get(name) != value:
            raise ProofError(f"report bundle: its statement and report.json differ in {name}")
    head = _report_head(opened, trust)
    found = {status for status, number in counts.items() if number} - {"NOT_EVIDENCED"}
    if head is None and (roots or found - ({"FAIL"} if said["isNotice"] else set())):
        raise ProofError("report bundle: has no checkpoint, though it is no notice: nothing joins it to a log")
    days = tuple(_proved_day(opened, trust, day, proved[day], head) for day in sorted(proved))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(opened.files.items())}
    return CheckedReport(head, first, last, days, counts, digests)


def _report_head(opened: ReportBundle, trust: Trust) -> CheckedHead | None:
    if (note := opened.files.get("checkpoint")) is None:
        return None
    checkpoint, signed = open_trusted(note, trust, opened.handovers)
    said = tuple(opened.predicate.get(name) for name in ("origin", "logSize", "logRoot"))
    if said != (checkpoint.origin, checkpoint.size, checkpoint.root.hex()):
        raise ProofError(f"report bundle: its statement is of another checkpoint: {shown(said)}")
    return _check_head(checkpoint, signed, trust, _joined(opened, trust, checkpoint))


def _joined(opened: ReportBundle, trust: Trust, checkpoint: tlog.Checkpoint) -> tuple[int, bytes] | None:
    """(size of the held checkpoint, hashes that join it to this one), made of the leaves, if these give this one."""
    leaves = opened.files.get(LEAVES_FILE)
    if leaves is None or trust.held is None:
        return None
    if (len(leaves) // HASH_BYTES, tlog.tree_root(leaves)) != (checkpoint.size, checkpoint.root):
        raise ProofError("report bundle: its leaf hashes do not give the root of its checkpoint")
    held, _ = tlog.open_checkpoint(trust.held, trust.verifiers)
    if not 0 < held.size < checkpoint.size:
        return None
    return held.size, b"".join(tlog.prove_consistency(leaves, held.size))


def _proved_day(opened: ReportBundle, trust: Trust, day: str, said: tuple[int, str], head: CheckedHead | None) -> date:
    """The day, once its last seal is in the log under the bundle's checkpoint, and is the one that the report says."""
    names = f"proofs/{day}.tlog-proof", f"proofs/{day}.seal"
    if head is None or not opened.files.keys() >= {*names}:
        raise ProofError(f"report bundle: the report names a seal of {shown(day)}, and no proof of it is here")
    checked = check_day(opened.files[names[0]], opened.files[names[1]], trust, opened.handovers)
    found = checked.head.origin, checked.head.size, checked.head.root, checked.seal.day.isoformat()
    if found != (head.origin, head.size, head.root, day) or (checked.index, checked.seal.root) != said:
        raise ProofError(f"report bundle: the proof of {day} is of another seal than the report says")
    return checked.seal.day


def _seal_sources(bundled: BundledSeal, checkpoint: tlog.Checkpoint) -> list[list[CheckedRecord]]:
    """The records below a seal, by source. The seal's own place in the log is for the caller to check."""
    seal = tlog.parse_seal(bundled.entry)
    what = f"seal {bundled.index} of {seal.day}"
    _check_seal(what, seal, checkpoint)
    leaves = {source.index: tlog.leaf_hash(source.entry) for source in bundled.sources}
    _check_root(what, seal.size, leaves, bundled.nodes, seal.root)
    return [_source_records(what, source, seal) for source in bundled.sources]


def _check_seal(what: str, seal: tlog.SealEntry, checkpoint: tlog.Checkpoint) -> None:
    if seal.kind != "seal":
        raise ProofError(f"{what}: is an entry of kind {seal.kind}, which has no records")
    if seal.lake != checkpoint.origin.rsplit("/", 1)[-1]:
        raise ProofError(f"{what}: is of lake {seal.lake}, but the log is {shown(checkpoint.origin)}")


def _source_records(seal_name: str, bundled: BundledSource, seal: tlog.SealEntry) -> list[CheckedRecord]:
    entry = tlog.parse_source(bundled.entry)
    what = f"{seal_name}, source {entry.source}"
    odd = check_source(what, bundled, entry, seal)
    first = entry.position
    leaves = {found.position - first: record_leaf(found.salt, found.record) for found in bundled.records}
    _check_root(what, entry.records, leaves, bundled.nodes, entry.root)
    source = (entry.stream, bundled.path, entry.source, entry.day, entry.generation, entry.snapshot)
    return [
        CheckedRecord(*source, found.position, entry.container, *odd.get(found.position, _OK), seal.time, found.record)
        for found in bundled.records
    ]


def check_source(
    what: str, bundled: BundledSource, entry: tlog.SourceEntry, seal: tlog.SealEntry
) -> dict[int, tuple[str, str]]:
    """(status, reason) by position of the records that are not ok, once all but the records is found to be the entry's.

    Raises:
        ProofError: the entry is of another seal, the path of another source, or a status or salt not of the entry.
    """
    if (entry.lake, entry.day) != (seal.lake, seal.day):
        raise ProofError(f"{what}: is of lake {entry.lake} and day {entry.day}, its seal is not")
    if source_id(entry.stream, bundled.path) != entry.source:
        raise ProofError(f"{what}: the path {shown(bundled.path)} is another source's")
    for found in bundled.records:
        if len(found.salt) != SALT_BYTES:
            raise ProofError(f"{what}: a salt has {SALT_BYTES} bytes, that of {found.position} has not")
    return _check_exceptions(what, bundled, entry)


def _check_exceptions(what: str, bundled: BundledSource, entry: tlog.SourceEntry) -> dict[int, tuple[str, str]]:
    """(status, reason) by position of the records that are not ok, once the entry is found to say the same."""
    for position, status, reason in bundled.exceptions:
        is_there = entry.position <= position < entry.position + entry.records
        if not is_there or status not in _ODD_STATUSES or not _REASON.fullmatch(reason):
            raise ProofError(f"{what}: no record of it can be {shown((position, status, reason))}")
    if exceptions_digest(bundled.exceptions) != entry.exceptions:
        raise ProofError(f"{what}: a status or reason was changed")
    return {position: (status, reason) for position, status, reason in bundled.exceptions}


def _check_root(what: str, size: int, leaves: Mapping[int, bytes], nodes: bytes, root: str) -> None:
    try:
        found = root_from(size, leaves, nodes).hex()
    except ProofError as err:
        raise ProofError(f"{what}: {err}") from err
    if found != root:
        raise ProofError(f"{what}: expected the root {root}, what is here gives {found}")


def _check_head(
    checkpoint: tlog.Checkpoint, note: tlog.Note, trust: Trust, consistency: tuple[int, bytes] | None
) -> CheckedHead:
    levels, notes = [SIGNED], []
    if trust.held is not None:
        held, _ = tlog.open_checkpoint(trust.held, trust.verifiers)
        size, nodes = (held.size, b"") if held.size == checkpoint.size else consistency or (None, b"")
        if held.origin != checkpoint.origin:
            notes.append(f"not compared with the checkpoint you hold, which is of {held.origin}")
        elif size == held.size <= checkpoint.size:
            hashes = [nodes[at : at + HASH_BYTES] for at in range(0, len(nodes), HASH_BYTES)]
            tlog.check_consistency(held.head, checkpoint.head, hashes)
            levels.append(EXTENDS_HELD)
        else:
            notes.append(
                f"not compared with the checkpoint you hold, of size {held.size}: this one has size {checkpoint.size}, "
                "and no consistency proof from yours is here"
            )
    if trust.quorum is not None:
        if not quorum_holds(trust, note):
            raise ProofError(
                f"checkpoint of {checkpoint.origin}: the quorum {shown(trust.quorum)} of the trust file did not "
                "cosign it: ask for one that is cosigned, or trust `quorum none`"
            )
        levels.append(WITNESSED)
    return CheckedHead(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), tuple(levels), tuple(notes))
