"""A bucket as a store of whole objects: create-only puts, ranged reads, and answers that were lost.

Each request is asked again a few times, which costs nothing but time: reads change nothing, and of a create-only put
whose answer was lost the second attempt finds the first one's object and compares it with what it was given.
"""

import hashlib
import io
import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar, cast

import obstore
from obstore import exceptions as failures

from audit_pipeline.errors import ProofError, StorageError, UnreachableError
from audit_pipeline.lake.clients import open_client, parse_uri
from audit_pipeline.lake.copies import Copies
from audit_pipeline.lake.decoding import one_line
from audit_pipeline.lake.objects import PROBE, Listed
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.ranged import LEAST_AHEAD, MOST_AHEAD, RangedFile

if TYPE_CHECKING:
    from obstore import ObjectMeta

    from audit_pipeline.lake.clients import Client

_ROUNDS = 4  # each of several requests: see `clients`
_WHOLE_BYTES = 1 << 20  # what is no larger is read in one request
_MOST_BYTES = 512 << 20  # as of a folder's objects: what is larger is never read whole
_MOST_PUT_BYTES = 5_000 << 20  # of one request, which alone can be create-only: S3 takes 5 GiB, Azure 5000 MiB
_REFUSED = (failures.PermissionDeniedError, failures.UnauthenticatedError)
_ANSWERS = (FileNotFoundError, failures.AlreadyExistsError, failures.PreconditionError)

_Found = TypeVar("_Found")


class ChangedError(Exception):
    """An object is another one than it was when reading it began."""


class BucketStore:
    """Objects below a place in a bucket. Names are relative, with `/`."""

    def __init__(self, root: Bucket) -> None:
        self.root = root
        self._client = open_client(root)
        self._prefix = parse_uri(root.uri)[2]
        below = root.uri.removeprefix(root.place).strip("/") if root.place else ""
        self.copies = Copies(Path(root.copies), below) if root.copies else None

    def path(self, name: str) -> Bucket:
        return self.root / name

    def get(self, name: str) -> bytes | None:
        copy = self.copies.get(name) if self.copies else None
        return self.fetch(name) if copy is None else copy

    def fetch(self, name: str) -> bytes | None:
        """What `get` gives, as the bucket has it now."""

        def ask() -> bytes:
            found = obstore.get(self._client, self._key(name))
            if found.meta["size"] > _MOST_BYTES:
                raise StorageError(f"{self.path(name)}: larger than anything that is written here; restore it")
            return bytes(found.bytes())

        try:
            content = self._ask(name, ask)
        except FileNotFoundError:
            return None
        if self.copies:
            self.copies.put(name, content)
        return content

    def open(self, name: str) -> BinaryIO:
        try:
            return self._read(name)[0]
        except FileNotFoundError as err:
            raise StorageError(f"{self.path(name)}: missing; restore it from a backup") from err

    def file(self, name: str) -> BinaryIO:
        return self.open(name)

    def size(self, name: str) -> int:
        if self.copies and (copy := self.copies.get(name)) is not None:
            return len(copy)
        try:
            return self._ask(name, lambda: obstore.head(self._client, self._key(name))["size"])
        except FileNotFoundError as err:
            raise StorageError(f"{self.path(name)}: missing; restore it from a backup") from err

    def digest(self, name: str) -> tuple[int, str] | None:
        try:
            file, meta = self._read(name)
        except FileNotFoundError:
            return None
        hasher = hashlib.sha256()
        while piece := file.read(MOST_AHEAD):
            hasher.update(piece)
        return meta["size"], hasher.hexdigest()

    def exists(self, name: str) -> bool:
        try:
            self._ask(name, lambda: obstore.head(self._client, self._key(name)))
        except FileNotFoundError:
            return False
        return True

    def create(self, name: str) -> "NewInBucket":
        return NewInBucket(self, name)

    def put_new(self, name: str, content: bytes | memoryview) -> bool:
        _check_creates_once(self.root)
        if len(content) > _MOST_PUT_BYTES:
            raise StorageError(f"{self.path(name)}: {len(content)} bytes, more than one request can put; land less")
        # What is there already may be ours: of an attempt whose answer was lost, here or in a run before.
        is_ours = self._ask(name, lambda: _creates(self._client, self._key(name), content)) or self._holds(
            name, content
        )
        if is_ours and self.copies:
            self.copies.put(name, content)
        return is_ours

    def replace(self, name: str, content: bytes) -> None:
        self._ask(name, lambda: obstore.put(self._client, self._key(name), content, use_multipart=False))

    def names(self, prefix: str = "") -> Iterator[str]:
        return (self.name(meta) for meta in self.metas(prefix))

    def listed(self) -> Iterator[Listed]:
        return (Listed(self.name(meta), meta["size"]) for meta in self.metas())

    def metas(self, prefix: str = "") -> Iterator["ObjectMeta"]:
        """What the store says of each object below the folder `prefix`, each once, in no promised order."""
        folder, given = self._key(prefix).rstrip("/") or None, set[str]()
        pages = iter(obstore.list(self._client, folder))

        def ask() -> "Sequence[ObjectMeta] | None":
            nonlocal pages
            try:
                return next(pages, None)
            except (failures.BaseError, OSError):
                pages = iter(obstore.list(self._client, folder))  # from its start: not all stores can begin in between
                raise

        while (page := self._ask(prefix, ask)) is not None:
            yield from (meta for meta in page if meta["path"] not in given)
            given.update(meta["path"] for meta in page)

    def name(self, meta: "ObjectMeta") -> str:
        return meta["path"].removeprefix(f"{self._prefix}/" if self._prefix else "")

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders in a folder, as names of objects make them."""
        folder = self._key(prefix).rstrip("/")
        found = self._ask(prefix, lambda: obstore.list_with_delimiter(self._client, folder or None))
        return [path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    def download(self, name: str) -> "tuple[BinaryIO, ObjectMeta]":
        """(the object in a file without a name, what the store says of it), of one moment.

        Raises:
            FileNotFoundError: it is not there.
            StorageError: it changes faster than it can be read.
        """
        for _ in range(_ROUNDS):
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
            try:
                source, meta = self._read(name)
                while piece := source.read(MOST_AHEAD):
                    file.write(piece)
            except FileNotFoundError:
                file.close()
                raise
            except ChangedError:
                file.close()
                continue
            file.seek(0)
            return cast(BinaryIO, file), meta
        raise StorageError(f"{self.path(name)}: changes while it is read; let its writer finish and run again")

    def _read(self, name: str) -> "tuple[BinaryIO, ObjectMeta]":
        """(the object to read, what the store says of it). FileNotFoundError where there is none."""
        if self.copies and self.copies.has_place_for(name):
            content = self.get(name)
            if content is None:
                raise FileNotFoundError(name)
            return io.BytesIO(content), {"size": len(content)}  # type: ignore[typeddict-item]

        def ask() -> "tuple[bytes | None, ObjectMeta]":
            found = obstore.get(self._client, self._key(name))
            return (bytes(found.bytes()) if found.meta["size"] <= _WHOLE_BYTES else None), found.meta

        whole, meta = self._ask(name, ask)
        if whole is not None:
            return io.BytesIO(whole), meta
        ranged = RangedFile(lambda begin, end: self._range(name, meta["e_tag"], begin, end), meta["size"])
        return io.BufferedReader(ranged, LEAST_AHEAD), meta

    def _range(self, name: str, etag: str | None, begin: int, end: int) -> bytes:
        try:
            options = {"range": (begin, end), **({"if_match": etag} if etag else {})}
            return self._ask(
                name,
                lambda: bytes(obstore.get(self._client, self._key(name), options=options).bytes()),  # type: ignore[arg-type]
            )
        except (failures.PreconditionError, FileNotFoundError) as err:
            raise ChangedError(str(self.path(name))) from err

    def _holds(self, name: str, content: bytes | memoryview) -> bool:
        """Whether the object has exactly these bytes."""
        found = self.digest(name)
        return found == (len(content), hashlib.sha256(content).hexdigest())

    def _ask(self, name: str, ask: Callable[[], _Found]) -> _Found:
        """What `ask` gives, asked again while the store fails.

        Raises:
            FileNotFoundError, AlreadyExistsError, PreconditionError: what the store answers.
            UnreachableError: it refuses, or fails still.
        """
        for left in reversed(range(_ROUNDS)):
            try:
                return ask()
            except _ANSWERS:
                raise
            except _REFUSED as err:
                raise UnreachableError(
                    f"{self.path(name)}: refused to this identity; give it the role of its task in deploy/policies, "
                    f"or see docs/stores.md, `Credentials` ({one_line(err)})"
                ) from err
            except (failures.BaseError, OSError) as err:
                if not left:
                    raise UnreachableError(
                        f"{self.path(name)}: the store gives no good answer; see whether it can be reached, then run "
                        f"again, which goes on where this ended ({one_line(err)})"
                    ) from err
        raise AssertionError("a round either returns or raises")

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)


class NewInBucket:
    """An object being written, in a local file without a name until it is put whole."""

    def __init__(self, store: BucketStore, name: str) -> None:
        self._store, self._name = store, name
        self.file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed in __exit__

    def write(self, content: bytes | memoryview) -> None:
        """All of `content`, or StorageError."""
        try:
            self.file.write(content)
        except OSError as err:
            raise StorageError(f"{tempfile.gettempdir()}: cannot be written: {err.strerror}; make room there") from err

    def publish(self) -> bool:
        """Put the object. False when another one has its name: then that one stands."""
        self.file.flush()
        size_bytes = self.file.seek(0, io.SEEK_END)
        if not size_bytes:
            return self._store.put_new(self._name, b"")
        # Mapped, not read: the whole of it is sent at once, and may be more than there is memory.
        content = mmap.mmap(self.file.fileno(), size_bytes, access=mmap.ACCESS_READ)
        return self._store.put_new(self._name, memoryview(content))

    def publish_alike(self) -> None:
        """Put the object, or see that what has its name is the same.

        Raises:
            ProofError: something else has the name.
        """
        if not self.publish():
            raise ProofError(f"{self._store.path(self._name)}: nothing of ours wrote it: remove it and run again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()


@cache
def _check_creates_once(of: Bucket) -> None:
    """Check, before anything is created in a place, that the store creates an object once.

    All that is promised here stands on that, and not every store that speaks a cloud's language does it.

    Raises:
        StorageError: it does not.
    """
    if of.place:
        return _check_creates_once(replace(of, uri=of.place, place=""))
    client, key = open_client(of), "/".join(part for part in (parse_uri(of.uri)[2], PROBE) if part)
    ask = BucketStore(of)._ask
    # Told apart by what they hold: where the answer to the first is lost, it is refused as the second must be.
    made = [ask(PROBE, lambda text=text: _creates(client, key, text)) for text in (b"1\n", b"2\n")]  # type: ignore[misc]
    if made[1]:
        raise StorageError(
            f"{of}: this store creates an object that is there already: two runs would lose each other's records; use "
            "one with conditional puts (If-None-Match), as docs/stores.md lists them"
        )
    return None


def _creates(client: "Client", key: str, content: bytes | memoryview) -> bool:
    try:
        obstore.put(client, key, content, mode="create", use_multipart=False)
    except failures.AlreadyExistsError:
        return False
    return True
