"""A file of which ranges are fetched as they are read."""

import io
from collections.abc import Callable

LEAST_AHEAD, MOST_AHEAD = 64 << 10, 8 << 20


class RangedFile(io.RawIOBase):
    """An object read by ranges. Who reads on and on is given larger and larger ones."""

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._fetch, self._size = fetch, size_bytes
        self._at = self._begin = 0
        self._piece = b""
        self._ahead = LEAST_AHEAD

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        end = self._begin + len(self._piece)
        if not self._begin <= self._at < end:
            self._ahead = min(2 * self._ahead, MOST_AHEAD) if self._at == end and end else LEAST_AHEAD
            self._begin = self._at
            self._piece = self._fetch(self._at, min(self._size, self._at + max(len(buffer), self._ahead)))
        found = self._piece[self._at - self._begin :][: len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
