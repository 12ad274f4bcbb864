"""What was written once is there once, and locks and keys are what the profile says, or `verify` says they are not.

SeaweedFS has Object Lock and versions, moto keys of KMS. Our Google double keeps generations and says of its bucket
what a test tells it to. Azurite has neither versions nor policies: there a lock is only seen to be missing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import obstore
import pytest

from audit_pipeline.lake.clients import open_client, parse_uri
from audit_pipeline.lake.guards import Guard, find_covered, read_guard
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.stores import open_store
from tests.stores import servers
from tests.stores.lakes import BUCKET, LakeAt, as_process_of, make_bucket, place_of, s3_client
from tests.stores.servers import Server

LOCKED = "locked"
VERSIONED = [pytest.param("s3", id="s3"), pytest.param("gcs", id="gcs")]
ALL = [*VERSIONED, pytest.param("azure", id="azure", marks=pytest.mark.needs("azurite", "azurite: make programs"))]


@pytest.fixture(scope="session")
def locked_bucket(s3_server: Server) -> str:
    """A bucket of SeaweedFS whose new objects nobody can remove for a day."""
    with as_process_of(s3_server):
        make_bucket(s3_server, LOCKED, is_locked=True)
        kept = {"Mode": "COMPLIANCE", "Days": 1}
        lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": kept}}
        s3_client(s3_server).put_object_lock_configuration(Bucket=LOCKED, ObjectLockConfiguration=lock)
    return LOCKED


@pytest.fixture
def locked_lake(s3_server: Server, locked_bucket: str, tmp_path: Path) -> Iterator[LakeAt]:
    """A sealed day in the locked bucket."""
    with as_process_of(s3_server):
        at = place_of(s3_server)
        at = Bucket(at.uri.replace("s3://audit/", f"s3://{locked_bucket}/"), replace(at.access, is_locked=True))
        lake = LakeAt(tmp_path, at)
        lake.land("a.jsonl", b'{"step":1}\n')
        lake.run()
        yield lake


def remove(place: Bucket, name: str) -> None:
    obstore.delete(open_client(place), f"{parse_uri(place.uri)[2]}/{name}")


def test_a_lake_under_object_lock_is_sealed_and_verified_and_the_lock_is_named(locked_lake: LakeAt) -> None:
    found = locked_lake.verify()

    assert not found.problems
    assert "log: Object Lock, COMPLIANCE, 1 days" in found.notes


def test_an_object_put_over_and_put_back_is_found_by_its_versions(locked_lake: LakeAt) -> None:
    evidence = open_store(locked_lake.places.evidence)
    name = next(name for name in evidence.names("_seals"))
    content = evidence.get(name) or b""

    evidence.replace(name, b"another draft")
    evidence.replace(name, content)

    (problem,) = locked_lake.verify().problems
    assert "has 3 versions: something was put over it" in problem.message
    assert name in problem.message


def test_an_object_removed_and_created_again_is_found_by_its_delete_marker(locked_lake: LakeAt) -> None:
    evidence = open_store(locked_lake.places.evidence)
    name = next(name for name in evidence.names("_seals"))
    content = evidence.get(name) or b""

    remove(locked_lake.places.evidence, name)  # type: ignore[arg-type]
    assert open_store(locked_lake.places.without_copies().evidence).put_new(name, content)

    (problem,) = locked_lake.verify().problems
    assert "was removed and put again" in problem.message


def test_a_version_under_the_lock_cannot_be_removed(locked_lake: LakeAt, s3_server: Server) -> None:
    from botocore.exceptions import ClientError

    place = locked_lake.places.log
    assert isinstance(place, Bucket)
    key = f"{parse_uri(place.uri)[2]}/vkey"
    (version,) = s3_client(s3_server).list_object_versions(Bucket=LOCKED, Prefix=key)["Versions"]

    with pytest.raises(ClientError, match=r"AccessDenied|Access Denied|locked"):
        s3_client(s3_server).delete_object(Bucket=LOCKED, Key=key, VersionId=version["VersionId"])


@pytest.mark.parametrize("server", ALL, indirect=True)
def test_a_lock_that_the_bucket_does_not_have_is_a_problem(server: Server, tmp_path: Path) -> None:
    lake = LakeAt(tmp_path, place_of(server))
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    log = lake.places.log
    assert isinstance(log, Bucket)
    lake.places = replace(lake.places, log=replace(log, access=replace(log.access, is_locked=True)))

    (problem,) = lake.verify().problems

    assert problem.table == "log"
    assert "no lock that nobody can lift" in problem.message


@pytest.mark.parametrize("server", ALL, indirect=True)
def test_another_encryption_key_than_the_profiles_is_a_problem(server: Server, tmp_path: Path) -> None:
    lake = LakeAt(tmp_path, place_of(server))
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    log = lake.places.log
    assert isinstance(log, Bucket)
    lake.places = replace(lake.places, log=replace(log, access=replace(log.access, encryption_key="our-key")))

    (problem,) = lake.verify().problems

    assert "expected new objects under the key our-key" in problem.message


@pytest.fixture
def encrypting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 with KMS beside it."""
    with servers.moto(tmp_path_factory.mktemp("moto")) as server, as_process_of(server):
        make_bucket(server)
        yield server


def test_every_object_is_put_under_the_profiles_key_and_verify_says_when_the_bucket_has_another(
    encrypting_server: Server, tmp_path: Path
) -> None:
    key, other = encrypt_bucket(encrypting_server), "alias/another"
    at = place_of(encrypting_server)
    lake = LakeAt(tmp_path, replace(at, access=replace(at.access, encryption_key=key)))
    lake.land("a.jsonl", b'{"step":1}\n')
    lake.run()

    client = s3_client(encrypting_server)
    names = [found["Key"] for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert {client.head_object(Bucket=BUCKET, Key=name).get("SSEKMSKeyId") for name in names} == {key}
    assert lake.verify().problems == ()
    encrypt_bucket(encrypting_server, other)
    messages = {problem.message.partition(": ")[2] for problem in lake.verify().problems}
    assert messages == {f"expected new objects under the key {key}, the bucket uses {other}"}


def encrypt_bucket(server: Server, key: str | None = None) -> str:
    """Make `key`, or a new one of KMS, the bucket's own."""
    import boto3

    kms = boto3.Session().client("kms", endpoint_url=server.endpoint(server.port), region_name="us-east-1")
    name = key or str(kms.create_key()["KeyMetadata"]["Arn"])
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": name}}
    configuration = {"Rules": [rule]}
    s3_client(server).put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=configuration)
    return name


@pytest.mark.parametrize("server", VERSIONED[1:], indirect=True)
def test_googles_library_says_what_locks_and_generations_there_are(server: Server, gcs_says: dict[str, Any]) -> None:
    place = place_of(server)
    store = open_store(place)
    for name in ("once", "over", "gone"):
        store.put_new(name, b"1")
    store.replace("over", b"2")
    remove(place, "gone")
    gcs_says |= {"retentionPolicy": {"retentionPeriod": "86400", "isLocked": True}}
    gcs_says |= {"encryption": {"defaultKmsKeyName": "a-key"}}

    assert [(found.name, found.versions, found.is_removed) for found in find_covered(place)] == [
        ("gone", 1, True),
        ("over", 2, False),
    ]
    assert read_guard(place) == Guard("retention policy, locked, 86400 seconds", "a-key")
