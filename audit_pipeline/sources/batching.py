"""Snapshots hashed and encoded into the data file of a batch."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.containers.lines import line_exceptions
from audit_pipeline.lake import hashing
from audit_pipeline.lake.batches import Batch, format_footer
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.lake.stores import NewObject
from audit_pipeline.lake.tables import OpenTable, write_parquet
from audit_pipeline.records import canonical
from audit_pipeline.sources.snapshots import Exception_, Items, Lines, Snapshot, Taken
from audit_pipeline.tlog import entries, merkle

_EPOCH = date(1970, 1, 1)
_GROUP_BYTES = 16 << 20
"""A row group: hashed and encoded at once, small enough to prune by, large enough to scan."""

_MOVED_BYTES = 256 << 10

_REPEATED = pa.dictionary(pa.int32(), pa.string())
_WRITTEN = pa.schema([f.with_type(_REPEATED) if pa.types.is_string(f.type) else f for f in RECORDS.schema])
"""The schema of `records` with its texts as dictionaries: the files are the same, and are written faster."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some records of a snapshot that follow each other."""

    taken: Taken
    first: int
    """Offset of the first one within the snapshot."""
    records: pa.Array
    exceptions: list[Exception_]
    """By offset within the snapshot."""

    @property
    def salts(self) -> bytes:
        return self.taken.salts[canonical.SALT_BYTES * self.first : canonical.SALT_BYTES * (self.first + self.count)]

    @property
    def count(self) -> int:
        return len(self.records)

    @property
    def position(self) -> int:
        return self.taken.snapshot.position + self.first


def write_batch(
    open_: OpenTable, name: str, lake_id: str, stream: str, day: str, number: int, taken: Sequence[Taken], now: datetime
) -> tuple[NewObject, str]:
    """(data file of a batch, hashed and encoded, SHA-256 of its bytes). It has no name until it is published."""
    # In memory first: to write each page through Python would wait for what other threads do in Python.
    encoded = pa.BufferOutputStream()
    leaves: list[list[bytes]] = [[] for _ in taken]
    exceptions: list[list[Exception_]] = [[] for _ in taken]
    with write_parquet(encoded, _WRITTEN, RECORDS.indexed) as writer:
        for group in _row_groups(taken):
            records = pa.concat_arrays([part.records for _, part in group])
            salts = b"".join([part.salts for _, part in group])
            writer.write_batch(_rows([part for _, part in group], records, salts))
            hashes, at = hashing.hash_leaves(salts, records), 0
            for which, part in group:
                leaves[which].append(hashes[32 * at : 32 * (at + part.count)])
                exceptions[which] += part.exceptions
                at += part.count
        described = [
            _describe(lake_id, one, b"".join(of_one), odd)
            for one, of_one, odd in zip(taken, leaves, exceptions, strict=True)
        ]
        writer.add_key_value_metadata(format_footer(Batch(stream, day, number, now, tuple(described))))
    content = encoded.getvalue()
    with ExitStack() as undo:
        new = undo.enter_context(open_.files.create(name))
        new.write(memoryview(content))
        undo.pop_all()
    return new, hashlib.sha256(content).hexdigest()


def _row_groups(taken: Sequence[Taken]) -> Iterator[list[tuple[int, _Part]]]:
    """Parts of (which of `taken`), in order, about _GROUP_BYTES at a time: many small snapshots make one row group."""
    group: list[tuple[int, _Part]] = []
    size_bytes = 0
    for number, one in enumerate(taken):
        for part in _parts(one):
            if group and size_bytes + part.records.nbytes > _GROUP_BYTES:
                yield group
                group, size_bytes = [], 0
            group.append((number, part))
            size_bytes += part.records.nbytes
    if group:
        yield group


def _parts(taken: Taken) -> Iterator[_Part]:
    rows, done = taken.rows, 0
    parts = _line_parts(rows, taken.snapshot) if isinstance(rows, Lines) else _item_parts(rows)
    for records, exceptions in parts:
        yield _Part(taken, done, records, [(done + at, status, reason) for at, status, reason in exceptions])
        done += len(records)


def _line_parts(lines: Lines, snapshot: Snapshot) -> Iterator[tuple[pa.Array, list[Exception_]]]:
    ends, begin, first = lines.ends, 0, 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, begin + _GROUP_BYTES)))
        piece = lines.raw[begin : int(ends[last - 1]) + 1]
        lengths = np.diff(ends[first:last], prepend=begin - 1) - 1
        if lines.reason:
            exceptions = [(at, "quarantined", lines.reason) for at in range(last - first)]
        else:
            exceptions = line_exceptions(piece, lengths, snapshot.container, is_first=lines.is_first and first == 0)
        if last == len(ends) and len(lines.raw) == ends[-1]:
            exceptions = _as_partial_tail(exceptions, last - first - 1)
        yield _without_newlines(piece, lengths), exceptions
        begin, first = int(ends[last - 1]) + 1, last


def _without_newlines(piece: memoryview, lengths: npt.NDArray[np.int64]) -> pa.Array:
    """The lines, one after another. Moved a few at a time: what stays in the cache can be moved twice for nothing."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = pa.allocate_buffer(int(offsets[-1]))
    filled, at = np.frombuffer(values, np.uint8), 0
    for begin in range(0, len(piece), _MOVED_BYTES):
        moved = bytes(piece[begin : begin + _MOVED_BYTES]).replace(b"\n", b"")
        filled[at : at + len(moved)] = np.frombuffer(moved, np.uint8)
        at += len(moved)
    return hashing.binary_values(values, offsets)


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
        while last < len(items.records) and (last == first or size + len(items.records[last]) <= _GROUP_BYTES):
            size += len(items.records[last])
            last += 1
        yield (
            pa.array(items.records[first:last], pa.binary()),
            [(at - first, *odd[at]) for at in range(first, last) if at in odd],
        )
        first = last


def _rows(parts: Sequence[_Part], records: pa.Array, salts: bytes) -> pa.RecordBatch:
    """The rows of a row group, whose records and salts are these."""
    counts = [part.count for part in parts]
    starts = np.cumsum([0, *counts])
    snapshots = [part.taken.snapshot for part in parts]

    def repeat(values: Any) -> npt.NDArray[np.int64]:
        return np.repeat(np.array(values, np.int64), counts)

    ids = {source: code for code, source in enumerate(dict.fromkeys(snapshot.source_id for snapshot in snapshots))}
    states = {("ok", ""): 0}
    odd = [
        (start + at - part.first, states.setdefault((status, reason), len(states)))
        for start, part in zip(starts.tolist(), parts, strict=False)
        for at, status, reason in part.exceptions
    ]
    state_codes = np.zeros(len(records), np.int32)
    state_codes[[at for at, _ in odd]] = [code for _, code in odd]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(repeat([(snapshot.day - _EPOCH).days for snapshot in snapshots]).astype(np.int32)).cast(
                pa.date32()
            ),
            _texts(repeat([ids[snapshot.source_id] for snapshot in snapshots]), list(ids)),
            pa.array(repeat([snapshot.generation for snapshot in snapshots])),
            pa.array(repeat([snapshot.snapshot for snapshot in snapshots])),
            pa.array(repeat([part.position for part in parts] - starts[:-1]) + np.arange(len(records))),
            records,
            hashing.fixed_width(salts, canonical.SALT_BYTES),
            _texts(state_codes, [status for status, _ in states]),
            _texts(state_codes, [reason for _, reason in states]),
        ],
        schema=_WRITTEN,
    )


def _texts(codes: npt.NDArray[Any], texts: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(codes.astype(np.int32), texts)


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
