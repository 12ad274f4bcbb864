"""The log against itself: entries, checkpoint, tiles, mark, drafts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import CLOCK_SKEW, draft_entries, handover_name
from audit_pipeline.lake.marks import check_chain, newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.signers import custody_notes
from audit_pipeline.tlog.entries import WITHOUT_SOURCES
from audit_pipeline.tlog.trust import Trust, quorum_holds
from audit_pipeline.verify.findings import CheckedLog, Findings
from audit_pipeline.verify.stamps import check_stamps

_SEAL_COLUMNS = ("day", "kind", "segment", "sources", "records", "root", "sealed_at")


def check_keys(lake: Lake, entries: Sequence[tlog.SealEntry], trust: Trust | None, findings: Findings) -> tlog.LogKeys:
    """The keys of the log, by its entries. All of them are believed when one of those that `trust` names is among them.

    Raises:
        ProofError: none is, an entry hands over what was not in force, or a handover does not hold.
    """
    first = (lake.log.get("vkey") or b"").decode(errors="replace").strip()
    handed = [seal.handover for seal in entries if seal.handover is not None]
    keys = tlog.keys_of(tlog.parse_vkey(handed[0][0] if handed else lake.vkey), entries)
    own = tlog.parse_vkey(lake.vkey)
    if first != tlog.format_vkey(keys.keys[0]) or own not in keys.keys:
        findings.add("log", f"{lake.log.path('vkey')}: missing, or not the key of this lake; run the day again")
    believed = trust.logs if trust else (own,)
    if not any(key in believed for key in keys.keys):
        raise ProofError(f"{lake.origin}: none of its keys is one that you trust: give the vkey you were told")
    for number, (old, new, size) in enumerate(zip(keys.keys, keys.keys[1:], keys.sizes, strict=False), start=1):
        findings.guard("log", lambda: _check_handover(lake, number, old, new, entries[:size]))  # noqa: B023
    return keys


def _check_handover(
    lake: Lake, number: int, old: tlog.Verifier, new: tlog.Verifier, entries: Sequence[tlog.SealEntry]
) -> None:
    path = lake.log.path(handover_name(number))
    encoded = lake.log.get(handover_name(number))
    if encoded is None:
        raise StorageError(f"{path}: missing; end the rotation or run the day again, or restore it from a backup")
    try:
        handover = tlog.open_handover(encoded)
    except ProofError as err:
        raise ProofError(f"{path}: {err}") from err
    root = tlog.tree_root(tlog.hash_leaves(map(tlog.format_seal, entries)), hash_nodes)
    expected = (old, new, tlog.TreeHead(len(entries), root))
    if (handover.old, handover.new, handover.checkpoint.head) != expected:
        raise ProofError(f"{path}: is not of entry {len(entries) - 1} of this log; restore it from a backup")


def check_log(
    lake: Lake,
    seals: OpenTable,
    entries: tuple[tlog.SealEntry, ...],
    keys: tlog.LogKeys,
    trust: Trust | None,
    listed: int,
    findings: Findings,
) -> CheckedLog:
    """Entries, checkpoint, tiles and mark say the same. `listed`: the entries that the newest inventory covers.

    Raises:
        AuditError: the log's checkpoint cannot be read, so there is nothing to go by.
    """
    leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
    rows = sorted(seals.read(["index", *_SEAL_COLUMNS]).to_pylist(), key=lambda row: row["index"])
    # Where the rows are no log there are no entries, and that is a problem already.
    for row, seal in zip(rows, entries, strict=False):
        said = (seal.day, seal.kind, seal.segment, seal.sources, seal.records, seal.root, seal.time)
        if said != tuple(row[name] for name in _SEAL_COLUMNS):
            findings.add("seals", f"row {row['index']}: its columns do not say what its entry says", seal.day)
    published = lake.log.get("checkpoint")
    if published is None:
        raise StorageError(f"{lake.log.path('checkpoint')}: missing; run the day again, or restore it from a backup")
    verifiers = (*keys.keys, *(trust.verifiers if trust else ()))
    checkpoint, note = tlog.open_checkpoint(published, verifiers)
    keys.check_signed(checkpoint, note)
    _check_head(lake, "checkpoint", leaves, checkpoint, findings)
    signed = min(checkpoint.size, len(entries))
    if len(entries) > signed:
        findings.notes.append(f"{len(entries) - signed} entries of the log are not signed yet: run the day again")
    handed_over = max((size for n, size in enumerate(keys.sizes, 1) if lake.log.exists(handover_name(n))), default=0)
    if handed_over > checkpoint.size:
        message = f"checkpoint: size {checkpoint.size}, but a handover of the key covers {handed_over}"
        findings.add("log", f"{message}; run the day again")
    if listed > checkpoint.size:
        message = f"checkpoint: size {checkpoint.size}, but the newest inventory covers {listed}; run the day again"
        findings.add("log", message)
    _check_tiles(lake, leaves, signed, findings)
    findings.levels.append("self-consistent")
    _check_mark(lake, leaves, checkpoint.size, findings)
    findings.notes.extend(custody_notes(lake.places.signing_keys))
    if trust is None:
        check_stamps(lake, leaves, checkpoint, keys, None, findings)
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
    check_stamps(lake, leaves, checkpoint, keys, trust, findings)
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
    frozen = False
    for seal in log.signed:
        before = newest.get(seal.day)
        newest[seal.day] = seal
        follows_on = (before.segment + 1, tlog.leaf_hash(tlog.format_seal(before)).hex()) if before else (1, None)
        if (seal.segment, seal.previous) != follows_on or seal.lake != lake.lake_id:
            findings.add("seals", f"segment {seal.segment}: does not follow on segment {follows_on[0] - 1}", seal.day)
        latest = max(latest, seal.time)
        if seal.time < latest - CLOCK_SKEW:
            findings.add("seals", f"segment {seal.segment}: made at {seal.time}, before an entry above it", seal.day)
        if seal.kind not in ("seal", *WITHOUT_SOURCES):
            findings.add("seals", f"segment {seal.segment}: is of the reserved kind {seal.kind!r}", seal.day)
        if frozen:
            findings.add("seals", f"segment {seal.segment}: comes after the entry that froze the log", seal.day)
        frozen = frozen or seal.kind == "freeze"
        for entry in findings.guard("seals", lambda seal=seal: draft_entries(lake, seal)) or ():  # type: ignore[misc]
            name = (entry.source, entry.generation, entry.snapshot)
            if name in sealed:
                findings.add_of("seals", entry, "sealed twice")
            if committed.get(name) != entry:
                message = "sealed, but no commit of `records` says the same: the rows were removed or replaced"
                findings.add_of("records", entry, message)
            sealed.add(name)
    if frozen:
        findings.notes.append("the log was frozen: it ends here, and what came in since is in no log")
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
