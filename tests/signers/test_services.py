"""Keys that a cloud's service keeps: what it is asked, what it signs, and what is said when it cannot."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, StorageError
from audit_pipeline.lake.keys import adopt_key
from audit_pipeline.lake.logbook import published_keys
from audit_pipeline.signers import load_signer
from audit_pipeline.signers.awskms import AwsKey
from audit_pipeline.signers.azurekv import load_secret_key
from audit_pipeline.signers.gcpkms import GcpKey
from audit_pipeline.tlog.trust import Trust
from tests.lakes import LakeForTests
from tests.signers.services import AZURE_SECRET, GCP_VERSION, AwsKms, AzureVault, GcpKms

HEAD = tlog.Checkpoint("log.example/1", 1, b"r" * 32)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsKms]:
    service = AwsKms()
    with service.serving() as url:
        for name, value in {
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def gcp() -> Iterator[tuple[GcpKms, GcpKey]]:
    from google.auth.credentials import AnonymousCredentials
    from google.auth.transport.requests import AuthorizedSession

    service = GcpKms()
    with service.serving() as url:
        yield service, GcpKey(GCP_VERSION, AuthorizedSession(AnonymousCredentials()), url)


def signs(key: tlog.PrivateKey) -> bool:
    signer = tlog.Signer(HEAD.origin, tlog.ED25519, key)
    return tlog.open_checkpoint(tlog.sign_checkpoint(HEAD, signer), [signer.verifier])[0] == HEAD


def test_a_key_in_aws_signs_a_whole_log_and_its_inventories(aws: AwsKms, lake: LakeForTests) -> None:
    """Of hundreds of files: what the service signs stays below its 4096 bytes."""
    folder = lake.root / "cloud"
    uri = "awskms:alias/audit-log"
    vkey = adopt_key(folder, "example.com/audit", lambda name: load_signer(uri, name, None), lake.entropy, None)
    lake.places = dataclasses.replace(lake.places, keys=folder, marks=lake.root / "marks", signing_keys=(uri,))
    for number in range(60):
        lake.land(f"{number}.bin", b"kept whole %d" % number)
    lake.run()

    found = lake.verify(trust=Trust((tlog.parse_vkey(vkey),)))

    assert found.problems == ()
    assert not list(folder.glob("key*.pem"))
    assert len((lake.places.evidence / "_inventory/1").read_bytes()) > 4096
    asked = len([operation for operation in aws.asked if operation == "Sign"])
    lake.run()
    assert len([operation for operation in aws.asked if operation == "Sign"]) == asked, "nothing new is signed"


def test_a_log_goes_over_from_a_file_to_a_key_in_aws(aws: AwsKms, lake: LakeForTests) -> None:
    lake.run()
    first = tlog.parse_vkey(lake.lake.vkey)
    uris = (f"file:{lake.places.keys / 'key.pem'}", "awskms:alias/audit-log")
    lake.places = dataclasses.replace(lake.places, signing_keys=uris)
    lake.rotate()
    lake.places = dataclasses.replace(lake.places, signing_keys=uris[1:])
    lake.land("a.jsonl", b"{}\n")
    lake.run()

    assert published_keys(lake.lake).keys[1].public_key == aws.key.public_key().public_bytes_raw()
    assert lake.verify(trust=Trust((first,))).problems == ()


def test_aws_refusing_is_one_line_with_its_reason(aws: AwsKms) -> None:
    aws.is_refusing = True

    with pytest.raises(StorageError, match=r"awskms:alias/x: .*DisabledException.* may kms:GetPublicKey"):
        AwsKey("alias/x").public_key()


def test_a_key_of_another_kind_is_refused(aws: AwsKms, gcp: tuple[GcpKms, GcpKey]) -> None:
    aws.is_ed25519 = gcp[0].is_ed25519 = False

    with pytest.raises(InputError, match="is a key of ECC_NIST_P256"):
        AwsKey("alias/x").public_key()
    with pytest.raises(InputError, match="is a key of EC_SIGN_P256_SHA256"):
        gcp[1].public_key()


def test_a_key_in_google_cloud_signs(gcp: tuple[GcpKms, GcpKey]) -> None:
    service, key = gcp

    assert signs(key)
    assert service.asked == [f"GET /v1/{GCP_VERSION}/publicKey", f"POST /v1/{GCP_VERSION}:asymmetricSign"]


def test_google_cloud_refusing_is_one_line_with_its_reason(gcp: tuple[GcpKms, GcpKey]) -> None:
    gcp[0].is_refusing = True

    with pytest.raises(StorageError, match=r"gcpkms:projects/p/.*PERMISSION_DENIED.*cloudkms\.signerVerifier") as err:
        gcp[1].sign(b"x")
    assert len(str(err.value).splitlines()) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, with its key: the library sends no token without TLS."""
    path = tmp_path / "loopback.pem"
    command = "openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", path, "-out", tmp_path / "c.pem"], check=True, capture_output=True)
    path.write_text(path.read_text() + (tmp_path / "c.pem").read_text())
    return path


def azure_client(url: str, certificate: Path) -> object:
    from azure.core.credentials import AccessToken
    from azure.keyvault.secrets import SecretClient

    class Tokens:
        def get_token(self, *scopes: str, **_: object) -> AccessToken:
            return AccessToken("token", 4_000_000_000)

    # Only here: the resource of a real vault's challenge is its own domain.
    return SecretClient(url, Tokens(), verify_challenge_resource=False, connection_verify=str(certificate))


def test_a_key_kept_as_a_secret_of_azure_signs_with_its_passphrase(certificate: Path) -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode()
    service = AzureVault(pem)
    with service.serving(certificate) as url:
        client = azure_client(url, certificate)
        key = load_secret_key(f"{url}/{AZURE_SECRET}", b"secret", client)
        assert signs(key)
        assert key.public_key() == private.public_key()
        assert set(service.asked) == {f"GET /secrets/{AZURE_SECRET}"}
        with pytest.raises(InputError, match="AUDIT_KEY_PASSPHRASE"):
            load_secret_key(f"{url}/{AZURE_SECRET}", b"other", client)
        service.is_refusing = True
        with pytest.raises(StorageError, match="secrets get permission"):
            load_secret_key(f"{url}/{AZURE_SECRET}", b"secret", client)


def test_verify_says_that_a_key_is_a_software_key(lake: LakeForTests) -> None:
    lake.run()
    lake.places = dataclasses.replace(lake.places, signing_keys=("azurekv:vault/log-key", "awskms:alias/x"))

    notes = [note for note in lake.verify().notes if "software key" in note]

    assert len(notes) == 1
    assert "azurekv:vault/log-key" in notes[0]


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("awskms:x", "boto3", "aws"),
        (f"gcpkms:{GCP_VERSION}", "google.auth", "gcp"),
        ("azurekv:v/s", "azure.identity", "azure"),
    ],
)
def test_a_library_that_is_not_there_is_named_by_its_extra(
    uri: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(InputError, match=rf"pip install 'rlhf-audit-pipeline\[{extra}\]'"):
        load_signer(uri, "log.example/1", None)


@pytest.mark.parametrize("uri", ["vault:x", "azurekv:x", "file:nowhere.pem"])
def test_a_uri_that_leads_to_no_key_is_refused(uri: str) -> None:
    with pytest.raises(InputError):
        load_signer(uri, "log.example/1", None)
