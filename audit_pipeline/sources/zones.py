"""The landing zone: files found, and opened as they stand at that moment."""

import errno
import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from audit_pipeline.errors import InputError
from audit_pipeline.lake.places import Bucket, Place

LATEST_NS = 2**63 - 1
"""The latest time a column of ns holds, in 2262; a later modification time is taken for this."""

Found = tuple[str, int, int]
"""(path, size in bytes, modification time in ns) of a file."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A landed file, open: of this size and time whatever is done to it meanwhile."""

    file: BinaryIO
    """Of the operating system's: it has a descriptor, and can seek."""
    size_bytes: int
    mtime_ns: int


class Zone(Protocol):
    """Where files land. Paths are relative to it, with `/`; the empty one is itself."""

    @property
    def root(self) -> Place: ...

    def folders(self, folder: str, is_wanted: Callable[[str], bool]) -> list[str]:
        """Names of the folders in a folder that are wanted.

        Raises:
            InputError: it cannot be listed.
        """

    def walk(self, start: str, fixed: str) -> Iterator[Found]:
        """Every file below `start`, its path relative to `fixed`, which is `start` or above it.

        Raises:
            InputError: a folder cannot be listed, so files could be missed.
        """

    def open(self, path: str) -> AbstractContextManager[Opened]:
        """A landed file to read, whatever took its place since it was listed.

        Raises:
            InputError: it is none, or the pipeline's own.
            FileNotFoundError: it is gone.
            OSError: it cannot be read.
        """


def open_zone(landing: Place, own: Sequence[Place] = ()) -> Zone:
    """The landing zone in a place. `own`: where the pipeline writes, into which no link may lead.

    Raises:
        InputError: the folder is not there, as where a disk is not mounted: that is not a day without logs.
    """
    if isinstance(landing, Path):
        if not landing.is_dir():
            raise InputError(f"{landing}: the landing zone is not there; mount it, or make the folder, and run again")
        return FolderZone(landing, [os.path.realpath(place) for place in own if isinstance(place, Path)])
    return BucketZone(landing)


class FolderZone:
    """A local folder. Links are followed."""

    def __init__(self, root: Path, own: Sequence[str]) -> None:
        self.root, self._own = root, own

    def folders(self, folder: str, is_wanted: Callable[[str], bool]) -> list[str]:
        try:
            names = os.listdir(self.root / folder)
        except OSError as err:
            _refuse(err)
            return []
        wanted = ((name, _stat(self.root / folder / name)) for name in names if is_wanted(name))
        return [name for name, found in wanted if found and stat.S_ISDIR(found.st_mode)]

    def walk(self, start: str, fixed: str) -> Iterator[Found]:
        return _walk(self.root / start, self.root / fixed)

    @contextmanager
    def open(self, path: str) -> Iterator[Opened]:
        with _open_landed(self.root / path) as file:
            self._check_not_own(self.root / path, file)
            found = os.fstat(file.fileno())
            yield Opened(file, found.st_size, min(max(found.st_mtime_ns, 0), LATEST_NS))

    def _check_not_own(self, path: Path, file: BinaryIO) -> None:
        try:
            real = os.readlink(f"/proc/self/fd/{file.fileno()}")  # of what was opened, whatever the link leads to now
        except OSError:
            real = os.path.realpath(path)
        if any(real.startswith(f"{folder}/") for folder in self._own):
            raise InputError(f"{path}: leads into {Path(real).parent}, which is the pipeline's own; remove this link")


class BucketZone:
    """A bucket, or what lies below a prefix of it. An object stands for a file, a part of its name for a folder."""

    def __init__(self, root: Bucket) -> None:
        from audit_pipeline.lake.buckets import BucketStore

        self.root, self._store = root, BucketStore(root)

    def folders(self, folder: str, is_wanted: Callable[[str], bool]) -> list[str]:
        return [name for name in self._store.folders(folder) if is_wanted(name)]

    def walk(self, start: str, fixed: str) -> Iterator[Found]:
        for meta in self._store.metas(start):
            name = self._store.name(meta).removeprefix(f"{fixed}/" if fixed else "")
            yield name, meta["size"], _looks_ns(meta["last_modified"], meta["e_tag"])

    @contextmanager
    def open(self, path: str) -> Iterator[Opened]:
        file, meta = self._store.download(path)
        with file:
            yield Opened(file, meta["size"], _looks_ns(meta["last_modified"], meta["e_tag"]))


def _looks_ns(modified: datetime, etag: str | None) -> int:
    """The second in which an object was written and, as its nanoseconds, a digest of its etag.

    Stores tell seconds alone, in which an object may be written twice; so that one is found by its etag.
    """
    digest = hashlib.sha256((etag or "").strip('"').encode()).digest()
    return int(modified.timestamp()) * 10**9 + int.from_bytes(digest[:8], "big") % 10**9


def _open_landed(path: Path) -> BinaryIO:
    # Without O_NONBLOCK a pipe that nobody writes into would keep us waiting; of a regular file it changes nothing.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as err:
        if err.errno == errno.ENXIO:  # a socket
            raise _not_regular(path) from err
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_regular(path)
    return os.fdopen(descriptor, "rb")


def _not_regular(path: Path) -> InputError:
    return InputError(
        f"{path}: expected the file that was listed, got a folder, pipe, socket or device; put the file back, or "
        "remove this, and run again"
    )


def _walk(start: Path, fixed: Path) -> Iterator[tuple[str, int, int]]:
    """(path below `fixed`, size, time) of every regular file; a folder with several names is walked under one.

    Links to folders are followed last, so that a folder's own name comes before a link to it. A link to a folder that
    holds `start` is not followed.
    """
    holding = {*start.parents, *Path(os.path.realpath(start)).parents}
    seen = {(found.st_dev, found.st_ino) for path in holding if (found := _stat(path))}
    waiting = deque([start])
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft(), onerror=_refuse):
            here = _stat(Path(folder))
            if here is None or (here.st_dev, here.st_ino) in seen:
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            waiting.extend(path for name in sorted(folders) if os.path.islink(path := Path(folder) / name))
            relative = Path(folder).relative_to(fixed).as_posix()
            before = "" if relative == "." else f"{relative}/"
            for name in files:
                found = _stat(f"{folder}/{name}")
                if found is not None and stat.S_ISREG(found.st_mode):  # a pipe or socket has no bytes that stay
                    yield f"{before}{name}", found.st_size, min(max(found.st_mtime_ns, 0), LATEST_NS)


def _refuse(err: OSError) -> None:
    if not isinstance(err, FileNotFoundError):
        raise InputError(
            f"{err.filename}: cannot be listed ({err.strerror}); make it readable for this user, or move it away"
        ) from err


def _stat(path: str | Path) -> os.stat_result | None:
    """None where nothing is behind the name: gone since it was listed, or a link to nowhere."""
    try:
        return os.stat(path)  # a Path for each of many files takes longer than to look at them
    except FileNotFoundError:
        return None
    except OSError as err:
        if err.errno == errno.ELOOP:
            return None
        raise InputError(
            f"{path}: cannot be read ({err.strerror}); make it readable for this user, or move it away"
        ) from err
