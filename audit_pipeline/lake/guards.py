"""What a bucket does for the objects in it: locks, versions, encryption. Asked with the cloud's own library.

A lock does not keep an object from being covered: a put over it makes a newer version, and a removal a delete marker,
which readers then see. So what is written once must have one version, and no marker.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from audit_pipeline.errors import UnreachableError
from audit_pipeline.lake.clients import account_of, google_credentials, missing_extra, parse_uri
from audit_pipeline.lake.places import Bucket

_FAILURES = (
    "azure.core.exceptions.AzureError",
    "botocore.exceptions.BotoCoreError",
    "botocore.exceptions.ClientError",
    "google.api_core.exceptions.GoogleAPIError",
    "google.auth.exceptions.GoogleAuthError",
)

_Asked = TypeVar("_Asked")


@dataclass(frozen=True, slots=True)
class Guard:
    """What a bucket says of itself."""

    lock: str
    """How long nobody can remove a new object, in words; empty where it has no lock, or one that can be taken off."""
    encryption_key: str | None
    """Of the store's own keys, the one by which new objects are encrypted; None where the cloud's is used."""


@dataclass(frozen=True, slots=True)
class Covered:
    """An object of which there is more than the one version that was written once."""

    name: str
    versions: int
    is_removed: bool
    """Whether there is a delete marker among them."""


def read_guard(place: Bucket) -> Guard:
    """What the bucket of a place does for new objects.

    Raises:
        UnreachableError: it does not say.
    """
    scheme, bucket, _ = parse_uri(place.uri)
    read = {"s3": _s3_guard, "gs": _gcs_guard}.get(scheme, _azure_guard)
    return _asked(place, lambda: read(place, bucket))


def find_covered(place: Bucket) -> list[Covered]:
    """The objects below a place that have several versions or a delete marker, by name.

    Raises:
        UnreachableError: the bucket does not list them.
    """
    scheme, bucket, prefix = parse_uri(place.uri)
    read = {"s3": _s3_versions, "gs": _gcs_versions}.get(scheme, _azure_versions)
    versions: dict[str, list[bool]] = {}

    def ask() -> None:
        for name, is_marker in read(place, bucket, f"{prefix}/" if prefix else ""):
            versions.setdefault(name[len(prefix) :].lstrip("/"), []).append(is_marker)

    _asked(place, ask)
    return [Covered(name, found.count(False), any(found)) for name, found in sorted(versions.items()) if len(found) > 1]


def _asked(place: Bucket, ask: Callable[[], _Asked]) -> _Asked:
    """What a library of a cloud gives, and one error for all that they raise."""
    try:
        return ask()
    except ImportError as err:
        raise missing_extra(place.uri) from err
    except _failures() as err:
        raise UnreachableError(
            f"{place}: does not say how it guards objects; give this identity the auditor's role of deploy/policies "
            f"({' '.join(str(err).split())[:200]})"
        ) from err


def _failures() -> tuple[type[Exception], ...]:
    """What the libraries that are installed raise."""
    found: list[type[Exception]] = [OSError]
    for name in _FAILURES:
        module, _, error = name.rpartition(".")
        with suppress(ImportError):
            found.append(getattr(import_module(module), error))
    return tuple(found)


def _s3(place: Bucket) -> Any:
    import boto3

    session = boto3.session.Session(profile_name=place.access.identity, region_name=place.access.region)
    return session.client("s3", endpoint_url=place.access.endpoint)


def _s3_guard(place: Bucket, bucket: str) -> Guard:
    from botocore.exceptions import ClientError

    def said(ask: Callable[..., Any], absent: str) -> dict[str, Any]:
        try:
            return dict(ask(Bucket=bucket))
        except ClientError as err:
            if err.response["Error"]["Code"] == absent:
                return {}
            raise

    client = _s3(place)
    locked = said(client.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError")
    kept = locked.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    encrypted = said(client.get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError")
    rules = encrypted.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    by_default = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") for rule in rules]
    # GOVERNANCE can be lifted by whoever has the right to.
    is_locked = kept.get("Mode") == "COMPLIANCE"
    period = f"{kept['Days']} days" if kept.get("Days") else f"{kept.get('Years')} years"
    return Guard(f"Object Lock, COMPLIANCE, {period}" if is_locked else "", next(iter(by_default), None))


def _s3_versions(place: Bucket, bucket: str, prefix: str) -> Iterator[tuple[str, bool]]:
    for page in _s3(place).get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        yield from ((version["Key"], False) for version in page.get("Versions", []))
        yield from ((marker["Key"], True) for marker in page.get("DeleteMarkers", []))


def _gcs_bucket(place: Bucket, bucket: str) -> Any:
    from google.cloud import storage

    options = {"api_endpoint": place.access.endpoint} if place.access.endpoint else None
    credentials = google_credentials(bucket, place.access)
    return storage.Client(project="-", credentials=credentials, client_options=options).get_bucket(bucket)


def _gcs_guard(place: Bucket, bucket: str) -> Guard:
    said = _gcs_bucket(place, bucket)
    lock = f"retention policy, locked, {said.retention_period} seconds" if said.retention_policy_locked else ""
    return Guard(lock, said.default_kms_key_name)


def _gcs_versions(place: Bucket, bucket: str, prefix: str) -> Iterator[tuple[str, bool]]:
    # There are no delete markers: of what was removed, no generation is live.
    blobs = list(_gcs_bucket(place, bucket).list_blobs(prefix=prefix, versions=True))
    live = {blob.name for blob in blobs if blob.time_deleted is None}
    yield from ((blob.name, False) for blob in blobs)
    yield from ((name, True) for name in {blob.name for blob in blobs} - live)


def _azure_container(place: Bucket, container: str) -> Any:
    import os

    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient

    account = account_of(place)
    key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")
    credential = key or DefaultAzureCredential(managed_identity_client_id=place.access.identity)
    url = place.access.endpoint or f"https://{account}.blob.core.windows.net"
    return ContainerClient(url, container, credential=credential)


def _azure_guard(place: Bucket, container: str) -> Guard:
    said = _azure_container(place, container).get_container_properties()
    scope = said.encryption_scope.default_encryption_scope if said.encryption_scope else None
    return Guard("immutability policy" if said.has_immutability_policy else "", scope)


def _azure_versions(place: Bucket, container: str, prefix: str) -> Iterator[tuple[str, bool]]:
    for blob in _azure_container(place, container).list_blobs(name_starts_with=prefix, include=["versions", "deleted"]):
        yield blob.name, bool(blob.deleted)
