"""Timestamps of checkpoints by an RFC 3161 authority, which the extra `timestamp` asks for and checks.

What is stamped is the checkpoint with the signature of the key in force, so that it shows that this key had signed it
by then. docs/evidence-format.md section 5 says where note and response are kept.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit_pipeline.attest.posting import post
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.stores import Store

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

_NO_LIBRARY = "timestamps need a library that is not here; `pip install 'rlhf-audit-pipeline[timestamp]'`"


def stamp_name(size: int) -> str:
    return f"stamps/{size}"


def response_name(size: int) -> str:
    return f"stamps/{size}.tsr"


def put_stamp(log: Store, size: int, note: bytes, url: str) -> None:
    """Keep a timestamp of this checkpoint's note, unless there is one.

    Raises:
        InputError: the library is not installed.
        StorageError: the authority does not answer, or refuses.
        ProofError: another note lies where this one belongs.
    """
    if log.exists(response_name(size)):
        return
    require_library()
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    status, answer = post(url, "application/timestamp-query", request.as_bytes())
    if status != 200:
        raise StorageError(f"{url}: answered {status}; ask who runs it")
    try:
        response = _decoded(answer, request.message_imprint.message)
    except ProofError as err:
        raise StorageError(f"{url}: {err}") from err
    if response.tst_info.nonce != request.nonce:
        raise StorageError(f"{url}: the answer is to another request than ours; ask who runs it")
    if not log.put_new(stamp_name(size), note) and log.get(stamp_name(size)) != note:
        raise ProofError(f"{log.path(stamp_name(size))}: nothing of ours wrote it: remove it and run again")
    log.put_new(response_name(size), answer)


def check_stamp(note: bytes, answer: bytes, roots: Iterable[bytes]) -> str:
    """When a note was stamped, by an authority whose certificate leads to one of these roots (DER).

    Raises:
        ProofError: it was not.
        InputError: the library is not installed, or a root is no certificate.
    """
    require_library()
    from cryptography.x509 import load_der_x509_certificate
    from rfc3161_client import VerificationError, VerifierBuilder

    response = _decoded(answer, hashlib.sha256(note).digest())
    try:
        certificates = [load_der_x509_certificate(root) for root in roots]
    except ValueError as err:
        raise InputError(f"timestamper: not a certificate: {err}") from err
    verifier = VerifierBuilder(roots=certificates).build()
    try:
        verifier.verify_message(response, note)
    except (VerificationError, ValueError) as err:
        raise ProofError(f"its timestamp is by nobody that you trust to stamp: {err}") from err
    return response.tst_info.gen_time.isoformat()


def require_library() -> None:
    """Check that timestamps can be asked for and checked here.

    Raises:
        InputError: it names the extra.
    """
    try:
        import rfc3161_client  # noqa: F401
    except ImportError as err:
        raise InputError(_NO_LIBRARY) from err


def _decoded(answer: bytes, digest: bytes) -> "TimeStampResponse":
    """The response, which says that it was granted, for this digest. Whose it is, is not checked here."""
    from rfc3161_client import decode_timestamp_response

    try:
        response = decode_timestamp_response(answer)
    except ValueError as err:
        raise ProofError(f"not a timestamp response: {err}") from err
    if response.status != 0:
        raise ProofError(f"the authority refused, with status {response.status}")
    if response.tst_info.message_imprint.message != digest:
        raise ProofError("the timestamp is of another note")
    return response
