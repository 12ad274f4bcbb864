"""Where the next snapshot of a landed file starts, and what the file is."""

import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO

from audit_pipeline.formats.detect import HEAD_BYTES, Detection, compression_of, detect
from audit_pipeline.lake.compression import decompressed
from audit_pipeline.lake.evidence import digest_stream, holds
from audit_pipeline.lake.landing import Landed, Stream
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.slices import read_up_to
from audit_pipeline.lake.snapshots import Snapshot
from audit_pipeline.tlog import entries

LINE_CONTAINERS = ("jsonl", "text")
_END_BYTES = 64 << 10  # where a Parquet file has its schema


@dataclass(frozen=True, slots=True)
class Source:
    """A landed file, open: as large as it was when it was opened, whatever is appended meanwhile."""

    stream: Stream
    path: Path
    name: str
    """Relative to the stream's fixed folder; as `Landed.name` gives it."""
    source_id: str
    day: date
    file: BinaryIO
    size_bytes: int
    mtime_ns: int


def is_unchanged(landed: Landed, state: SourceState) -> bool:
    """Whether the source was taken in to its end and looks, by size and time, as it did then."""
    return state.is_complete and (state.size_bytes, state.mtime_ns) == (landed.size, landed.mtime_ns)


def first_snapshot(source: Source, state: SourceState | None, objects: Folder) -> Snapshot | None:
    """The plan of the next snapshot, its end still open; None where there is nothing to take.

    A source that changed is read again from its start: it counts as appended to only if all that was taken is there.
    """
    if state is None:
        return _fresh(source, 0, "new")
    same_size = state.size_bytes == source.size_bytes
    if not (same_size and state.mtime_ns == source.mtime_ns) and not _still_begins_with(source, state, objects):
        return _fresh(source, state.generation + 1, "rewritten")
    if state.is_complete and same_size:
        return None
    if not same_size and state.container not in LINE_CONTAINERS:
        return _fresh(source, state.generation + 1, "rewritten")
    if state.resume_at == 0:  # nothing whole was there yet, so what it is may only show now
        plan = _fresh(source, state.generation, "appended")
    else:
        detected = Detection(state.container, state.format, state.format_evidence)
        plan = replace(_plan(source, state.generation, detected, state.compression, "appended"), object=state.object)
    supersedes = (state.snapshot, state.resume_position) if state.has_partial_tail and state.is_complete else None
    return replace(
        plan,
        snapshot=state.snapshot + 1,
        position=state.resume_position,
        start=state.resume_at,
        supersedes=supersedes,
    )


def _still_begins_with(source: Source, state: SourceState, objects: Folder) -> bool:
    """Whether all bytes that were taken of the source in this generation are where they were."""
    source.file.seek(0)
    if state.object is not None:
        is_same = holds(objects, state.object, source.file)
    else:
        is_same = True
        for text, nonce in state.parts:
            entry = entries.parse_source(text.encode())
            source.file.seek(entry.start)
            is_same &= digest_stream(source.file, nonce, entry.end - entry.start)[0] == entry.content
    source.file.seek(0)
    return is_same


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
    return _plan(source, generation, detected, compression, growth)


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
        size_bytes=source.size_bytes,
        mtime_ns=source.mtime_ns,
        is_complete=True,
        resume_at=0,
        resume_position=0,
        object=None,
        line_object=None,
    )
