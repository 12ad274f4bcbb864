"""The log against itself: entries, checkpoint, tiles, mark, drafts."""

from collections.abc import Mapping, Sequence
from datetime import date

from audit_pipeline import tlog
from audit_pipeline.errors import StorageError
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import draft_name, read_log
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.opened import SEALS, Lake
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.verify.findings import CheckedLog, Findings

_SEAL_COLUMNS = ("day", "kind", "segment", "sources", "records", "root", "sealed_at")


def check_log(lake: Lake, trusted: Sequence[tlog.Verifier], findings: Findings) -> CheckedLog:
    """Entries, checkpoint, tiles and mark say the same.

    Raises:
        AuditError: the log or its checkpoint cannot be read, so there is nothing to go by.
    """
    seals = lake.open(SEALS)
    entries = tuple(read_log(seals))
    leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
    rows = sorted(seals.read(["index", *_SEAL_COLUMNS]).to_pylist(), key=lambda row: row["index"])
    for row, seal in zip(rows, entries, strict=True):
        said = (seal.day, seal.kind, seal.segment, seal.sources, seal.records, seal.root, seal.time)
        if said != tuple(row[name] for name in _SEAL_COLUMNS):
            findings.add("seals", f"row {row['index']}: its columns do not say what its entry says", seal.day)
    published = lake.log.get("checkpoint")
    if published is None:
        raise StorageError(f"{lake.log.path('checkpoint')}: missing; run the day again, or restore it from a backup")
    checkpoint, _ = tlog.open_checkpoint(published, trusted or [tlog.parse_vkey(lake.vkey)])
    _check_head(lake, "checkpoint", leaves, checkpoint.origin, checkpoint.size, checkpoint.root.hex(), findings)
    signed = min(checkpoint.size, len(entries))
    if len(entries) > signed:
        findings.notes.append(f"{len(entries) - signed} entries of the log are not signed yet: run the day again")
    for path, hashes in tlog.tiles_for(leaves[: 32 * signed], hash_nodes=hash_nodes):
        if lake.log.get(path) != hashes:
            findings.add("log", f"{lake.log.path(path)}: missing, or differs from the entries")
    findings.levels.append("self-consistent")
    _check_mark(lake, leaves, checkpoint.size, findings)
    if trusted:
        findings.levels.append("signed")
    else:
        findings.notes.append("checked with the key beside the lake: who holds it can rewrite everything; give --trust")
    return CheckedLog(entries, signed)


def check_seals(
    lake: Lake, log: CheckedLog, committed: Mapping[SnapshotName, tlog.SourceEntry], findings: Findings
) -> set[SnapshotName]:
    """Each signed seal's draft gives its root, its sources were committed, and no source is sealed twice.

    Gives back the names of the snapshots under the seals.
    """
    newest: dict[date, tlog.SealEntry] = {}
    sealed: set[SnapshotName] = set()
    for seal in log.signed:
        before = newest.get(seal.day)
        newest[seal.day] = seal
        follows_on = (before.segment + 1, tlog.leaf_hash(tlog.format_seal(before)).hex()) if before else (1, None)
        if (seal.segment, seal.previous) != follows_on or seal.lake != lake.lake_id:
            findings.add("seals", f"segment {seal.segment}: does not follow on segment {follows_on[0] - 1}", seal.day)
        if seal.kind != "seal":
            findings.add("seals", f"segment {seal.segment}: is of the reserved kind {seal.kind!r}", seal.day)
        for entry in findings.guard("seals", lambda seal=seal: _draft_entries(lake, seal)) or ():  # type: ignore[misc]
            name = (entry.source, entry.generation, entry.snapshot)
            if name in sealed:
                findings.add_of("seals", entry, "sealed twice")
            if committed.get(name) != entry:
                message = "sealed, but no commit of `records` says the same: the rows were removed or replaced"
                findings.add_of("records", entry, message)
            sealed.add(name)
    return sealed


def _draft_entries(lake: Lake, seal: tlog.SealEntry) -> tuple[tlog.SourceEntry, ...]:
    name = draft_name(seal.day, seal.segment)
    draft = lake.evidence.get(name)
    if draft is None:
        raise StorageError(f"{lake.evidence.path(name)}: missing; restore it from a backup")
    drafted, entries = tlog.parse_draft(draft, hash_nodes)
    if drafted != seal:
        raise StorageError(f"{lake.evidence.path(name)}: is the draft of another seal; restore it from a backup")
    return entries


def _check_mark(lake: Lake, leaves: bytes, published_size: int, findings: Findings) -> None:
    number, mark = newest_mark(Folder(lake.places.marks))
    if mark is None:
        findings.notes.append("no mark: a log cut short could not be told from a young one")
        return
    _check_head(lake, f"mark {number}", leaves, mark.origin, mark.size, mark.root, findings)
    if mark.size > published_size:
        findings.add("log", f"checkpoint: size {published_size}, but mark {number} says {mark.size} was signed")
    findings.levels.append("extends-own-mark")


def _check_head(lake: Lake, what: str, leaves: bytes, origin: str, size: int, root: str, findings: Findings) -> None:
    there = len(leaves) // 32
    if origin != lake.origin:
        findings.add("log", f"{what}: of {origin}, not of {lake.origin}")
    elif size > there:
        findings.add("seals", f"{what} covers {size} entries, {there} are there: the log was cut or restored")
    elif (found := tlog.tree_root(leaves[: 32 * size], hash_nodes).hex()) != root:
        findings.add("seals", f"{what} says root {root}, the first {size} entries give {found}")
