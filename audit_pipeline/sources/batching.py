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
from audit_pipeline.lake.data_files import write_parquet
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.lake.stores import NewObject
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.sources.snapshots import Exception_, Items, Lines, Snapshot, Taken
from audit_pipeline.tlog import entries, merkle

_EPOCH = date(1970, 1, 1)
_GROUP_BYTES = 16 << 20
"""A row group: hashed and encoded at once, small enough to prune by, large enough to scan."""

_IN_MEMORY = {pa.string(): pa.dictionary(pa.int32(), pa.string()), pa.binary(): pa.binary_view()}
_WRITTEN = pa.schema(
    [f.with_type(_IN_MEMORY[f.type]) if f.name != "salt" and f.type in _IN_MEMORY else f for f in RECORDS.schema]
)
"""The schema of `records` as rows are held in memory: texts as dictionaries, records where they lie in the source. The
files are the same, and are written faster."""

_INLINE_BYTES = 12
"""Of an Arrow view of at most this length all bytes are in the view; of a longer one the first four."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Some records of a snapshot that follow each other."""

    taken: Taken
    first: int
    """Offset of the first one within the snapshot."""
    records: pa.Array
    """A view of each."""
    size_bytes: int
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
            if group and size_bytes + part.size_bytes > _GROUP_BYTES:
                yield group
                group, size_bytes = [], 0
            group.append((number, part))
            size_bytes += part.size_bytes
    if group:
        yield group


def _parts(taken: Taken) -> Iterator[_Part]:
    rows, done = taken.rows, 0
    parts = _line_parts(rows, taken.snapshot) if isinstance(rows, Lines) else _item_parts(rows)
    for records, size_bytes, exceptions in parts:
        yield _Part(
            taken, done, records, size_bytes, [(done + at, status, reason) for at, status, reason in exceptions]
        )
        done += len(records)


def _line_parts(lines: Lines, snapshot: Snapshot) -> Iterator[tuple[pa.Array, int, list[Exception_]]]:
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
        yield line_views(piece, lengths), len(piece), exceptions
        begin, first = int(ends[last - 1]) + 1, last


def line_views(piece: memoryview, lengths: npt.NDArray[np.int64]) -> pa.Array:
    """The lines of `piece` without their newlines, where they lie. `lengths`: bytes of each, without its newline."""
    text, starts = np.frombuffer(piece, np.uint8), np.cumsum(lengths + 1) - lengths - 1
    views = np.zeros((len(lengths), 16), np.uint8)  # length, first bytes, which buffer, where it starts there
    views[:, :4] = lengths.astype(np.int32)[:, None].view(np.uint8)
    views[:, 4:8] = text.take(starts[:, None] + np.arange(4), mode="clip")
    views[:, 12:] = starts.astype(np.int32)[:, None].view(np.uint8)
    if (is_short := lengths <= _INLINE_BYTES).any():
        at = np.arange(_INLINE_BYTES)
        found = text.take(starts[is_short, None] + at, mode="clip")
        views[is_short, 4:] = np.where(at < lengths[is_short, None], found, 0)
    buffers = [None, pa.py_buffer(views), pa.py_buffer(piece)]
    return pa.Array.from_buffers(pa.binary_view(), len(lengths), buffers)


def _as_partial_tail(exceptions: list[Exception_], at: int) -> list[Exception_]:
    """The line at `at` has no newline: it is a partial tail, and an event all the same if it can be read."""
    is_readable = not exceptions or exceptions[-1][0] != at
    others = exceptions if is_readable else exceptions[:-1]
    return [*others, (at, "partial_tail", "" if is_readable else "no_newline")]


def _item_parts(items: Items) -> Iterator[tuple[pa.Array, int, list[Exception_]]]:
    odd = {at: (status, reason) for at, status, reason in items.exceptions}
    first = 0
    while first < len(items.records):
        last, size = first, 0
        while last < len(items.records) and (last == first or size + len(items.records[last]) <= _GROUP_BYTES):
            size += len(items.records[last])
            last += 1
        yield (
            pa.array(items.records[first:last], pa.binary_view()),
            size,
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
    """The text of each code, as a dictionary of distinct ones: for each that is there twice pyarrow 25 would write as
    many bytes of whatever lies in memory into the file.
    """
    distinct = list(dict.fromkeys(texts))
    numbers = np.array([distinct.index(text) for text in texts], np.int32)
    return pa.DictionaryArray.from_arrays(numbers[codes], distinct)


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
