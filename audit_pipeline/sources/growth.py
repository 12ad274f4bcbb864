"""What a changed source still has of what was taken of it, and which of its items are new.

docs/evidence-format.md section 3, "Growth". A container is `extended` in two cases; all else is a new generation.

- An array, a CSV, a Parquet file, a TFRecord, a database: the items taken before are its first items. What follows is
  new. A rest that could not be read, as of a file that was being written, is taken again.
- A JSON object that was taken to its end: each of its arrays of objects begins with the elements it had, and at most
  one has more, which are new. An array that was empty, or not there, may be that one. Where the arrays stand in the
  document and all else that item 0 holds may change; item 0 is new if it did.

Both may find nothing new: then only the bytes changed, and the snapshot has no records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from audit_pipeline.containers.item import Item, is_rest
from audit_pipeline.containers.items import iter_items
from audit_pipeline.containers.json_items import JsonObject, read_object, starts_object
from audit_pipeline.errors import StorageError, UnreachableError
from audit_pipeline.lake.compression import decompressed, read_up_to
from audit_pipeline.lake.evidence import digest_stream, open_object, seekable
from audit_pipeline.lake.projection import SourceState
from audit_pipeline.lake.stores import Store
from audit_pipeline.records.canonical import content_hasher
from audit_pipeline.tlog import SourceEntry, parse_source

_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class NewItems:
    """Which items of a container become records."""

    has_header: bool
    """Item 0 of a JSON object, before all others."""
    first: int
    count: int | None
    """From `first` on; None: all there are."""
    supersedes: tuple[int, int] | None = None
    """(snapshot, position) of the record that the first of them takes again."""


def read_new(container: str, file: BinaryIO, new: NewItems) -> Iterator[Item]:
    """The new items of the container in `file`, which is seekable and at its start."""
    items = iter_items(container, file, 0 if new.has_header else new.first)
    if new.has_header:
        yield next(items)
        items = islice(items, new.first - 1, None)
    yield from islice(items, new.count)


def still_begins_with(stream: BinaryIO, state: SourceState) -> bool:
    """Whether all bytes that were taken of a source in this generation are where they were, read in one pass."""
    parts = [(entry, content_hasher(nonce)) for entry, nonce in _parsed(state)]
    at, end = 0, max(entry.end for entry, _ in parts)
    while at < end:
        piece, _ = read_up_to(stream, min(_PIECE_BYTES, end - at))
        if not piece:
            return False
        for entry, hasher in parts:  # they overlap where an unfinished line was taken again
            hasher.update(piece[max(entry.start - at, 0) : max(entry.end - at, 0)])
        at += len(piece)
    return all(hasher.hexdigest() == entry.content for entry, hasher in parts)


def ends_unreadable(state: SourceState) -> bool:
    """Whether the compressed source broke off, so that its last record stands for no bytes."""
    newest, _ = _parsed(state)[-1]
    return newest.start == newest.end and newest.records > 0


def find_new_items(changed: BinaryIO, compression: str, state: SourceState, objects: Store) -> NewItems | None:
    """What a changed container has beside the items that were taken of it; None where it is not `extended`.

    Compared are the kept object and `changed`, which stands still. Of both, no more is held in memory than is needed to
    take them in.
    """
    try:
        return _compare(changed, compression, state, objects)
    except UnreachableError:
        raise
    except StorageError:  # the kept object is gone or damaged: `verify` says so, and all is taken again here
        return None


def taken_items(state: SourceState) -> int:
    """How many items of a container other than a JSON object were taken in: a rest is one, until it is taken again."""
    return state.resume_position - sum(entry.supersedes is not None for entry, _ in _parsed(state))


def _newest_header(state: SourceState) -> tuple[int, int]:
    """(snapshot, position) of the record that holds item 0 of a JSON object as it was taken last."""
    of_object = [entry for entry, _ in _parsed(state) if entry.container == "json"]
    taken_again = [entry for entry in of_object if entry.supersedes is not None]
    newest = taken_again[-1] if taken_again else of_object[0]
    return newest.snapshot, newest.position


def can_go_on(state: SourceState, objects: Store) -> bool:
    """Whether the kept container, taken in part, tells which items are left.

    Those of a JSON object that was being extended may stand anywhere in it.
    """
    growths = [entry.growth for entry, _ in _parsed(state) if entry.growth != "appended"]
    if state.container != "json" or growths[-1:] != ["extended"]:
        return True
    with open_object(objects, state.object or "") as kept, decompressed(kept, state.compression) as stream:
        return not starts_object(stream)


def _compare(changed: BinaryIO, compression: str, state: SourceState, objects: Store) -> NewItems | None:
    newest, nonce = _parsed(state)[-1]
    with (
        open_object(objects, state.object or "") as kept,
        decompressed(kept, state.compression) as kept_stream,
        seekable(kept_stream) as before,
        decompressed(changed, compression) as stream,
        seekable(stream) as now,
    ):
        if digest_stream(before, nonce)[0] != newest.content:
            return None
        if state.container == "json":
            old = read_object(before)  # one after the other, because it is held whole
            new = read_object(now, {key: length for key, (length, _) in old.arrays.items()} if old else None)
            if old is not None or new is not None:
                return _new_in_object(old, new, state) if old and new and state.is_complete else None
        before.seek(0)
        now.seek(0)
        count = taken_items(state)
        found = iter_items(state.container, now)
        for at, item in enumerate(islice(iter_items(state.container, before), count)):
            if item != next(found, None):
                # Where nothing could be read before the rest, what it is may only show now: then all is taken anew.
                return NewItems(False, at, None, _newest_record(state)) if at and is_rest(item) else None
        return NewItems(False, count, None)


def _newest_record(state: SourceState) -> tuple[int, int]:
    """(snapshot, position) of the record that was taken last."""
    newest = [entry for entry, _ in _parsed(state) if entry.records][-1]
    return newest.snapshot, state.resume_position - 1


def _new_in_object(old: JsonObject, new: JsonObject, state: SourceState) -> NewItems | None:
    """`new` has digests of as many elements as `old` had."""
    if any(new.arrays.get(key, (0, b""))[1] != digest for key, (_, digest) in old.arrays.items()):
        return None
    first, count, at = 1, 0, 1
    for key, (length, _) in new.arrays.items():
        had = old.arrays[key][0] if key in old.arrays else 0
        if had < length:
            if count:
                return None
            first, count = at + had, length - had
        at += length
    is_changed = old.header != new.header
    return NewItems(is_changed, first, count, _newest_header(state) if is_changed else None)


def _parsed(state: SourceState) -> list[tuple[SourceEntry, bytes]]:
    return [(parse_source(text.encode()), nonce) for text, nonce in state.parts]
