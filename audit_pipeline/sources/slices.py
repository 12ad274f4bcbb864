"""A stream cut into slices of whole lines, bounded in bytes and in lines."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from audit_pipeline.lake.compression import read_up_to

SNAPSHOT_BYTES = 32 << 20
SNAPSHOT_RECORDS = 1 << 18  # what is held of a record beside its bytes is more than a short line's
_PIECE_BYTES = 4 << 20


class LineReader:
    """Cuts a stream into slices of whole lines, of at most SNAPSHOT_BYTES and SNAPSHOT_RECORDS."""

    def __init__(self, stream: BinaryIO, limit: int | None) -> None:
        self._stream = stream
        self._left = limit
        self._buffer = b""
        self._has_ended = False
        self.is_broken = False

    @property
    def is_at_end(self) -> bool:
        return self._has_ended and not self._buffer

    def next_slice(self) -> tuple[memoryview | None, npt.NDArray[np.int64]]:
        """(bytes, offset of each line's end); the last line may lack its newline. None: one line alone is too long."""
        self._fill()
        ends = _line_ends(self._buffer, SNAPSHOT_RECORDS)
        if len(ends) == 0 and len(self._buffer) > SNAPSHOT_BYTES:
            return None, ends
        if self._has_ended and len(ends) < SNAPSHOT_RECORDS:
            if self._buffer and not self._buffer.endswith(b"\n"):
                ends = np.append(ends, len(self._buffer))
            raw, self._buffer = self._buffer, b""
            return memoryview(raw), ends
        cut = int(ends[-1]) + 1
        raw, self._buffer = self._buffer, self._buffer[cut:]
        return memoryview(raw)[:cut], ends

    def next_line(self) -> Iterator[bytes]:
        """One line and its newline, in pieces, however long it is."""
        while True:
            end = self._buffer.find(b"\n") + 1
            piece, self._buffer = (self._buffer[:end], self._buffer[end:]) if end else (self._buffer, b"")
            yield piece
            if end or self._has_ended:
                return
            self._fill()

    def _fill(self) -> None:
        want = SNAPSHOT_BYTES + 1 - len(self._buffer)  # one more than a slice takes, to see the end coming
        if self._has_ended or want <= 0:
            return
        if self._left is not None:
            want = min(want, self._left)
        piece, self.is_broken = read_up_to(self._stream, want)
        self._buffer = self._buffer + piece if self._buffer else piece
        if self._left is not None:
            self._left -= len(piece)
        self._has_ended = self.is_broken or len(piece) < want or self._left == 0


def _line_ends(buffer: bytes, most: int) -> npt.NDArray[np.int64]:
    """Offsets of the first `most` newlines, found a piece at a time: their count is not known before."""
    found: list[npt.NDArray[np.int64]] = []
    total = 0
    for begin in range(0, len(buffer), _PIECE_BYTES):
        piece = np.frombuffer(buffer, np.uint8, min(_PIECE_BYTES, len(buffer) - begin), begin)
        found.append(np.flatnonzero(piece == 10) + begin)
        total += len(found[-1])
        if total >= most:
            break
    return np.concatenate(found)[:most].astype(np.int64) if found else np.empty(0, np.int64)
