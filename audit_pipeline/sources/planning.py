"""Where the next snapshot of a landed file starts, and what the file is."""

import os
from dataclasses import dataclass, replace
from datetime import date
from typing import BinaryIO

from audit_pipeline.formats.detect import HEAD_BYTES, Detection, compression_of, detect
from audit_pipeline.lake.compression import decompressed, read_up_to
from audit_pipeline.lake.evidence import holds
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.stores import Store
from audit_pipeline.sources.growth import (
    NewItems,
    can_go_on,
    ends_unreadable,
    find_new_items,
    still_begins_with,
    taken_items,
)
from audit_pipeline.sources.landing import Stream
from audit_pipeline.sources.snapshots import Snapshot

LINE_CONTAINERS = ("jsonl", "text")
ITEM_CONTAINERS = ("json", "csv", "parquet", "tfrecord", "sqlite")
ALL_ITEMS = NewItems(False, 0, None)
_END_BYTES = 64 << 10  # where a Parquet file has its schema


@dataclass(frozen=True, slots=True)
class Source:
    """A landed file, open: as large as it was when it was opened, whatever is appended meanwhile."""

    stream: Stream
    name: str
    """Relative to the stream's fixed folder; as `Landed.name` gives it."""
    source_id: str
    day: date
    file: BinaryIO
    size_bytes: int
    mtime_ns: int


def has_same_bytes(source: Source, state: SourceState, objects: Store, *, rehash: bool) -> bool:
    """Whether the file is as it was when the newest snapshot was taken; left at its start.

    Size and time decide where both are equal; with `rehash`, or where they differ, its bytes do.
    """
    is_same_size = state.size_bytes == source.size_bytes
    if is_same_size and state.mtime_ns == source.mtime_ns and not rehash:
        return True
    if state.object is not None:
        is_same = holds(objects, state.object, source.file)
    else:
        is_same = is_same_size and still_begins_with(source.file, state)
    source.file.seek(0)
    return is_same


def first_snapshot(
    source: Source, state: SourceState | None, objects: Store, *, is_same: bool
) -> tuple[Snapshot, NewItems] | None:
    """(plan of the next snapshot, its end still open; a container's items for it). None: there is nothing to take.

    `is_same`: the file has the bytes it had when `state` was written. One that has not is read again from its start: it
    has grown only if all that was taken is there. Where an object was kept of it, it must stand still meanwhile.
    """
    if state is None:
        return _fresh(source, 0, "new"), ALL_ITEMS
    if is_same and state.is_complete:
        return None
    planned = None
    if state.container in LINE_CONTAINERS:
        planned = _more_lines(source, state, is_same=is_same)
    elif state.container in ITEM_CONTAINERS:
        planned = _items_left(source, state, objects) if is_same else _more_items(source, state, objects)
    source.file.seek(0)
    return planned or (_fresh(source, state.generation + 1, "rewritten"), ALL_ITEMS)


def _more_lines(source: Source, state: SourceState, *, is_same: bool) -> tuple[Snapshot, NewItems] | None:
    compression = _compression(source)
    if not is_same and (ends_unreadable(state) or (state.resume_at and compression != state.compression)):
        return None
    if not is_same:
        with decompressed(source.file, compression) as stream:
            if not still_begins_with(stream, state):
                return None
    if state.resume_at == 0:  # nothing whole was there yet, so what it is may only show now
        plan = _fresh(source, state.generation, "appended")
    else:
        plan = _plan(source, state.generation, _detected(state), compression, "appended")
        plan = replace(plan, object=state.object if is_same else None)
    supersedes = (state.snapshot, state.resume_position) if state.has_partial_tail else None
    return replace(_after(plan, state), start=state.resume_at, supersedes=supersedes), ALL_ITEMS


def _items_left(source: Source, state: SourceState, objects: Store) -> tuple[Snapshot, NewItems] | None:
    """After a crash between two snapshots of one kept object."""
    if not can_go_on(state, objects):
        return None
    plan = _plan(source, state.generation, _detected(state), state.compression, "appended")
    return replace(_after(plan, state), object=state.object), NewItems(False, taken_items(state), None)


def _more_items(source: Source, state: SourceState, objects: Store) -> tuple[Snapshot, NewItems] | None:
    compression = _compression(source)
    new = find_new_items(source.file, compression, state, objects)
    if new is None:
        return None
    plan = _plan(source, state.generation, _detected(state), compression, "extended")
    if state.resume_position == 0:  # without an item, what it is may only show now
        source.file.seek(0)
        plan = _fresh(source, state.generation, "extended")
        if plan.container != state.container:
            return None
    return replace(_after(plan, state), supersedes=new.supersedes), new


def _after(plan: Snapshot, state: SourceState) -> Snapshot:
    return replace(plan, snapshot=state.snapshot + 1, position=state.resume_position)


def _detected(state: SourceState) -> Detection:
    return Detection(state.container, state.format, state.format_evidence, state.mapping)


def _compression(source: Source) -> str:
    return compression_of(os.pread(source.file.fileno(), HEAD_BYTES, 0))


def detect_landed(file: BinaryIO, name: str, declared: str | None) -> tuple[Detection, str]:
    """(what a landed file is, its compression), from its first bytes and, for an index at the end, its last."""
    size_bytes = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), HEAD_BYTES, 0)
    compression = compression_of(head)
    if compression == "none":
        end = os.pread(file.fileno(), _END_BYTES, max(0, size_bytes - _END_BYTES))
        detected = detect(name, head, size_bytes, declared, end)
    else:
        file.seek(0)
        with decompressed(file, compression) as stream:
            plain, _ = read_up_to(stream, HEAD_BYTES)
        detected = detect(name, plain, size_bytes, declared)
    file.seek(0)
    if detected.format == "weights":
        return replace(detected, container="hash_only"), "none"
    return detected, "none" if detected.container == "whole" else compression


def _fresh(source: Source, generation: int, growth: str) -> Snapshot:
    detected, compression = detect_landed(source.file, source.name, source.stream.format)
    return _plan(source, generation, replace(detected, mapping=source.stream.mapping), compression, growth)


def _plan(source: Source, generation: int, detected: Detection, compression: str, growth: str) -> Snapshot:
    return Snapshot(
        stream=source.stream.name,
        path=source.name,
        source_id=source.source_id,
        day=source.day,
        generation=generation,
        snapshot=0,
        position=0,
        start=0,
        end=source.size_bytes,
        container=detected.container,
        compression=compression,
        growth=growth,
        supersedes=None,
        format=detected.format,
        format_evidence=detected.evidence,
        mapping=detected.mapping,
        size_bytes=source.size_bytes,
        mtime_ns=source.mtime_ns,
        is_complete=True,
        resume_at=0,
        resume_position=0,
        object=None,
        line_object=None,
    )
