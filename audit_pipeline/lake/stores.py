"""Whole objects by name, wherever a profile keeps them: in a local folder or in a bucket.

What is promised of both: an object is there with all its bytes or not at all; of many that create one name at once, one
does; an object that is created stays as it is, and is durable when the call returns. `replace` alone gives up the
second and third, and only the log's checkpoint and Delta's pointer to its checkpoint are written so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from audit_pipeline.lake.clients import missing_extra
from audit_pipeline.lake.objects import Folder, Listed
from audit_pipeline.lake.places import Place


class NewObject(Protocol):
    """An object being written. It has no name until it is published, and none when the block ends before that."""

    file: BinaryIO
    """Where its bytes go; can be read again."""

    def write(self, content: bytes | memoryview) -> None: ...

    def publish(self) -> bool:
        """Give the object its name. False when that name is taken already: then the other object stands."""

    def publish_alike(self) -> None:
        """Give the object its name, or see that what has the name is the same; ProofError where it is not."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Store(Protocol):
    """Objects below `root`. Names are relative, with `/`. Every method raises StorageError where the store fails."""

    @property
    def root(self) -> Place: ...

    def path(self, name: str) -> Place:
        """What errors call an object."""

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None when there is no such object."""

    def open(self, name: str) -> BinaryIO:
        """An object that is there, to read from its start; it can seek."""

    def file(self, name: str) -> Path | BinaryIO:
        """An object that is there, as Parquet readers take it."""

    def size(self, name: str) -> int:
        """Bytes of an object that is there."""

    def digest(self, name: str) -> tuple[int, str] | None:
        """(size, SHA-256 in hex) of an object's bytes; None where there is no such object."""

    def exists(self, name: str) -> bool:
        """Whether the name is taken."""

    def create(self, name: str) -> NewObject:
        """A new object to write into and publish."""

    def put_new(self, name: str, content: bytes) -> bool:
        """Create the object. False when it exists already, whatever its bytes."""

    def replace(self, name: str, content: bytes) -> None:
        """Put the object in place of the one that may be there; readers see the old bytes or the new ones."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of all objects below the folder `prefix`."""

    def listed(self) -> Iterator[Listed]:
        """All that is there, in order of name, also what nothing of ours can have put there."""


def open_store(place: Place) -> Store:
    """The store of a place. Nothing is made or asked yet."""
    if isinstance(place, Path):
        return Folder(place)
    try:
        from audit_pipeline.lake.buckets import BucketStore
    except ImportError as err:
        raise missing_extra(place.uri) from err
    return BucketStore(place)
