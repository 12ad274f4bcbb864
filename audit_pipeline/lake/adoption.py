"""What is checked of a batch that this run did not write, before it becomes evidence.

A run that died, or another worker, leaves data files and commits for the next run to go on from; so can somebody who
writes the store and wants a lie signed.
"""

import re
from collections.abc import Mapping
from typing import Any

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake import evidence
from audit_pipeline.lake.ahead import map_ahead
from audit_pipeline.lake.batches import Batch, batch_file, read_batch
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.compression import decompressed, skip
from audit_pipeline.lake.data_files import describe_file
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import Place
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.rows import FoundRows, check_statistics, rows_of_file, snapshot_fault
from audit_pipeline.lake.stores import Store
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical

_REMOVE = "nothing of ours wrote it: remove it and run again"
_MOST = 2**63 - 1
_NONCE = re.compile("[0-9a-f]{64}")
_NUMBERS = ("quarantined", "partial_tails", "size_bytes", "mtime_ns", "resume_at", "resume_position")
_TEXTS = ("entry", "nonce", "path", "format", "format_evidence")
_OBJECTS = ("object", "line_object")
_FIELDS = {*_NUMBERS, *_TEXTS, *_OBJECTS, "is_complete", "mapping"}


def check_batch(lake: Lake, records: OpenTable, name: str) -> Batch:
    """The batch in the data file `name`, once footer, rows, statistics and kept objects are seen to fit.

    Raises:
        ProofError: it is not.
    """
    path = records.files.path(name)
    batch = read_batch(records, name)
    if name != batch_file(batch.stream, batch.day, batch.number) or batch.time.tzinfo is None:
        raise ProofError(f"{path}: is another batch under this name; {_REMOVE}")
    found = rows_of_file(records, name)
    for snapshot in batch.snapshots:
        entry = _check_snapshot(lake, batch, snapshot, path)
        fault = snapshot_fault(entry, found.pop((entry.source, entry.generation, entry.snapshot), FoundRows()))
        if fault is not None:
            raise ProofError(f"{path}: source {entry.source}: {fault}; {_REMOVE}")
    if found:
        raise ProofError(f"{path}: has rows of no entry; {_REMOVE}")
    check_statistics(records, name)
    return batch


def check_follows(batch: Batch, states: Mapping[str, SourceState], path: Place) -> None:
    """Check that each snapshot of a batch goes on from where its source was, as `states` has it.

    Raises:
        ProofError: one does not.
    """
    newest = {source: (state.generation, state.snapshot, state.resume_position) for source, state in states.items()}
    for snapshot in batch.snapshots:
        entry = tlog.parse_source(snapshot["entry"].encode())
        generation, number, position = newest.get(entry.source, (-1, 0, 0))
        follows = (entry.generation, entry.snapshot, entry.position)
        if follows not in {(generation, number + 1, position), (generation + 1, 0, 0)}:
            raise ProofError(f"{path}: source {entry.source}: does not go on from what is taken in; {_REMOVE}")
        newest[entry.source] = (entry.generation, entry.snapshot, snapshot["resume_position"])


def check_new_commits(lake: Lake, first: int, written: Mapping[str, str]) -> int:
    """Check the batches of the commits of `records` from `first` on; gives back the newest.

    `written`: SHA-256 by name of data files that a run of ours wrote. Of one that has these bytes the rows are known.

    Raises:
        ProofError: one is not of the rows that its entries say.
    """
    records = lake.find(RECORDS)
    if records is None:
        return 0
    commits = records.commits(max(first, 1), records.version)
    for _ in map_ahead(lambda numbered: _check_commit(lake, records, numbered[1], written), commits):
        pass  # the first that does not hold raises
    return records.version


def check_object(
    objects: Store, name: str, entry: tlog.SourceEntry, nonce: bytes, compression: str, start: int
) -> None:
    """Check that a kept object has the bytes that the entry's content digest is of.

    Raises:
        ProofError: it has not.
        StorageError: it is missing.
    """
    size_bytes = entry.end - entry.start
    with evidence.open_object(objects, name) as kept, decompressed(kept, compression) as stream:
        skip(stream, start)
        found = evidence.digest_stream(stream, nonce, size_bytes)
    if found != (entry.content, size_bytes):
        raise ProofError(f"{objects.path(name)}: not the bytes that were taken in; restore it from a backup")


def _check_commit(lake: Lake, records: OpenTable, commit: Commit, written: Mapping[str, str]) -> None:
    for file in commit.files:
        digest = records.files.digest(file.name) if file.name in written else None
        is_known = digest is not None and digest[1] == written[file.name]
        batch = read_batch(records, file.name) if is_known else check_batch(lake, records, file.name)
        said = f"ingest/{batch.stream}/{batch.day}", batch.number, milliseconds(batch.time), tuple(batch.entry_texts())
        is_said = said == (commit.app, commit.number, commit.time_ms, commit.entries)
        if not is_said or file != describe_file(records, file.name):
            path = records.files.path(file.name)
            raise ProofError(f"{path}: its commit says otherwise; see docs/recovery.md, `A batch that is not ours`")


def _check_snapshot(lake: Lake, batch: Batch, snapshot: Mapping[str, Any], path: Place) -> tlog.SourceEntry:
    is_typed = (
        snapshot.keys() == _FIELDS
        and all(isinstance(snapshot[key], str) for key in _TEXTS)
        and all(type(snapshot[key]) is int and 0 <= snapshot[key] <= _MOST for key in _NUMBERS)
        and isinstance(snapshot["is_complete"], bool)
        and _NONCE.fullmatch(snapshot["nonce"]) is not None
        and snapshot["format"] in ADAPTERS
        and isinstance(snapshot["mapping"], str | None)
    )
    if not is_typed:
        raise ProofError(f"{path}: its footer has a field that is not as we write it; {_REMOVE}")
    entry = tlog.parse_source(snapshot["entry"].encode())
    said = (entry.lake, entry.stream, canonical.source_id(batch.stream, snapshot["path"]))
    if said != (lake.lake_id, batch.stream, entry.source) or batch.day not in {"-", entry.day.isoformat()}:
        raise ProofError(f"{path}: source {entry.source}: is of another lake, stream, day or path; {_REMOVE}")
    folder = re.escape(f"{entry.stream}/{entry.source}/{entry.generation}-")
    for key, middle in (("object", ""), ("line_object", r"\.line")):
        name = snapshot[key]
        if name is None:
            continue
        if not isinstance(name, str) or not re.fullmatch(rf"{folder}[0-9]+{middle}(\.[0-9]+)?\.zst", name):
            raise ProofError(f"{path}: source {entry.source}: names an object that is not its own; {_REMOVE}")
        compression, start = ("none", 0) if key == "line_object" else (entry.compression, entry.start)
        check_object(lake.evidence, name, entry, bytes.fromhex(snapshot["nonce"]), compression, start)
    return entry
