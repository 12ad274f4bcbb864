"""A lake that knows what landed, and faults at its writes.

Everything that this program stores goes through `NewObject.publish` and `Folder.replace`, Delta checkpoints apart. A
write is `lost` when it fails before it did anything, and `landed` when it did all and then reported a failure, as a
store does whose answer does not come back. A power cut leaves what a lost write leaves: `publish` and `replace` come
back only when the object and its name are on disk, so what is cut off is the writes that had not come back.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.objects import Folder, NewObject
from tests.lakes import TODAY, LakeForTests

Fault = Literal["lost", "landed"]
FAULTS: tuple[Fault, ...] = ("lost", "landed")
_FIRST_MTIME_NS = 1_772_700_000 * 10**9
_SECOND_NS = 10**9
_MOST_WRITES = 500  # far more than any run of these tests
_CURED = re.compile("run the day again|nothing was run here")


class WatchedLake(LakeForTests):
    """Keeps every version that landed. Each landed file has a time of its own, so that runs can be compared."""

    def __init__(self, root: Path, landed: Mapping[str, Sequence[bytes]] | None = None, **options: Any) -> None:
        super().__init__(root, **options)
        self.landed = {name: list(versions) for name, versions in (landed or {}).items()}

    def land(self, name: str, content: bytes, day: date = TODAY) -> Path:
        path = super().land(name, content, day)
        changes = sum(map(len, self.landed.values()))
        os.utime(path, ns=(0, _FIRST_MTIME_NS + changes * _SECOND_NS))
        self.landed.setdefault(f"{day}/{name}", []).append(content)
        return path

    def copy(self, root: Path) -> "WatchedLake":
        """The same lake in another folder, with the same key."""
        shutil.copytree(self.root, root)
        copied = WatchedLake(root, self.landed, streams=self.streams)
        copied.now, copied.entropy = self.now, self.entropy
        return copied

    def digest(self) -> str:
        """Of all that is stored: two lakes with one digest are in the same state."""
        hasher = hashlib.sha256()
        for path, content in sorted(self.files().items()):
            hasher.update(f"{path} {len(content)}\n".encode() + content)
        return hasher.hexdigest()


def unexpected(lake: LakeForTests) -> list[str]:
    """What `verify` finds in a state that a fault may have left, but for what it says the next run cures."""
    return [str(problem) for problem in lake.verify().problems if not _CURED.search(problem.message)]


@contextmanager
def fault_at(number: int, fault: Fault = "lost") -> Iterator[list[str]]:
    """Write `number`, from 1, fails with a StorageError; 0 fails none. Gives the names written, as they come."""
    publish, replace, written = NewObject.publish, Folder.replace, list[str]()

    def fails(path: Path) -> bool:
        written.append(path.name)
        assert len(written) <= _MOST_WRITES, f"a run that never ends, and writes {written[-3:]}"
        return len(written) == number

    def failing_publish(self: NewObject) -> bool:
        if not fails(self._path):
            return publish(self)
        if fault == "landed":
            publish(self)
        raise StorageError(f"{self._path}: write {number} {fault}; run again")

    def failing_replace(self: Folder, name: str, content: bytes) -> None:
        is_failing = fails(self.path(name))
        if not is_failing or fault == "landed":
            replace(self, name, content)
        if is_failing:
            raise StorageError(f"{self.path(name)}: write {number} {fault}; run again")

    NewObject.publish, Folder.replace = failing_publish, failing_replace  # type: ignore[method-assign]
    try:
        yield written
    finally:
        NewObject.publish, Folder.replace = publish, replace  # type: ignore[method-assign]
