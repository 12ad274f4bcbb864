"""Statements about files, signed by the log's key: in-toto statements in DSSE envelopes, which other tools read.

    envelope = {"payload": base64, "payloadType": type, "signatures": [{"keyid": hex, "sig": base64}]}
    signed   = "DSSEv1 " len(type) " " type " " len(payload) " " payload          (DSSE, protocol.md)

What is signed starts with `DSSEv1 `. A note that this key signs starts with an origin, which has no space, or with the
tag of an inventory, so neither signature can stand for the other.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog.encoding import format_base64, parse_base64, shown
from audit_pipeline.tlog.keys import ED25519, Signer, Verifier

IN_TOTO = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"


def sign_statement(
    predicate_type: str, predicate: Mapping[str, Any], digests: Mapping[str, str], signer: Signer
) -> bytes:
    """The envelope of a statement about files, by name, with their SHA-256 (hex)."""
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digests[name]}} for name in sorted(digests)],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signature = signer.private_key.sign(_signed(payload))
    signed = {"keyid": signer.verifier.key_id.hex(), "sig": format_base64(signature)}
    envelope = {"payload": format_base64(payload), "payloadType": IN_TOTO, "signatures": [signed]}
    return json.dumps(envelope, sort_keys=True, separators=(",", ":")).encode()


def open_statement(
    envelope: bytes, predicate_type: str, verifiers: Sequence[Verifier]
) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """(predicate, SHA-256 by name) of a statement that one of the keys signed.

    Raises:
        ProofError: none did, or it is no such statement.
    """
    payload = _opened(envelope, verifiers)
    said = _object(payload, "statement")
    if said.get("_type") != STATEMENT or said.get("predicateType") != predicate_type:
        raise ProofError(f"statement: expected the type {predicate_type}, got {shown(said.get('predicateType'))}")
    try:
        digests = {str(one["name"]): str(one["digest"]["sha256"]) for one in said["subject"]}
        predicate = said["predicate"]
    except (KeyError, TypeError) as err:
        raise ProofError(f"statement: has no {err}") from err
    if len(digests) != len(said["subject"]) or not isinstance(predicate, dict):
        raise ProofError("statement: names a file twice, or says nothing of them")
    return predicate, digests


def _opened(envelope: bytes, verifiers: Sequence[Verifier]) -> bytes:
    said = _object(envelope, "envelope")
    signatures = said.get("signatures")
    if said.get("payloadType") != IN_TOTO or not isinstance(signatures, list):
        raise ProofError(f"envelope: expected {IN_TOTO} and its signatures, got {shown(said.get('payloadType'))}")
    payload = parse_base64(str(said.get("payload")), "envelope: payload")
    keys = {verifier.key_id.hex(): verifier for verifier in verifiers if verifier.signature_type == ED25519}
    for signed in signatures:
        if isinstance(signed, dict) and (key := keys.get(str(signed.get("keyid")))) is not None:
            _verify(key, parse_base64(str(signed.get("sig")), "envelope: signature"), _signed(payload))
            return payload
    raise ProofError(
        "envelope: no signature by a key you trust; compare the vkey in your trust file with the operator's"
    )


def _verify(key: Verifier, signature: bytes, signed: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, signed)
    except InvalidSignature as err:
        raise ProofError(f"envelope: the signature of {key.name} does not hold: the statement was changed") from err


def _signed(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)


def _object(encoded: bytes, what: str) -> dict[str, Any]:
    try:
        said = json.loads(encoded, object_pairs_hook=_once)
    except (ValueError, RecursionError) as err:
        raise ProofError(f"{what}: is no JSON: {err}") from err
    if not isinstance(said, dict):
        raise ProofError(f"{what}: expected a JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
