"""An Ed25519 key in Google Cloud KMS (algorithm EC_SIGN_ED25519), which never leaves it.

Two calls of its REST interface, with the credentials that google-auth finds: no more of the service is needed.
"""

import base64
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from audit_pipeline.errors import InputError, StorageError

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

ENDPOINT = "https://cloudkms.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_ALGORITHM = "EC_SIGN_ED25519"
_TIMEOUT_S = 30


class GcpKey:
    """A `PrivateKey` of `tlog.keys`: one version of a key, by its resource name.

    `session` and `endpoint` are where a private endpoint, or a test, puts its own.
    """

    def __init__(self, version: str, session: "AuthorizedSession | None" = None, endpoint: str = ENDPOINT) -> None:
        self._version = version
        self._url = f"{endpoint}/v1/{version}"
        self._session = session or _authorized(version)
        self._public: Ed25519PublicKey | None = None

    def public_key(self) -> Ed25519PublicKey:
        if self._public is None:
            answer = self._ask("GET", f"{self._url}/publicKey")
            if answer.get("algorithm") != _ALGORITHM:
                raise InputError(f"gcpkms:{self._version}: is a key of {answer.get('algorithm')}, no {_ALGORITHM}")
            public = load_pem_public_key(answer["pem"].encode())
            assert isinstance(public, Ed25519PublicKey)
            self._public = public
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        # Of Ed25519 the service takes the message itself, not its digest.
        answer = self._ask("POST", f"{self._url}:asymmetricSign", {"data": base64.b64encode(data).decode()})
        if answer.get("name") != self._version:
            raise StorageError(f"gcpkms:{self._version}: {answer.get('name')} signed instead; run again")
        return base64.b64decode(answer["signature"])

    def _ask(self, method: str, url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        try:
            answer = self._session.request(method, url, json=body, timeout=_TIMEOUT_S)  # type: ignore[no-untyped-call]
            said = answer.json() if answer.ok else answer.text
        except (GoogleAuthError, RequestException) as err:
            said = str(err)
        if isinstance(said, dict):
            return said
        raise StorageError(
            f"gcpkms:{self._version}: {' '.join(said.split())[:300]}; see that the key version is enabled, that these "
            "credentials have cloudkms.signerVerifier on it, and run again"
        )


def _authorized(version: str) -> "AuthorizedSession":
    try:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError
        from google.auth.transport.requests import AuthorizedSession
    except ImportError as err:
        raise InputError(
            f"gcpkms:{version}: needs a library that is not here; `pip install 'rlhf-audit-pipeline[gcp]'`"
        ) from err
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    except DefaultCredentialsError as err:
        raise InputError(f"gcpkms:{version}: no credentials; `gcloud auth application-default login`") from err
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
