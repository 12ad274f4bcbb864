"""Reading that gives every byte there is before it reports a broken or cut stream, compressed or not."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

import zstandard

_PIECE_BYTES = 1 << 20
_GZIP_READ_BYTES = 1 << 16  # what follows a member is copied for the next: of many small ones, each time
_ZSTD_READ_BYTES = 2048  # a block of 4 bytes may decode to 128 KiB: bounds what one step can give to 64 MiB
_GZIP_WBITS = 31  # zlib's code for a gzip header and trailer


@contextmanager
def decompressed(file: BinaryIO, compression: str) -> Iterator[BinaryIO]:
    """`file` from where it stands, decompressed as it is read; members and frames follow on one another.

    Reading raises OSError at the place where the stream is broken or ends too soon, after all bytes before it.
    """
    if compression == "none":
        yield file
        return
    pieces = _gunzip(file) if compression == "gzip" else _unzstd(file)
    yield cast(BinaryIO, _Pieces(pieces))


def read_into(stream: BinaryIO, buffer: memoryview) -> tuple[int, bool]:
    """(bytes read into `buffer`, all of it unless the stream ends, whether the stream broke there)."""
    count = 0
    while count < len(buffer):
        try:
            read = stream.readinto(buffer[count:])  # type: ignore[attr-defined]
        except OSError:
            return count, True
        if not read:
            break
        count += read
    return count, False


def read_up_to(stream: BinaryIO, count: int) -> tuple[bytes, bool]:
    """(at most `count` bytes, whether the stream broke there)."""
    buffer = bytearray(count)
    found, is_broken = read_into(stream, memoryview(buffer))
    return bytes(memoryview(buffer)[:found]), is_broken


def skip(stream: BinaryIO, count: int) -> None:
    while count:
        piece, is_broken = read_up_to(stream, min(count, _PIECE_BYTES))
        if is_broken or not piece:
            return
        count -= len(piece)


class _Pieces(io.RawIOBase):
    """A stream over pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            try:
                self._rest = memoryview(next(self._pieces))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    member, is_open, waiting = zlib.decompressobj(_GZIP_WBITS), False, b""
    while waiting := waiting or file.read(_GZIP_READ_BYTES):
        if not is_open:
            waiting = waiting.lstrip(b"\0")  # padding between members, as gzip(1) allows
            if not waiting:
                continue
            member, is_open = zlib.decompressobj(_GZIP_WBITS), True
        try:
            piece = member.decompress(waiting, _PIECE_BYTES)
        except zlib.error as err:
            raise OSError(f"broken gzip stream: {err}") from err
        yield piece
        waiting = member.unused_data if member.eof else member.unconsumed_tail
        is_open = not member.eof
    if is_open:
        yield member.flush()
        raise OSError("gzip stream ends too soon")


def _unzstd(file: BinaryIO) -> Iterator[bytes]:
    context = zstandard.ZstdDecompressor()
    frame, is_open, waiting = context.decompressobj(), False, b""
    while waiting := waiting or file.read(_ZSTD_READ_BYTES):
        if not is_open:
            frame, is_open = context.decompressobj(), True
        try:
            piece = frame.decompress(waiting)
        except zstandard.ZstdError as err:
            raise OSError(f"broken zstd stream: {err}") from err
        yield piece
        waiting, is_open = frame.unused_data, not frame.eof
    if is_open:
        raise OSError("zstd stream ends too soon")
