"""The log against itself: entries, checkpoint, tiles, mark, drafts."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import CLOCK_SKEW, draft_entries, read_log
from audit_pipeline.lake.marks import check_chain, newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.tlog.trust import Trust, quorum_holds
from audit_pipeline.verify.findings import CheckedLog, Findings

_SEAL_COLUMNS = ("day", "kind", "segment", "sources", "records", "root", "sealed_at")


def check_log(lake: Lake, seals: OpenTable, trust: Trust | None, listed: int, findings: Findings) -> CheckedLog:
    """Entries, checkpoint, tiles and mark say the same. `listed`: the entries that the newest inventory covers.

    Raises:
        AuditError: the log or its checkpoint cannot be read, so there is nothing to go by.
    """
    entries = tuple(read_log(seals))
    leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
    rows = sorted(seals.read(["index", *_SEAL_COLUMNS]).to_pylist(), key=lambda row: row["index"])
    for row, seal in zip(rows, entries, strict=True):
        said = (seal.day, seal.kind, seal.segment, seal.sources, seal.records, seal.root, seal.time)
        if said != tuple(row[name] for name in _SEAL_COLUMNS):
            findings.add("seals", f"row {row['index']}: its columns do not say what its entry says", seal.day)
    if (lake.log.get("vkey") or b"").decode(errors="replace").strip() != lake.vkey:
        findings.add("log", f"{lake.log.path('vkey')}: missing, or not the key of this lake; run the day again")
    published = lake.log.get("checkpoint")
    if published is None:
        raise StorageError(f"{lake.log.path('checkpoint')}: missing; run the day again, or restore it from a backup")
    verifiers = trust.verifiers if trust else (tlog.parse_vkey(lake.vkey),)
    checkpoint, note = tlog.open_checkpoint(published, verifiers)
    _check_head(lake, "checkpoint", leaves, checkpoint, findings)
    signed = min(checkpoint.size, len(entries))
    if len(entries) > signed:
        findings.notes.append(f"{len(entries) - signed} entries of the log are not signed yet: run the day again")
    if listed > checkpoint.size:
        message = f"checkpoint: size {checkpoint.size}, but the newest inventory covers {listed}; run the day again"
        findings.add("log", message)
    _check_tiles(lake, leaves, signed, findings)
    findings.levels.append("self-consistent")
    _check_mark(lake, leaves, checkpoint.size, findings)
    if trust is None:
        findings.notes.append("checked with the key beside the lake: who holds it can rewrite everything; give --trust")
        return CheckedLog(entries, signed, published.decode())
    findings.levels.append("signed")
    if trust.held is not None:
        held, _ = tlog.open_checkpoint(trust.held, verifiers)
        if held.size > checkpoint.size:
            findings.add("log", f"checkpoint: size {checkpoint.size}, but you hold one of size {held.size}")
        _check_head(lake, "the checkpoint you hold", leaves, held, findings)
        findings.levels.append("extends-held")
    if trust.quorum is not None:
        if quorum_holds(trust, note):
            findings.levels.append("witnessed")
        else:
            findings.add("log", f"checkpoint: the witnesses of the quorum {trust.quorum!r} did not cosign it")
    return CheckedLog(entries, signed, published.decode())


def _check_tiles(lake: Lake, leaves: bytes, signed: int, findings: Findings) -> None:
    """Every tile of the signed size is there; every tile that is there, of whichever size, has the log's hashes."""
    needed = dict(tlog.tiles_for(leaves[: 32 * signed], hash_nodes=hash_nodes))
    known = dict(tlog.tiles_for(leaves, hash_nodes=hash_nodes)) | needed  # a run that died leaves tiles not signed yet
    for path in sorted(needed.keys() | set(lake.log.names("tile"))):
        hashes = known.get(path) or _tile(path, known)
        if hashes is None or lake.log.get(path) != hashes:
            findings.add("log", f"{lake.log.path(path)}: missing, or differs from the entries")


def _tile(path: str, expected: Mapping[str, bytes]) -> bytes | None:
    """The hashes of a partial tile of an earlier size, from the tile that it grew into."""
    try:
        tile = tlog.parse_tile_path(path)
    except ProofError:
        return None
    of_now = [hashes for name, hashes in expected.items() if name.partition(".p/")[0] == path.partition(".p/")[0]]
    hashes = max(of_now, key=len, default=b"")[: 32 * tile.width]
    return hashes if len(hashes) == 32 * tile.width else None


def check_seals(
    lake: Lake, log: CheckedLog, committed: Mapping[SnapshotName, tlog.SourceEntry], findings: Findings
) -> set[SnapshotName]:
    """Each signed seal's draft gives its root, its sources were committed, and no source is sealed twice.

    Gives back the names of the snapshots under the seals.
    """
    newest: dict[date, tlog.SealEntry] = {}
    latest = datetime.min.replace(tzinfo=UTC)
    sealed: set[SnapshotName] = set()
    for seal in log.signed:
        before = newest.get(seal.day)
        newest[seal.day] = seal
        follows_on = (before.segment + 1, tlog.leaf_hash(tlog.format_seal(before)).hex()) if before else (1, None)
        if (seal.segment, seal.previous) != follows_on or seal.lake != lake.lake_id:
            findings.add("seals", f"segment {seal.segment}: does not follow on segment {follows_on[0] - 1}", seal.day)
        latest = max(latest, seal.time)
        if seal.time < latest - CLOCK_SKEW:
            findings.add("seals", f"segment {seal.segment}: made at {seal.time}, before an entry above it", seal.day)
        if seal.kind != "seal":
            findings.add("seals", f"segment {seal.segment}: is of the reserved kind {seal.kind!r}", seal.day)
        for entry in findings.guard("seals", lambda seal=seal: draft_entries(lake, seal)) or ():  # type: ignore[misc]
            name = (entry.source, entry.generation, entry.snapshot)
            if name in sealed:
                findings.add_of("seals", entry, "sealed twice")
            if committed.get(name) != entry:
                message = "sealed, but no commit of `records` says the same: the rows were removed or replaced"
                findings.add_of("records", entry, message)
            sealed.add(name)
    return sealed


def _check_mark(lake: Lake, leaves: bytes, published_size: int, findings: Findings) -> None:
    marks = lake.marks
    check_chain(marks)
    number, mark = newest_mark(marks)
    if mark is None:
        findings.notes.append("no mark: a log cut short could not be told from a young one")
        return
    head = tlog.Checkpoint(mark.origin, mark.size, bytes.fromhex(mark.root))
    _check_head(lake, f"mark {number}", leaves, head, findings)
    if mark.size > published_size:
        findings.add(
            "log",
            f"checkpoint: size {published_size}, but mark {number} says {mark.size} was signed; run the day again",
        )
    findings.levels.append("extends-own-mark")


def _check_head(lake: Lake, what: str, leaves: bytes, head: tlog.Checkpoint, findings: Findings) -> None:
    there = len(leaves) // 32
    if head.origin != lake.origin:
        findings.add("log", f"{what}: of {head.origin}, not of {lake.origin}")
    elif head.size > there:
        findings.add("seals", f"{what} covers {head.size} entries, {there} are there: the log was cut or restored")
    elif (found := tlog.tree_root(leaves[: 32 * head.size], hash_nodes)) != head.root:
        findings.add("seals", f"{what} says root {head.root.hex()}, the first {head.size} entries give {found.hex()}")
