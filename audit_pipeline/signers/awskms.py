"""An Ed25519 key in AWS KMS (key spec ECC_NIST_EDWARDS25519), which never leaves it."""

from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from audit_pipeline.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

_Answer = TypeVar("_Answer")
_ALGORITHM = "ED25519_SHA_512"  # of RFC 8032, over the message itself; ED25519_PH_SHA_512 would be another signature


class AwsKey:
    """A `PrivateKey` of `tlog.keys`. Region and credentials come by the chain of boto3."""

    def __init__(self, key_id: str) -> None:
        try:
            import boto3
        except ImportError as err:
            raise InputError(
                f"awskms:{key_id}: needs a library that is not here; `pip install 'rlhf-audit-pipeline[aws]'`"
            ) from err
        self._key_id = key_id
        self._client: Any = self._ask(lambda: boto3.Session().client("kms"))
        self._public: Ed25519PublicKey | None = None

    def public_key(self) -> Ed25519PublicKey:
        if self._public is None:
            answer = self._ask(lambda: self._client.get_public_key(KeyId=self._key_id))
            if _ALGORITHM not in answer.get("SigningAlgorithms", ()):
                raise InputError(
                    f"awskms:{self._key_id}: is a key of {answer.get('KeySpec')}, no ECC_NIST_EDWARDS25519"
                )
            public = load_der_public_key(answer["PublicKey"])
            assert isinstance(public, Ed25519PublicKey)
            self._public = public
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        answer = self._ask(
            lambda: self._client.sign(KeyId=self._key_id, Message=data, MessageType="RAW", SigningAlgorithm=_ALGORITHM)
        )
        return bytes(answer["Signature"])

    def _ask(self, call: "Callable[[], _Answer]") -> _Answer:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except (BotoCoreError, ClientError) as err:
            raise StorageError(
                f"awskms:{self._key_id}: {' '.join(str(err).split())}; see that the key is enabled, that these "
                "credentials may kms:GetPublicKey and kms:Sign with it, and run again"
            ) from err
