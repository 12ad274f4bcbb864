"""Where the next snapshot of a landed file starts, and what the file is."""

import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO

from audit_pipeline.formats.detect import HEAD_BYTES, Detection, compression_of, detect
from audit_pipeline.lake.compression import decompressed
from audit_pipeline.lake.evidence import digest_stream
from audit_pipeline.lake.landing import Landed, Stream
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.slices import read_up_to, skip
from audit_pipeline.lake.snapshots import Snapshot
from audit_pipeline.records import canonical
from audit_pipeline.tlog import entries

LINE_CONTAINERS = ("jsonl", "text")
TAIL_BYTES = 64 << 10
"""How much of the end of what was taken must still be there for a source to count as appended to."""


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


def first_snapshot(source: Source, state: SourceState | None) -> Snapshot | None:
    """The plan of the next snapshot, its end still open; None where there is nothing to take."""
    if state is None:
        return _fresh(source, 0, "new")
    unchanged = (state.size_bytes, state.mtime_ns) == (source.size_bytes, source.mtime_ns)
    if state.is_complete and (unchanged or _has_same_bytes(source, state)):
        return None
    if unchanged or _is_appended(source, state):
        if state.resume_at == 0:  # nothing whole was there yet, so what it is may only show now
            plan = _fresh(source, state.generation, "appended")
        else:
            detected = Detection(state.container, state.format, state.format_evidence)
            plan = _plan(source, state.generation, detected, state.compression, "appended")
        supersedes = (state.snapshot, state.resume_position) if state.has_partial_tail and state.is_complete else None
        return replace(
            plan,
            snapshot=state.snapshot + 1,
            position=state.resume_position,
            start=state.resume_at,
            supersedes=supersedes,
            object=state.object,
        )
    return _fresh(source, state.generation + 1, "rewritten")


def _has_same_bytes(source: Source, state: SourceState) -> bool:
    """Whether a source of the same size, but another time, still is what all its snapshots took in."""
    if state.size_bytes != source.size_bytes:
        return False
    for text, nonce in state.parts:
        entry = entries.parse_source(text.encode())
        source.file.seek(0)
        with decompressed(source.file, entry.compression) as stream:
            skip(stream, entry.start)
            if digest_stream(stream, nonce, entry.end - entry.start)[0] != entry.content:
                return False
    source.file.seek(0)
    return True


def _is_appended(source: Source, state: SourceState) -> bool:
    """Whether the source is longer than it was and the end of what was taken is still in its place."""
    if state.container not in LINE_CONTAINERS or state.compression != "none" or source.size_bytes <= state.end:
        return False
    if state.tail_start is None or state.tail_nonce is None:
        return False
    hasher = canonical.content_hasher(state.tail_nonce)
    hasher.update(os.pread(source.file.fileno(), state.resume_at - state.tail_start, state.tail_start))
    return hasher.hexdigest() == state.tail_digest


def detect_landed(file: BinaryIO, name: str, declared: str | None) -> tuple[Detection, str]:
    """(what a landed file is, its compression), from its first bytes and, for an index at the end, its last."""
    size_bytes = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), HEAD_BYTES, 0)
    compression = compression_of(head)
    if compression == "none":
        end = os.pread(file.fileno(), TAIL_BYTES, max(0, size_bytes - TAIL_BYTES))
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
        tail_start=None,
        tail=None,
        object=None,
    )
