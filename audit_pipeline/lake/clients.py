"""Clients of buckets: one for each, with credentials from the cloud's own chain and never from a file of ours.

AWS: what boto3 finds, which is what dagster-aws's resources find. GCP: the application default credentials. Azure:
`AZURE_STORAGE_ACCOUNT_KEY` where it is set, else what azure-identity finds.
"""

import os
import re
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from audit_pipeline.errors import InputError, UnreachableError
from audit_pipeline.lake.places import Access, Bucket

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Client = AzureStore | GCSStore | S3Store

_URI = re.compile(r"(s3|gs|az|abfss)://([^/@?#]+)(?:@([^/?#]+))?(?:/([^?#]*))?")
_EXTRAS = {"s3": "aws", "gs": "gcp", "az": "azure", "abfss": "azure"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
_RETRY = {
    "max_retries": 6,
    "retry_timeout": timedelta(seconds=90),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=10), "base": 2},
}
"""Of 429, 5xx and lost connections; a request that may have been done is asked again by the caller, who can tell."""
_CLIENT = {"connect_timeout": "10s", "read_timeout": "30s", "timeout": "15m"}


def parse_uri(uri: str) -> tuple[str, str, str]:
    """(scheme, bucket, prefix) of a place.

    Raises:
        InputError: it names no bucket.
    """
    match = _URI.fullmatch(uri)
    if match is None or (match[3] is not None) != (match[1] == "abfss"):
        raise InputError(
            f"{uri}: expected s3://BUCKET/…, gs://BUCKET/…, az://CONTAINER/… or abfss://CONTAINER@ACCOUNT.HOST/…"
        )
    return match[1], match[2], (match[4] or "").strip("/")


def open_client(place: Bucket) -> "Client":
    """A client of the whole bucket that a place lies in. Nothing is asked yet."""
    scheme, bucket, _ = parse_uri(place.uri)
    return _client("az" if scheme == "abfss" else scheme, bucket, account_of(place), place.access)


def account_of(place: Bucket) -> str:
    """The storage account of a place on Azure; empty where nothing names one."""
    named = urlsplit(place.uri).netloc.partition("@")[2].partition(".")[0]
    return named or place.access.account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")


@cache
def _client(scheme: str, bucket: str, account: str, access: Access) -> "Client":
    made = {"s3": _s3, "gs": _gcs, "az": _azure}[scheme]
    try:
        return made(bucket, account, access, {**_CLIENT, "allow_http": is_loopback(access.endpoint)})
    except ImportError as err:
        raise missing_extra(f"{scheme}://{bucket}") from err


def missing_extra(uri: str) -> InputError:
    """What to say where a library is not installed that the place needs."""
    extra = _EXTRAS[parse_uri(uri)[0]]
    return InputError(f"{uri}: needs the extra `{extra}`: pip install 'rlhf-audit-pipeline[{extra}]'")


def is_loopback(endpoint: str | None) -> bool:
    """Whether nothing would go over a wire, where alone a connection need not be encrypted."""
    return endpoint is not None and urlsplit(endpoint).hostname in _LOOPBACK


def _s3(bucket: str, _: str, access: Access, options: Any) -> "Client":
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Store

    try:
        session = boto3.session.Session(profile_name=access.identity, region_name=access.region)
        credentials = Boto3CredentialProvider(session)
    except (BotoCoreError, ValueError) as err:
        raise UnreachableError(f"s3://{bucket}: no AWS credentials ({err}); see docs/stores.md, `Credentials`") from err
    config: dict[str, Any] = {
        "conditional_put": "etag",
        "checksum_algorithm": "SHA256",  # a bucket with a default retention takes nothing without a checksum
        "region": session.region_name or "us-east-1",
    }
    if access.endpoint:
        config["endpoint"] = access.endpoint
    if access.encryption_key:
        config |= {"server_side_encryption": "aws:kms", "sse_kms_key_id": access.encryption_key}
        config["sse_bucket_key_enabled"] = True
    return S3Store(bucket, config=config, client_options=options, retry_config=_RETRY, credential_provider=credentials)  # type: ignore[arg-type]


def google_credentials(bucket: str, access: Access) -> Any:
    """Application default credentials or, where the profile names an identity, those of the one they may act as."""
    import google.auth
    from google.auth import impersonated_credentials
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, _project = google.auth.default(scopes=_SCOPES)
        if access.identity:
            credentials = impersonated_credentials.Credentials(credentials, access.identity, _SCOPES)  # type: ignore[no-untyped-call]
    except GoogleAuthError as err:
        raise UnreachableError(
            f"gs://{bucket}: no Google credentials ({err}); see docs/stores.md, `Credentials`"
        ) from err
    return credentials


def _gcs(bucket: str, _: str, access: Access, options: Any) -> "Client":
    from obstore.auth.google import GoogleCredentialProvider
    from obstore.store import GCSStore

    config = {"base_url": access.endpoint} if access.endpoint else {}
    provider = GoogleCredentialProvider(google_credentials(bucket, access))
    return GCSStore(bucket, config=config, client_options=options, retry_config=_RETRY, credential_provider=provider)  # type: ignore[arg-type]


def _azure(bucket: str, account: str, access: Access, options: Any) -> "Client":
    from obstore.store import AzureStore

    config = {"account_name": account}
    if not account:
        raise InputError(f"az://{bucket}: of which account? Set `account` in the profile, or use abfss://")
    if access.endpoint:
        config["endpoint"] = access.endpoint
    provider = None
    if not os.environ.get("AZURE_STORAGE_ACCOUNT_KEY"):
        from azure.identity import DefaultAzureCredential
        from obstore.auth.azure import AzureCredentialProvider

        provider = AzureCredentialProvider(DefaultAzureCredential(managed_identity_client_id=access.identity))
    return AzureStore(bucket, config=config, client_options=options, retry_config=_RETRY, credential_provider=provider)  # type: ignore[arg-type]
