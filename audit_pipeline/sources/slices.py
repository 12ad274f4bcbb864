"""A stream cut into slices of whole lines, bounded in bytes and in lines."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.lake.compression import read_into

SNAPSHOT_BYTES = 32 << 20
SNAPSHOT_RECORDS = 1 << 18  # what is held of a record beside its bytes is more than a short line's
_PIECE_BYTES = 1 << 20
_NEWLINE = ord("\n")


class LineReader:
    """Cuts a stream into slices of whole lines, of at most SNAPSHOT_BYTES and SNAPSHOT_RECORDS."""

    def __init__(self, stream: BinaryIO, limit: int | None) -> None:
        self._stream = stream
        self._left = limit
        self._buffer = memoryview(b"")
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
            if self._buffer and self._buffer[-1] != _NEWLINE:
                ends = np.append(ends, len(self._buffer))
            raw, self._buffer = self._buffer, memoryview(b"")
            return raw, ends
        cut = int(ends[-1]) + 1
        raw, self._buffer = self._buffer, self._buffer[cut:]
        return raw[:cut], ends

    def next_line(self) -> Iterator[bytes]:
        """One line and its newline, in pieces, however long it is."""
        while True:
            ends = _line_ends(self._buffer, 1)
            end = int(ends[0]) + 1 if len(ends) else len(self._buffer)
            piece, self._buffer = self._buffer[:end], self._buffer[end:]
            yield bytes(piece)
            if len(ends) or self._has_ended:
                return
            self._fill()

    def _fill(self) -> None:
        want = SNAPSHOT_BYTES + 1 - len(self._buffer)  # one more than a slice takes, to see the end coming
        if self._has_ended or want <= 0:
            return
        if self._left is not None:
            want = min(want, self._left)
        kept = len(self._buffer)
        # From Arrow's pool, which keeps memory at hand: to map 32 MiB anew takes longer than to fill them.
        buffer = memoryview(pa.allocate_buffer(kept + want)).cast("B")
        buffer[:kept] = self._buffer
        count, self.is_broken = read_into(self._stream, buffer[kept:])
        self._buffer = buffer[: kept + count]
        if self._left is not None:
            self._left -= count
        self._has_ended = self.is_broken or count < want or self._left == 0


def _line_ends(buffer: memoryview, most: int) -> npt.NDArray[np.int64]:
    """Offsets of the first `most` newlines, found a piece at a time: their count is not known before."""
    found: list[npt.NDArray[np.int64]] = []
    total = 0
    for begin in range(0, len(buffer), _PIECE_BYTES):
        piece = np.frombuffer(buffer, np.uint8, min(_PIECE_BYTES, len(buffer) - begin), begin)
        found.append(np.flatnonzero(piece == _NEWLINE) + begin)
        total += len(found[-1])
        if total >= most:
            break
    return np.concatenate(found)[:most].astype(np.int64, copy=False) if found else np.empty(0, np.int64)
