"""A lake whose places are buckets of a server on loopback, or folders, and what the suite asks of both."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

from audit_pipeline.lake.objects import PROBE
from audit_pipeline.lake.places import Access, Bucket, Place
from audit_pipeline.lake.stores import Store, open_store
from audit_pipeline.verify import Verification, verify
from tests.lakes import TODAY, LakeForTests
from tests.stores.servers import AZURE_ACCOUNT, Server, environ

BUCKET = "audit"
_SCHEMES = {"s3": "s3", "gcs": "gs", "azure": "az"}
_STORED = ("lake", "evidence", "log", "marks")


class LakeAt(LakeForTests):
    """A lake whose landing zone, lake, evidence, log and marks lie below `at`; its keys stay on disk."""

    def __init__(self, root: Path, at: Place, **options: object) -> None:
        super().__init__(root, **options)  # type: ignore[arg-type]
        self.at = at
        if isinstance(at, Bucket):
            moved = {name: Bucket(f"{at.uri}/{name}", at.access) for name in ("landing", *_STORED, "reports")}
            self.places = replace(self.places, **moved, cache=root / "cache")

    def land(self, name: str, content: bytes, day: date = TODAY) -> None:  # type: ignore[override]
        """Put an object into the landing zone, in place of one that may be there."""
        open_store(self.places.landing).replace(f"runs/{day.isoformat()}/{name}", content)

    def stores(self) -> dict[str, Store]:
        return {name: open_store(getattr(self.places, name)) for name in _STORED}

    def files(self) -> dict[str, bytes]:
        found = ((f"{area}/{name}", store.get(name)) for area, store in self.stores().items() for name in store.names())
        return {name: content or b"" for name, content in found}

    def verify(self, **arguments: object) -> Verification:
        """As `audit-pipeline verify` does, without copies; of given days, as the daily run does, with them."""
        lake = self.lake
        places = lake.places if arguments.get("first") else lake.places.without_copies()
        return verify(replace(lake, places=places), **arguments)  # type: ignore[arg-type]

    def again(self) -> "LakeAt":
        """Another worker on the same lake."""
        other = LakeAt(self.root, self.at, streams=self.streams)
        other.now, other.places = self.now, self.places
        return other


def place_of(server: Server, port: int | None = None) -> Bucket:
    """A place that no other test has, reached through `port`."""
    account = AZURE_ACCOUNT if server.kind == "azure" else None
    access = Access(endpoint=server.endpoint(port or server.port), account=account, region="us-east-1")
    if server.kind != "s3":
        access = replace(access, region=None)
    return Bucket(f"{_SCHEMES[server.kind]}://{BUCKET}/{uuid.uuid4().hex}", access)


@contextmanager
def as_process_of(server: Server) -> Iterator[None]:
    """Credentials for the server are what the cloud's own chain finds, and it finds no others."""
    with patch.dict(os.environ, environ(server), clear=True):
        yield


def s3_client(server: Server) -> Any:
    """In a session of its own: the default one keeps the credentials that the first test of the process had."""
    import boto3

    return boto3.Session().client("s3", endpoint_url=server.endpoint(server.port), region_name="us-east-1")


def make_bucket(server: Server, name: str = BUCKET, *, is_locked: bool = False) -> None:
    """As an administrator does before the pipeline is set up."""
    if server.kind == "s3":
        s3_client(server).create_bucket(Bucket=name, ObjectLockEnabledForBucket=is_locked)
    elif server.kind == "azure":
        from azure.storage.blob import BlobServiceClient

        credential = server.environ["AZURE_STORAGE_ACCOUNT_KEY"]
        BlobServiceClient(server.endpoint(server.port), credential=credential).create_container(name)


def downloaded(lake: LakeAt, root: Path) -> LakeForTests:
    """A copy of the lake in local folders, with the same keys: what the tests that know files look at."""
    copy = LakeForTests(root, streams=lake.streams)
    shutil.copytree(lake.places.keys, copy.places.keys, dirs_exist_ok=True)
    for area, store in {**lake.stores(), "landing": open_store(lake.places.landing)}.items():
        folder = getattr(copy.places, area)
        for name in filter(PROBE.__ne__, store.names()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(store.get(name) or b"")
    copy.now = lake.now
    return copy
