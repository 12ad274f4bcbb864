"""The signed list of stored files: after each run, what it added, found by what commits, entries and tiles name.

Order: the inventory is put create-only, then the mark names it. A crash between the two leaves an inventory that the
next run marks before it makes another.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.lake.adoption import check_new_commits
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import checkpoint_step, commit_file, is_checkpointed
from audit_pipeline.lake.declared import RECORDS, SEALS, TABLES
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.inventories import digest_files, inventory_name, newest_number, read_inventory
from audit_pipeline.lake.logbook import draft_name, published_keys, read_log
from audit_pipeline.lake.logs_on_disk import LAST_CHECKPOINT, checkpoint_file
from audit_pipeline.lake.marks import chain_hash, newest_mark, put_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.signers import load_signers, signers_at

_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class InventoryReport:
    """The newest inventory, and what the call added to it."""

    number: int
    digest: str
    files_added: int
    """Files of the inventory that this call made; 0 where there was nothing to list."""


def take_inventory(lake: Lake, *, passphrase: bytes | None, checked: int = 0) -> InventoryReport | None:
    """List what was stored since the last inventory, and mark it. None before the first seal: nothing is signed yet.

    `checked`: the commit of `records` up to which the caller compared rows with entries. Here the later ones are.

    Raises:
        InputError: the key does not open.
        StorageError: a file that a commit names is gone, or the inventories are older than the newest mark.
        ProofError: the newest inventory is not one that this log signed.
    """
    signers = load_signers(lake.places, passphrase)
    marks, added = lake.marks, 0
    for _ in range(_ATTEMPTS):
        mark_number, mark = newest_mark(marks)
        if mark is None:
            return None
        number = newest_number(lake)
        keys = published_keys(lake)
        newest, digest = read_inventory(lake, number, keys.keys)
        if digest != mark.inventory:
            if newest is None or newest.previous != mark.inventory:
                raise StorageError(
                    f"{lake.evidence.path(inventory_name(number))}: the newest mark names another inventory; "
                    "see docs/recovery.md, `An older backup`"
                )
            # Made by a run that died, or by another worker, before its mark.
            after = tlog.Mark(mark.origin, chain_hash(marks, mark_number), mark.size, mark.root, digest, mark.ledger)
            put_mark(marks, mark_number + 1, after)
            continue
        fresh = _inventory(lake, newest, digest, mark.size, checked)
        if fresh is None:
            return None if digest is None else InventoryReport(number, digest, added)
        signer = signers_at(keys, fresh.log_size, signers)[0]
        if lake.evidence.put_new(inventory_name(fresh.number), tlog.sign_inventory(fresh, signer)):
            added = len(fresh.files)
    raise StorageError(f"{marks.root}: no inventory could be marked in {_ATTEMPTS} attempts; run again")


def _inventory(
    lake: Lake, before: tlog.Inventory | None, digest: str | None, log_size: int, checked: int
) -> tlog.Inventory | None:
    """What came since `before`; None where nothing did."""
    tables = {name: table for name, declared in TABLES.items() if (table := lake.find(declared)) is not None}
    versions = tuple(sorted((name, table.version) for name, table in tables.items()))
    covered = dict(before.tables) if before else {}
    sealed = before.log_size if before else 0
    if before is not None and (_due(versions), log_size) == (_due(before.tables), sealed):
        return None
    check_new_commits(lake, max(covered.get(RECORDS.name, 0), checked) + 1, {})
    paths = {path for name, table in tables.items() for path in _table_files(table, covered.get(name, -1) + 1)}
    paths.update(_log_files(lake, sealed, log_size))
    files = []
    for path, found in digest_files(lake, sorted(paths)):
        if found is None:
            raise StorageError(f"{path}: is named by what was stored, but is gone; restore it from a backup")
        if isinstance(found, StorageError):
            raise found
        files.append(found)
    number = 1 if before is None else before.number + 1
    return tlog.Inventory(lake.lake_id, number, digest, log_size, versions, tuple(files))


def _due(versions: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The tables whose new rows make an inventory by themselves."""
    return [(name, version) for name, version in versions if not TABLES[name].waits]


def _table_files(table: OpenTable, first: int) -> Iterator[str]:
    """What the commits from `first` on brought: themselves, what they name, and the checkpoints they led to."""
    folder = table.table.folder
    if first == 0:
        yield f"{folder}/{commit_file(0)}"
    for version, commit in table.commits(max(first, 1), table.version):
        yield f"{folder}/{commit_file(version)}"
        for file in commit.files:
            yield f"{folder}/{file.name}"
            if table.table == RECORDS:
                yield from (f"evidence/{name}" for name in objects_of(table, file.name))
    # From before `first` too: another worker may have written one after its version was listed.
    versions = filter(is_checkpointed, range(max(first - checkpoint_step(first), 0), table.version + 1))
    checkpoints = [*map(checkpoint_file, versions), LAST_CHECKPOINT]
    yield from (f"{folder}/{name}" for name in checkpoints if table.files.exists(name))


def objects_of(records: OpenTable, data_file: str) -> set[str]:
    """The evidence objects that the snapshots of a data file point at."""
    snapshots = read_batch(records, data_file).snapshots
    return {name for snapshot in snapshots for name in (snapshot["object"], snapshot["line_object"]) if name}


def _log_files(lake: Lake, first: int, size: int) -> Iterator[str]:
    """Drafts and tiles of the entries `first` to `size`, and the log's key."""
    entries = read_log(lake.open(SEALS))[:size]
    if len(entries) < size:
        raise ProofError(f"{lake.places.lake}: the log has {len(entries)} entries, its mark says {size}")
    if first == 0:
        yield "log/vkey"
    for seal in entries[first:]:
        yield f"evidence/{draft_name(seal.day, seal.segment)}"
    leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
    for published in range(first + 1, size + 1):
        for path, _ in tlog.tiles_for(leaves[: 32 * published], published - 1, hash_nodes):
            if lake.log.exists(path):  # of sizes that were never published there are no partial tiles
                yield f"log/{path}"
