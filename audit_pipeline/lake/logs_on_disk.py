"""Tables' Delta logs where delta-rs can read them: on the local disk.

A bucket's are copied there, commit by commit: so all that is asked of a bucket is asked by one client, with one way of
asking again, and delta-rs needs no credentials. Of a log with a Delta checkpoint no commit before it is copied.
"""

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.commits import commit_file
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.objects import Folder, sync_file
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.stores import Store

if TYPE_CHECKING:
    from audit_pipeline.lake.buckets import BucketStore

LAST_CHECKPOINT = "_delta_log/_last_checkpoint"


def checkpoint_file(version: int) -> str:
    return f"_delta_log/{version:020}.checkpoint.parquet"


def log_on_disk(files: Store) -> Path:
    """A folder whose `_delta_log` has the newest version of the table.

    Raises:
        StorageError: something there is no regular file: Delta readers would wait for a pipe for ever.
    """
    if isinstance(files.root, Bucket):
        return _copy_of(files.root).renewed()
    for entry in os.scandir(files.root / "_delta_log"):
        if not entry.is_file(follow_symlinks=False):
            raise StorageError(f"{entry.path}: not a regular file; move it away, or restore it from a backup")
    return files.root


def publish_checkpoint(files: Store, version: int) -> None:
    """Make durable the checkpoint that delta-rs wrote into the folder that `log_on_disk` gave."""
    if isinstance(files.root, Path):
        sync_file(files.root / checkpoint_file(version))
        sync_file(files.root / LAST_CHECKPOINT)
        return
    folder = _copy_of(files.root).folder
    files.put_new(checkpoint_file(version), (folder / checkpoint_file(version)).read_bytes())
    files.replace(LAST_CHECKPOINT, (folder / LAST_CHECKPOINT).read_bytes())


class _Copy:
    """The log of a bucket's table, as far as this process has read it, or the machine where it keeps copies."""

    def __init__(self, files: "BucketStore") -> None:
        self._files = files
        self._lock = Lock()
        self._newest = -1
        if self._files.copies:
            self.folder = self._files.copies.path()
            kept = [int(path.stem) for path in self.folder.glob("_delta_log/*.json")]
            self._newest = max(kept, default=-1)
        else:
            self._own = tempfile.TemporaryDirectory(prefix="audit-log-")
            self.folder = Path(self._own.name)

    def renewed(self) -> Path:
        with self._lock:
            if self._newest < 0 or not self._files.exists(commit_file(self._newest)):
                self._begin()
            while (commit := self._files.fetch(commit_file(self._newest + 1))) is not None:
                self._keep(commit_file(self._newest + 1), commit)
                self._newest += 1
        return self.folder

    def _begin(self) -> None:
        if self._newest >= 0:  # the bucket has an older state now
            if self._files.copies:
                self._files.copies.forget()
            shutil.rmtree(self.folder / "_delta_log", ignore_errors=True)
        self._newest = -1
        pointer = self._files.fetch(LAST_CHECKPOINT)
        if pointer is None:
            return
        with decoding(self._files.path(LAST_CHECKPOINT)):
            version = int(json.loads(pointer)["version"])
        checkpoint = self._files.fetch(checkpoint_file(version))
        if checkpoint is not None:
            self._keep(checkpoint_file(version), checkpoint)
            self._keep(LAST_CHECKPOINT, pointer)
            self._newest = version

    def _keep(self, name: str, content: bytes) -> None:
        if not (self.folder / name).exists():  # a copy was kept of it when it was read
            Folder(self.folder).replace(name, content)  # at once: other processes may read the same folder


@cache
def _copy_of(place: Bucket) -> _Copy:
    from audit_pipeline.lake.buckets import BucketStore

    return _Copy(BucketStore(place))
