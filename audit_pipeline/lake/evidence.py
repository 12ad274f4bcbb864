"""Whole sources kept beside their records: zstd objects with 32 random bytes in front.

docs/evidence-format.md section 4.
"""

import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import zstandard

from audit_pipeline.errors import StorageError, UnreachableError
from audit_pipeline.lake.compression import decompressed, read_up_to
from audit_pipeline.lake.stores import Store
from audit_pipeline.records.canonical import NONCE_BYTES, content_hasher

ZSTD_SKIPPABLE_MAGIC = 0x184D2A50  # RFC 8878 section 3.1.2
_HEAD_BYTES = 8 + NONCE_BYTES
_COPY_BYTES = 1 << 20


def object_name(stream: str, source_id: str, generation: int, snapshot: int) -> str:
    return f"{stream}/{source_id}/{generation}-{snapshot}.zst"


def line_object_name(stream: str, source_id: str, generation: int, snapshot: int) -> str:
    """Of an object that holds one line too long for a row, and nothing else of its source."""
    return f"{stream}/{source_id}/{generation}-{snapshot}.line.zst"


def put_object(evidence: Store, name: str, source: BinaryIO, entropy: Callable[[int], bytes]) -> str:
    """Keep all that is left to read in `source`, which is left at its end; gives back `name` or one that follows it.

    An object that an earlier attempt left stands if it holds these bytes; if the source changed since, or if somebody
    put it there, the bytes of now are kept under the next name.
    """
    begin, candidate, attempt = source.tell(), name, 0
    while True:
        if not evidence.exists(candidate):
            with evidence.create(candidate) as new:
                # Random bytes in front: else the object's hash would tell a guess of its content right or wrong.
                new.write(struct.pack("<II", ZSTD_SKIPPABLE_MAGIC, NONCE_BYTES) + entropy(NONCE_BYTES))
                zstd = zstandard.ZstdCompressor(level=1).compressobj()
                while piece := source.read(_COPY_BYTES):
                    new.write(zstd.compress(piece))
                new.write(zstd.flush())
                if new.publish():
                    return candidate
            source.seek(begin)
        if holds(evidence, candidate, source):
            return candidate
        source.seek(begin)
        attempt += 1
        candidate = f"{name.removesuffix('.zst')}.{attempt}.zst"


def holds(evidence: Store, name: str, source: BinaryIO) -> bool:
    """Whether an object has exactly the bytes that are left to read in `source`."""
    try:
        with open_object(evidence, name) as kept:
            while True:
                (ours, is_broken), (theirs, _) = read_up_to(kept, _COPY_BYTES), read_up_to(source, _COPY_BYTES)
                if is_broken or ours != theirs:
                    return False
                if not ours:
                    return True
    except UnreachableError:
        raise
    except StorageError:
        return False


@contextmanager
def open_object(evidence: Store, name: str) -> Iterator[BinaryIO]:
    """The source's bytes as they were taken in.

    Raises:
        StorageError: the object is missing or does not start as ours do.
    """
    with evidence.open(name) as file:
        head = file.read(_HEAD_BYTES)
        if len(head) != _HEAD_BYTES or struct.unpack("<II", head[:8]) != (ZSTD_SKIPPABLE_MAGIC, NONCE_BYTES):
            raise StorageError(f"{evidence.path(name)}: not an evidence object; restore it from a backup")
        with decompressed(file, "zstd") as stream:
            yield stream


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """A copy of `stream` on disk, to its end or to where it breaks, for formats whose index is at the end."""
    with tempfile.TemporaryFile() as copy:
        is_broken, piece = False, b"-"
        while piece and not is_broken:
            piece, is_broken = read_up_to(stream, _COPY_BYTES)
            copy.write(piece)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def digest_stream(stream: BinaryIO, nonce: bytes, most: int | None = None) -> tuple[str, int]:
    """(content digest, size) of a stream up to its end, to where it breaks, or of at most so many bytes."""
    hasher, size_bytes, is_broken = content_hasher(nonce), 0, False
    while not is_broken and size_bytes != most:
        want = _COPY_BYTES if most is None else min(_COPY_BYTES, most - size_bytes)
        piece, is_broken = read_up_to(stream, want)
        if not piece:
            break
        hasher.update(piece)
        size_bytes += len(piece)
    return hasher.hexdigest(), size_bytes
