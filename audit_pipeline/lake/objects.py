"""A local folder as an object store: whole objects by name, create-only or replaced, on disk before a call returns.

delta-rs syncs nothing on a local disk, so what must survive a power cut is written through here.
"""

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from audit_pipeline.errors import ProofError, StorageError

PROBE = "_probe"
"""In each place in a bucket, an object that shows that the store creates it once and not again; it holds nothing."""

_PIECE_BYTES = 1 << 20
_MOST_BYTES = 512 << 20  # a draft of 700,000 sources; what is larger is never read whole


@dataclass(frozen=True, slots=True)
class Listed:
    """Something that is there, as a listing shows it."""

    name: str
    size_bytes: int
    fault: str = ""
    """Why it is no object that was written once and stays, such as a link; empty where it is one."""


class NewObject:
    """An object being written. It has no name until `publish`, so a crash before that leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _make_folder(path.parent)
        self._temporary: Path | None = None
        try:
            descriptor = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o644)
        except (AttributeError, OSError):
            # No unnamed files here (macOS, some network file systems): a named one that a crash may leave behind.
            self._temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
            descriptor = os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        # Buffered: a raw file may write less than it is given, and say so only in a number that nobody reads.
        self.file: BinaryIO = os.fdopen(descriptor, "w+b")

    def write(self, content: bytes | memoryview) -> None:
        """All of `content`, or StorageError."""
        try:
            self.file.write(content)
        except OSError as err:
            raise _failed(self._path, "written", err) from err

    def publish(self) -> bool:
        """Give the object its name. False when that name is taken already: then the other object stands."""
        descriptor = self.file.fileno()
        try:
            self.file.flush()
            os.fsync(descriptor)
            if self._temporary is not None:
                os.link(self._temporary, self._path)
            else:
                # Only with a directory descriptor does Python call linkat, which follows the link under /proc.
                os.link(f"/proc/self/fd/{descriptor}", self._path, src_dir_fd=descriptor, follow_symlinks=True)
        except FileExistsError:
            return False
        except OSError as err:
            raise _failed(self._path, "created", err) from err
        _sync_folder(self._path.parent)
        return True

    def publish_alike(self) -> None:
        """Give the object its name, or see that what has the name is the same.

        Raises:
            ProofError: something else has the name.
        """
        if self.publish():
            return
        self.file.seek(0)
        with contextlib.suppress(OSError), self._path.open("rb") as other:
            while (ours := self.file.read(_PIECE_BYTES)) == other.read(_PIECE_BYTES):
                if not ours:
                    return
        raise ProofError(f"{self._path}: nothing of ours wrote it: remove it and run again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take belongs to an object that has no name
            self.file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


class Folder:
    """Objects under `root`. Names are relative, with `/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None when there is no such object."""
        try:
            if not os.path.lexists(self.path(name)):
                return None
            path = self.file(name)
            if path.stat().st_size > _MOST_BYTES:
                raise StorageError(f"{path}: larger than anything that is written here; restore it from a backup")
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise _failed(self.path(name), "read", err) from err

    def file(self, name: str) -> Path:
        """The path of an object that is there.

        Raises:
            StorageError: there is none, or something that is no file, such as a pipe that would never end.
        """
        path = self.path(name)
        if not path.is_file():
            raise StorageError(f"{path}: missing, or not a regular file; restore it from a backup")
        return path

    def open(self, name: str) -> BinaryIO:
        try:
            return self.file(name).open("rb")
        except OSError as err:
            raise _failed(self.path(name), "read", err) from err

    def size(self, name: str) -> int:
        """Bytes of an object that is there."""
        try:
            return self.file(name).stat().st_size
        except OSError as err:
            raise _failed(self.path(name), "read", err) from err

    def digest(self, name: str) -> tuple[int, str] | None:
        """(size, SHA-256 in hex) of an object; None where there is none, or a link, which can change unseen."""
        path, hasher, size_bytes = self.path(name), hashlib.sha256(), 0
        if not path.is_file() or path.is_symlink():
            return None
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    hasher.update(piece)
                    size_bytes += len(piece)
        except OSError as err:
            raise _failed(path, "read", err) from err
        return size_bytes, hasher.hexdigest()

    def exists(self, name: str) -> bool:
        """Whether the name is taken, be it by a link to nowhere."""
        return os.path.lexists(self.path(name))

    def create(self, name: str) -> NewObject:
        """A new object to write into and publish."""
        try:
            return NewObject(self.path(name))
        except OSError as err:
            raise _failed(self.path(name), "created", err) from err

    def put_new(self, name: str, content: bytes) -> bool:
        """Create the object. False when it exists already, whatever its bytes."""
        with self.create(name) as new:
            new.write(content)
            return new.publish()

    def replace(self, name: str, content: bytes) -> None:
        """Put the object in place of the one that may be there; readers see the old bytes or the new ones."""
        path = self.path(name)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            _make_folder(path.parent)
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as err:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _failed(path, "written", err) from err

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of all objects below the folder `prefix`, sorted within each folder.

        Raises:
            StorageError: a folder cannot be listed, which must not pass for an empty one.
        """
        for folder, folders, files in os.walk(self.path(prefix) if prefix else self.root, onerror=_refuse):
            folders.sort()
            before = Path(folder).relative_to(self.root).as_posix() + "/"
            for file in sorted(files):
                yield f"{before.removeprefix('./')}{file}"

    def listed(self) -> Iterator[Listed]:
        """All that is there, in order, also what nothing of ours can have put there, or cannot be listed."""
        return _listed("", self.root)


def _listed(before: str, folder: Path) -> Iterator[Listed]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as err:
        yield Listed(before.rstrip("/"), 0, f"cannot be listed: {err.strerror}; give this user read access")
        return
    for entry in entries:
        name = f"{before}{entry.name}"
        if entry.is_symlink():
            yield Listed(name, 0, "a link: what it leads to can change unseen; put the file itself there")
        elif entry.is_dir():
            yield from _listed(f"{name}/", Path(entry.path))
        elif not entry.is_file():
            yield Listed(name, 0, "neither a file nor a folder: move it away")
        else:
            yield Listed(name, entry.stat().st_size)


def _failed(path: Path, done: str, err: OSError) -> StorageError:
    """What could not be done, and what the disk's answer asks of whoever runs this."""
    if isinstance(err, PermissionError):
        cure = f"give this user {'read' if done == 'read' else 'write'} access and run again"
    elif err.errno in (errno.ENOSPC, errno.EDQUOT):
        cure = "make room and run again"
    elif done == "read":
        cure = "mend the disk, or restore it from a backup"
    else:
        cure = "see that its folder is one, on a disk that can be written, and run again"
    return StorageError(f"{path}: cannot be {done}: {err.strerror}; {cure}")


def _refuse(err: OSError) -> None:
    if not isinstance(err, FileNotFoundError):
        raise StorageError(f"{err.filename}: cannot be listed: {err.strerror}; give this user read access") from err


def sync_file(path: Path) -> None:
    """Put a file that another library wrote, and the entry of its folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
