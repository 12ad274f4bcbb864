"""Snapshots hashed and encoded into the data file of a batch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.containers.lines import line_exceptions
from audit_pipeline.lake import hashing
from audit_pipeline.lake.batches import Batch, format_footer
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.lake.objects import NewObject
from audit_pipeline.lake.tables import OpenTable, write_parquet
from audit_pipeline.records import canonical
from audit_pipeline.sources.snapshots import Exception_, Items, Lines, Snapshot, Taken
from audit_pipeline.tlog import entries, merkle

_PIECE_BYTES = 4 << 20  # hashed and encoded at once
_ROW_GROUP_BYTES = 16 << 20  # small enough to prune by, large enough to scan

_REPEATED = pa.dictionary(pa.int32(), pa.string())
_WRITTEN = pa.schema([f.with_type(_REPEATED) if pa.types.is_string(f.type) else f for f in RECORDS.schema])
"""The schema of `records` with its texts as dictionaries: the files are the same, and are written faster."""


def write_batch(
    open_: OpenTable, name: str, lake_id: str, stream: str, day: str, number: int, taken: Sequence[Taken], now: datetime
) -> NewObject:
    """Hash and encode a batch into a data file that has no name yet; `publish` gives it the name."""
    new = open_.files.create(name)
    writer = write_parquet(new.file, _WRITTEN, RECORDS.indexed)
    with ExitStack() as undo:
        undo.enter_context(new)
        undo.callback(writer.close)
        rows = _RowGroups(writer)
        described = []
        for one in taken:
            leaves: list[bytes] = []
            exceptions: list[Exception_] = []
            for batch, leaf_hashes, odd in _pieces(one):
                rows.add(batch)
                leaves.append(leaf_hashes)
                exceptions += odd
            described.append(_describe(lake_id, one, b"".join(leaves), exceptions))
        rows.flush()
        footer = Batch(stream, day, number, now, tuple(described))
        writer.add_key_value_metadata(format_footer(footer))
        writer.close()
        undo.pop_all()
    return new


class _RowGroups:
    """Gathers rows until they make a row group."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.RecordBatch] = []
        self._size_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._size_bytes += batch.nbytes
        if self._size_bytes >= _ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting, self._size_bytes = [], 0


def _pieces(taken: Taken) -> Iterator[tuple[pa.RecordBatch, bytes, list[Exception_]]]:
    """(rows, leaf hashes, exceptions) of a snapshot, a few MiB at a time."""
    rows, done = taken.rows, 0
    parts = _line_parts(rows, taken.snapshot) if isinstance(rows, Lines) else _item_parts(rows)
    for records, exceptions in parts:
        count = len(records)
        salts = taken.salts[canonical.SALT_BYTES * done : canonical.SALT_BYTES * (done + count)]
        odd = [(done + at, status, reason) for at, status, reason in exceptions]
        yield _record_batch(taken.snapshot, done, records, salts, exceptions), hashing.hash_leaves(salts, records), odd
        done += count


def _line_parts(lines: Lines, snapshot: Snapshot) -> Iterator[tuple[pa.Array, list[Exception_]]]:
    ends, begin, first = lines.ends, 0, 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, begin + _PIECE_BYTES)))
        piece = bytes(lines.raw[begin : int(ends[last - 1]) + 1])
        lengths = np.diff(ends[first:last], prepend=begin - 1) - 1
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        records = hashing.binary_values(piece.replace(b"\n", b""), offsets)
        if lines.reason:
            exceptions = [(at, "quarantined", lines.reason) for at in range(last - first)]
        else:
            exceptions = line_exceptions(
                piece, last - first, snapshot.container, is_first=lines.is_first and first == 0
            )
        if last == len(ends) and len(lines.raw) == ends[-1]:
            exceptions = _as_partial_tail(exceptions, last - first - 1)
        yield records, exceptions
        begin, first = int(ends[last - 1]) + 1, last


def _as_partial_tail(exceptions: list[Exception_], at: int) -> list[Exception_]:
    """The line at `at` has no newline: it is a partial tail, and an event all the same if it can be read."""
    is_readable = not exceptions or exceptions[-1][0] != at
    others = exceptions if is_readable else exceptions[:-1]
    return [*others, (at, "partial_tail", "" if is_readable else "no_newline")]


def _item_parts(items: Items) -> Iterator[tuple[pa.Array, list[Exception_]]]:
    odd = {at: (status, reason) for at, status, reason in items.exceptions}
    first = 0
    while first < len(items.records):
        last, size = first, 0
        while last < len(items.records) and (last == first or size + len(items.records[last]) <= _PIECE_BYTES):
            size += len(items.records[last])
            last += 1
        yield (
            pa.array(items.records[first:last], pa.binary()),
            [(at - first, *odd[at]) for at in range(first, last) if at in odd],
        )
        first = last


def _record_batch(
    snapshot: Snapshot, done: int, records: pa.Array, salts: bytes, exceptions: list[Exception_]
) -> pa.RecordBatch:
    count = len(records)
    first = snapshot.position + done
    states = sorted({(status, reason) for _, status, reason in exceptions} - {("ok", "")})
    codes = np.zeros(count, np.int32)
    for at, status, reason in exceptions:
        codes[at] = states.index((status, reason)) + 1
    columns = [
        _repeat(snapshot.day, pa.date32(), count),
        pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [snapshot.source_id]),
        _repeat(snapshot.generation, pa.int64(), count),
        _repeat(snapshot.snapshot, pa.int64(), count),
        pa.array(np.arange(first, first + count, dtype=np.int64)),
        records,
        hashing.fixed_width(salts, canonical.SALT_BYTES),
        pa.DictionaryArray.from_arrays(codes, ["ok", *(status for status, _ in states)]),
        pa.DictionaryArray.from_arrays(codes, ["", *(reason for _, reason in states)]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_WRITTEN)


def _repeat(value: Any, of: pa.DataType, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, of), count)


def _describe(lake_id: str, taken: Taken, leaves: bytes, exceptions: list[Exception_]) -> dict[str, Any]:
    """The snapshot's entry, and what is needed beside it to go on or to check it."""
    plan, rows = taken.snapshot, taken.rows
    if isinstance(rows, Lines):
        hasher = canonical.content_hasher(taken.nonce)
        hasher.update(rows.raw)
        content = hasher.hexdigest()
    else:
        content = rows.content
    absolute = [(plan.position + at, status, reason) for at, status, reason in exceptions]
    entry = entries.SourceEntry(
        lake=lake_id,
        stream=plan.stream,
        source=plan.source_id,
        day=plan.day,
        generation=plan.generation,
        snapshot=plan.snapshot,
        position=plan.position,
        records=len(leaves) // 32,
        start=plan.start,
        end=plan.end,
        container=plan.container,
        compression=plan.compression,
        growth=plan.growth,
        supersedes=plan.supersedes,
        content=content,
        exceptions=canonical.exceptions_digest(absolute),
        root=merkle.tree_root(leaves, hashing.hash_nodes).hex(),
    )
    return {
        "entry": entries.format_source(entry).decode(),
        "nonce": taken.nonce.hex(),
        "path": plan.path,
        "quarantined": sum(status == "quarantined" for _, status, _ in exceptions),
        "partial_tails": sum(status == "partial_tail" for _, status, _ in exceptions),
        "format": plan.format,
        "format_evidence": plan.format_evidence,
        "mapping": plan.mapping,
        "size_bytes": plan.size_bytes,
        "mtime_ns": plan.mtime_ns,
        "is_complete": plan.is_complete,
        "resume_at": plan.resume_at,
        "resume_position": plan.resume_position,
        "object": plan.object,
        "line_object": plan.line_object,
    }
