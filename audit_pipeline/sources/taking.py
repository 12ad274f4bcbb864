"""A landed file read into snapshots: where to go on, what it is, its lines or items, a bounded part at a time."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import date
from typing import BinaryIO, cast

from audit_pipeline.errors import InputError
from audit_pipeline.lake import evidence
from audit_pipeline.lake.compression import decompressed, skip
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.stores import Store
from audit_pipeline.records import canonical
from audit_pipeline.sources.growth import NewItems, read_new
from audit_pipeline.sources.landing import Landed, Stream
from audit_pipeline.sources.planning import LINE_CONTAINERS, Source, first_snapshot, has_same_bytes
from audit_pipeline.sources.slices import SNAPSHOT_BYTES, SNAPSHOT_RECORDS, LineReader
from audit_pipeline.sources.snapshots import Items, Lines, Snapshot, Taken, draw
from audit_pipeline.sources.zones import Zone

_PIECE_BYTES = 4 << 20

Entropy = Callable[[int], bytes]


def take(
    zone: Zone,
    evidence_folder: Store,
    stream: Stream,
    landed: Landed,
    day: date,
    state: SourceState | None,
    entropy: Entropy,
    *,
    rehash: bool = False,
) -> Iterator[Taken]:
    """The snapshots that bring a source from `state` to its present end; none where nothing changed.

    `rehash`: its bytes are compared even where size and time say that nothing changed.

    Raises:
        InputError: the file cannot be read, or is none.
    """
    path = (stream.fixed_folder / landed.path).as_posix()
    try:
        with zone.open(path) as opened:
            source_id = canonical.source_id(stream.name, landed.name)
            source = Source(stream, landed.name, source_id, day, opened.file, opened.size_bytes, opened.mtime_ns)
            yield from _changes(source, state, evidence_folder, entropy, rehash=rehash)
    except FileNotFoundError:
        return  # gone since it was listed; what was taken of it before is still here
    except OSError as err:
        raise InputError(
            f"{zone.root / path}: cannot be read ({err.strerror or err}); give this user read access and run again"
        ) from err


def _changes(
    source: Source, state: SourceState | None, objects: Store, entropy: Entropy, *, rehash: bool
) -> Iterator[Taken]:
    is_same = state is not None and has_same_bytes(source, state, objects, rehash=rehash)
    is_compared = state is not None and state.object is not None and not is_same
    with _copy(source.file) if is_compared else nullcontext(source.file) as file:
        source = replace(source, file=file)
        first = first_snapshot(source, state, objects, is_same=is_same)
        if first is not None:
            yield from _snapshots(source, *first, objects, entropy)


@contextmanager
def _copy(file: BinaryIO) -> Iterator[BinaryIO]:
    """What is compared with the kept object and then kept itself: the file may change in between."""
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(file, copy, _PIECE_BYTES)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def _snapshots(source: Source, plan: Snapshot, new: NewItems, objects: Store, entropy: Entropy) -> Iterator[Taken]:
    if plan.container == "hash_only":
        yield _weights(source, plan, entropy)
        return
    if plan.container in LINE_CONTAINERS and plan.compression == "none":
        source.file.seek(plan.start)
        yield from _line_snapshots(source, plan, source.file, objects, entropy)
        return
    if plan.object is None:
        name = evidence.object_name(plan.stream, plan.source_id, plan.generation, plan.snapshot)
        name = evidence.put_object(objects, name, source.file, entropy)
        plan = replace(plan, object=name, size_bytes=source.file.tell())  # it may have grown since it was opened
    # From here on the kept object is read, not the source, which may change under us.
    with evidence.open_object(objects, plan.object or "") as kept:
        if plan.container == "whole":
            yield _whole(plan, kept, entropy)
            return
        with decompressed(kept, plan.compression) as stream:
            if plan.container in LINE_CONTAINERS:
                skip(stream, plan.start)
                yield from _line_snapshots(source, plan, stream, objects, entropy)
                return
    yield from _item_snapshots(plan, new, objects, entropy)


def _line_snapshots(
    source: Source, plan: Snapshot, stream: BinaryIO, objects: Store, entropy: Entropy
) -> Iterator[Taken]:
    lines = LineReader(stream, source.size_bytes - plan.start if plan.compression == "none" else None)
    while True:
        raw, ends = lines.next_slice()
        if raw is None:
            taken = _oversize_line(plan, lines, objects, entropy)
        else:
            taken = _lines_taken(plan, Lines(raw, ends, plan.position == 0, _reason(plan)), lines, entropy)
        yield taken
        plan = _following(taken.snapshot)
        if lines.is_at_end:
            break
    if lines.is_broken:
        yield _unreadable_rest(replace(plan, position=taken.snapshot.position + taken.count), entropy)


def _lines_taken(plan: Snapshot, rows: Lines, lines: LineReader, entropy: Entropy) -> Taken:
    ends, size_bytes = rows.ends, len(rows.raw)
    is_unfinished = len(ends) > 0 and int(ends[-1]) == size_bytes
    whole = ends[:-1] if is_unfinished else ends
    resume_at = plan.start + (int(whole[-1]) + 1 if len(whole) else 0)
    ended = replace(
        plan,
        end=plan.start + size_bytes,
        is_complete=lines.is_at_end and not lines.is_broken,
        resume_at=resume_at,
        resume_position=plan.position + len(whole),
    )
    return Taken(ended, rows, *draw(entropy, len(ends)))


def _reason(plan: Snapshot) -> str:
    """Why no line of this source is what it should be."""
    return "lfs_pointer" if plan.format == "lfs_pointer" else ""


def _following(snapshot: Snapshot) -> Snapshot:
    """The plan of the next snapshot of the same source."""
    return replace(
        snapshot,
        snapshot=snapshot.snapshot + 1,
        position=snapshot.resume_position,
        start=snapshot.resume_at,
        growth="appended",
        supersedes=None,
        line_object=None,
    )


def _oversize_line(plan: Snapshot, lines: LineReader, objects: Store, entropy: Entropy) -> Taken:
    """A record that points at an object with this one line."""
    name = evidence.line_object_name(plan.stream, plan.source_id, plan.generation, plan.snapshot)
    with tempfile.TemporaryFile() as copy:
        for piece in lines.next_line():
            copy.write(piece)
            is_unfinished = not piece.endswith(b"\n")
        size_bytes = copy.tell()
        copy.seek(0)
        name = evidence.put_object(objects, name, copy, entropy)
        salts, nonce = draw(entropy, 1)
        copy.seek(0)
        content, _ = evidence.digest_stream(copy, nonce)
    end = plan.start + size_bytes
    record = canonical.dump_canonical({"$evidence": name, "bytes": size_bytes})
    ended = replace(
        plan,
        end=end,
        is_complete=lines.is_at_end and not lines.is_broken,
        resume_at=plan.start if is_unfinished else end,
        resume_position=plan.position + (not is_unfinished),
        line_object=name,
    )
    return Taken(ended, Items([record], [(0, "quarantined", "oversize")], content), salts, nonce)


def _unreadable_rest(plan: Snapshot, entropy: Entropy) -> Taken:
    """A record that says that the compressed source breaks off here; its bytes are in `evidence/`."""
    salts, nonce = draw(entropy, 1)
    ended = replace(plan, end=plan.start, is_complete=True, resume_at=plan.start, resume_position=plan.position + 1)
    record = canonical.dump_canonical({"$evidence": "rest"})
    content = canonical.content_hasher(nonce).hexdigest()
    return Taken(ended, Items([record], [(0, "quarantined", "unreadable")], content), salts, nonce)


def _weights(source: Source, plan: Snapshot, entropy: Entropy) -> Taken:
    salts, nonce = draw(entropy, 1)
    plain, hidden, size_bytes = hashlib.sha256(), canonical.content_hasher(nonce), 0
    while piece := source.file.read(_PIECE_BYTES):
        plain.update(piece)
        hidden.update(piece)
        size_bytes += len(piece)
    record = canonical.dump_canonical({"$hash_only": plain.hexdigest(), "bytes": size_bytes})
    return Taken(_ended(plan, size_bytes, 1), Items([record], [], hidden.hexdigest()), salts, nonce)


def _whole(plan: Snapshot, kept: BinaryIO, entropy: Entropy) -> Taken:
    salts, nonce = draw(entropy, 1)
    content, size_bytes = evidence.digest_stream(kept, nonce)
    record = canonical.dump_canonical({"$evidence": plan.object, "bytes": size_bytes})
    return Taken(_ended(plan, size_bytes, 1), Items([record], [], content), salts, nonce)


def _ended(plan: Snapshot, size_bytes: int, records: int) -> Snapshot:
    return replace(plan, end=size_bytes, resume_at=size_bytes, resume_position=plan.position + records)


def _item_snapshots(plan: Snapshot, new: NewItems, objects: Store, entropy: Entropy) -> Iterator[Taken]:
    """The container's new items. Each snapshot covers the whole object and a run of them."""
    _, nonce = draw(entropy, 0)
    with evidence.open_object(objects, plan.object or "") as kept, decompressed(kept, plan.compression) as stream:
        content, size_bytes = evidence.digest_stream(stream, nonce)
    plan = replace(plan, start=0)
    with (
        evidence.open_object(objects, plan.object or "") as kept,
        decompressed(kept, plan.compression) as stream,
        evidence.seekable(stream) as file,
    ):
        records: list[bytes] = []
        exceptions: list[tuple[int, str, str]] = []
        waiting = 0
        for record, status, reason in read_new(plan.container, file, new):
            if waiting >= SNAPSHOT_BYTES or len(records) >= SNAPSHOT_RECORDS:
                ended = replace(_ended(plan, size_bytes, len(records)), is_complete=False)
                yield _items_taken(ended, records, exceptions, content, nonce, entropy)
                plan = replace(_following(ended), start=0, is_complete=True)
                records, exceptions, waiting = [], [], 0
            if status != "ok":
                exceptions.append((len(records), status, reason))
            records.append(record)
            waiting += len(record)
    yield _items_taken(_ended(plan, size_bytes, len(records)), records, exceptions, content, nonce, entropy)


def _items_taken(
    plan: Snapshot,
    records: list[bytes],
    exceptions: list[tuple[int, str, str]],
    content: str,
    nonce: bytes,
    entropy: Entropy,
) -> Taken:
    salts, _ = draw(entropy, len(records))
    return Taken(plan, Items(records, exceptions, content), salts, nonce)
