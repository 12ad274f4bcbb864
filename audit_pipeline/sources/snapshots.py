"""A run of a source's bytes on its way in: what is known of it, its rows, and the randomness that hides them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from audit_pipeline.records import canonical

Exception_ = tuple[int, str, str]
"""(offset within the snapshot, status, reason) of a record that is not ok."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run of a source's bytes about to be taken in: everything but its records' hashes."""

    stream: str
    path: str
    source_id: str
    day: date
    generation: int
    snapshot: int
    position: int
    start: int
    end: int
    container: str
    compression: str
    growth: str
    supersedes: tuple[int, int] | None
    format: str
    format_evidence: str
    mapping: str | None
    size_bytes: int
    mtime_ns: int
    is_complete: bool
    """Whether the source, as it was listed, is taken in to its end."""
    resume_at: int
    """Where the next snapshot starts: the end, or the start of an unfinished last line."""
    resume_position: int
    object: str | None
    """The evidence object that holds the whole source."""
    line_object: str | None
    """The evidence object that holds this snapshot's one line, which is too long for a row."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines as they lie in the source. `ends[i]`: offset of line i's newline, or the size if it has none."""

    raw: memoryview
    ends: npt.NDArray[np.int64]
    is_first: bool
    reason: str
    """Why none of these lines can be read as what they are, or empty."""


@dataclass(frozen=True, slots=True)
class Items:
    """Records made from a container, and the content digest of the source they were read from."""

    records: Sequence[bytes]
    exceptions: Sequence[Exception_]
    content: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot read, with the randomness that hides it."""

    snapshot: Snapshot
    rows: Lines | Items
    salts: bytes
    nonce: bytes

    @property
    def count(self) -> int:
        return len(self.rows.ends) if isinstance(self.rows, Lines) else len(self.rows.records)

    @property
    def size_bytes(self) -> int:
        return len(self.rows.raw) if isinstance(self.rows, Lines) else sum(map(len, self.rows.records))


def draw(entropy: Callable[[int], bytes], records: int) -> tuple[bytes, bytes]:
    """(salts, nonce) for a snapshot of so many records."""
    drawn = entropy(canonical.SALT_BYTES * records + canonical.NONCE_BYTES)
    return drawn[: canonical.SALT_BYTES * records], drawn[canonical.SALT_BYTES * records :]
