"""Signed notes, as C2SP signed-note and tlog-cosignature define them: a text, and the keys that vouch for it.

    <text: UTF-8, ends in a newline, holds no other character below U+0020>
    <empty line>
    <em dash> <key name> <base64 of key id || signature>      one line for each signature

The last empty line separates the text from its signatures. What a key of each type signs:

- 0x01, Ed25519: the text.
- 0x04, Ed25519 cosignature: `cosignature/v1`, a line `time <POSIX seconds>`, then the text.
- 0x06, ML-DSA-44 cosignature: the head that the text, a checkpoint, writes, with the cosigner's name and the time.

A cosignature's bytes are the time as 8 bytes, big-endian, then the signature. Where the installed `cryptography` has no
ML-DSA-44, keys of type 0x06 count as unknown, and their signatures say nothing.
"""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import format_base64, parse_base64, shown
from audit_pipeline.tlog.head import parse_checkpoint
from audit_pipeline.tlog.keys import (
    ED25519,
    ED25519_COSIGNATURE,
    KEY_ID_BYTES,
    ML_DSA_44_COSIGNATURE,
    PUBLIC_KEY_BYTES,
    Signer,
    Verifier,
    is_name,
)

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    HAS_ML_DSA_44 = False
else:
    try:
        MLDSA44PublicKey.from_public_bytes(bytes(PUBLIC_KEY_BYTES[ML_DSA_44_COSIGNATURE]))
    except UnsupportedAlgorithm:  # the module is there, the OpenSSL it was built with lacks the algorithm
        HAS_ML_DSA_44 = False
    else:
        HAS_ML_DSA_44 = True

MAX_NOTE_BYTES = 1_000_000  # as in golang.org/x/mod/sumdb/note; refused before anything is parsed
MAX_SIGNATURES = 100  # C2SP asks for at least 16
MAX_TIMESTAMP_S = 2**63 - 1

_SIGNATURE_MARK = "\u2014 "
_COSIGNATURE_LABEL = "cosignature/v1\n"
_SUBTREE_LABEL = b"subtree/v1\n\0"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # a newline is the one that a note may hold


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that holds."""

    verifier: Verifier
    line: str
    """As it stands in the note, with its newline."""
    timestamp_s: int | None
    """When a cosigner says it signed, POSIX seconds; None for a signature that says no time."""


@dataclass(frozen=True, slots=True)
class Note:
    """A text that at least one known key signed."""

    text: str
    signatures: tuple[Signature, ...]
    """In the order of the note. A key that signed twice is here twice: count keys, not signatures."""
    unknown: int
    """Signatures by keys that were not given, which say nothing."""


def sign_note(text: str, signers: Iterable[Signer]) -> bytes:
    """The note with one signature of each signer, all of type 0x01.

    Raises:
        InputError: the text cannot be a note's, or a key is for cosigning.
    """
    _check_text(text)
    note = f"{text}\n"
    for signer in signers:
        if signer.signature_type != ED25519:
            raise InputError(f"key {signer.name}: type {signer.signature_type:#04x} cosigns, it signs no notes")
        note += _signature_line(signer.verifier, signer.private_key.sign(text.encode()))
    if note == f"{text}\n":
        raise InputError("note: no key to sign it with: give at least one")
    return note.encode()


def cosign_text(text: str, cosigner: Signer, timestamp_s: int) -> bytes:
    """A cosigner's signature line for the text of a checkpoint, to append to its note.

    Raises:
        InputError: the key is not for cosigning, or the time does not fit.
        ProofError: the text is not a checkpoint's.
    """
    parse_checkpoint(text)
    if cosigner.signature_type == ED25519:
        raise InputError(f"key {cosigner.name}: type 0x01 signs notes, cosigning takes a key of type 0x04 or 0x06")
    if not 0 <= timestamp_s <= MAX_TIMESTAMP_S:
        raise InputError(f"cosignature of {cosigner.name}: expected POSIX seconds of 0 or more, got {timestamp_s}")
    message = _cosigned_message(cosigner.verifier, text, timestamp_s)
    signature = struct.pack(">Q", timestamp_s) + cosigner.private_key.sign(message)
    return _signature_line(cosigner.verifier, signature).encode()


def open_note(note: bytes, verifiers: Iterable[Verifier], max_bytes: int = MAX_NOTE_BYTES) -> Note:
    """The text and what vouches for it. Every signature of a known key is verified, whatever the others say.

    Raises:
        ProofError: the note is malformed, a known key's signature does not hold, or no known key signed.
        InputError: two of the verifiers share name and key id.
    """
    known = _by_name_and_id(verifiers)
    text, lines = _split(note, max_bytes)
    signatures: list[Signature] = []
    for line in lines:
        name, key_id, signature = _parse_signature_line(line)
        verifier = known.get((name, key_id))
        if verifier is not None and _can_verify(verifier):
            timestamp_s = _check_signature(verifier, text, signature)
            signatures.append(Signature(verifier, f"{line}\n", timestamp_s))
    if not signatures:
        raise ProofError(f"note: none of its {len(lines)} signatures is by a known key: give the vkey of its signer")
    return Note(text, tuple(signatures), len(lines) - len(signatures))


def _by_name_and_id(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise InputError(f"two keys {verifier.name} share the key id {verifier.key_id.hex()}: trust one of them")
    return known


def _split(note: bytes, max_bytes: int) -> tuple[str, list[str]]:
    """The text and the signature lines, without their newlines."""
    if len(note) > max_bytes:
        raise ProofError(f"note: expected at most {max_bytes} bytes, got {len(note)}")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ProofError(f"note: byte {err.start} is not UTF-8") from err
    _check_controls(whole, ProofError)
    end = whole.rfind("\n\n") + 1
    if end == 0 or not whole.endswith("\n"):
        raise ProofError("note: expected a text, an empty line, and signature lines that end in newlines")
    lines = whole[end + 1 : -1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ProofError(f"note: expected at most {MAX_SIGNATURES} signatures, got {len(lines)}")
    return whole[:end], lines


def _parse_signature_line(line: str) -> tuple[str, bytes, bytes]:
    """Key name, key id and signature."""
    parts = line.removeprefix(_SIGNATURE_MARK).split(" ")
    if not line.startswith(_SIGNATURE_MARK) or len(parts) != 2 or not is_name(parts[0]):
        raise ProofError(f"note: expected a line of em dash, key name and base64, got {shown(line)}")
    signature = parse_base64(parts[1], f"note: signature of {shown(parts[0])}")
    if len(signature) <= KEY_ID_BYTES:
        raise ProofError(f"note: the signature of {shown(parts[0])} is empty")
    return parts[0], signature[:KEY_ID_BYTES], signature[KEY_ID_BYTES:]


def _can_verify(verifier: Verifier) -> bool:
    return verifier.signature_type != ML_DSA_44_COSIGNATURE or HAS_ML_DSA_44


def _check_signature(verifier: Verifier, text: str, signature: bytes) -> int | None:
    """The time a cosignature states, once the signature is found to hold."""
    name = f"note: signature of {verifier.name} ({verifier.key_id.hex()})"
    if verifier.signature_type == ED25519:
        _verify(verifier, signature, text.encode(), name)
        return None
    if len(signature) <= 8:
        raise ProofError(f"{name}: expected a time of 8 bytes and a signature, got {len(signature)} bytes")
    timestamp_s: int = struct.unpack_from(">Q", signature)[0]
    if timestamp_s > MAX_TIMESTAMP_S:
        raise ProofError(f"{name}: the time {timestamp_s} is beyond 2**63 - 1 seconds")
    _verify(verifier, signature[8:], _cosigned_message(verifier, text, timestamp_s), name)
    return timestamp_s


def _verify(verifier: Verifier, signature: bytes, message: bytes, name: str) -> None:
    key: Ed25519PublicKey | MLDSA44PublicKey
    if verifier.signature_type == ML_DSA_44_COSIGNATURE:
        key = MLDSA44PublicKey.from_public_bytes(verifier.public_key)
    else:
        key = Ed25519PublicKey.from_public_bytes(verifier.public_key)
    try:
        key.verify(signature, message)
    except InvalidSignature as err:
        raise ProofError(f"{name} does not hold: the text was changed, or signed by another key") from err


def _cosigned_message(verifier: Verifier, text: str, timestamp_s: int) -> bytes:
    """What a cosigner signs (C2SP tlog-cosignature)."""
    if verifier.signature_type == ED25519_COSIGNATURE:
        return f"{_COSIGNATURE_LABEL}time {timestamp_s}\n{text}".encode()
    checkpoint = parse_checkpoint(text)
    name, origin = verifier.name.encode(), checkpoint.origin.encode()
    return b"".join(
        [
            _SUBTREE_LABEL,
            bytes([len(name)]) + name,
            struct.pack(">Q", timestamp_s),
            bytes([len(origin)]) + origin,
            struct.pack(">QQ", 0, checkpoint.size),  # a checkpoint is the subtree from leaf 0 to its size
            checkpoint.root,
        ]
    )


def _signature_line(verifier: Verifier, signature: bytes) -> str:
    return f"{_SIGNATURE_MARK}{verifier.name} {format_base64(verifier.key_id + signature)}\n"


def _check_text(text: str) -> None:
    _check_controls(text, InputError)
    if not text.endswith("\n"):
        raise InputError(f"note: expected a text that ends in a newline, got {shown(text[-40:])}")
    try:
        text.encode()
    except UnicodeEncodeError as err:
        raise InputError(f"note: character {err.start} of the text is not Unicode") from err


def _check_controls(text: str, error: type[InputError] | type[ProofError]) -> None:
    if found := _CONTROL.search(text):
        raise error(f"note: control character {shown(found[0])} at {found.start()}: lines end in a newline alone")
