"""The keys of signed notes: their names, ids and texts, as C2SP signed-note writes them.

    vkey   = <name>+<8 hex digits of the key id>+<base64 of signature type || public key>
    key id = the first 4 bytes of SHA-256(<name> || 0x0A || signature type || public key)

A key does one thing, and its signature type says which: sign a note's text, or cosign a checkpoint at a time. The type
is part of the key id, so a signature made for one purpose finds no key for another.

A bad key raises InputError: keys are what the caller chose to trust, and only the caller can put them right.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import format_base64, parse_base64, shown

ED25519 = 0x01
ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
PUBLIC_KEY_BYTES = {ED25519: 32, ED25519_COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}

KEY_ID_BYTES = 4
MAX_NAME_BYTES = 255  # C2SP tlog-cosignature writes the length of a cosigner's name in one byte

_FIELD_PRIME = 2**255 - 19
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# The y coordinates of Edwards25519's eight points of small order: 1, 8, 4 and 2, two points each but for 1 and -1.
_SMALL_ORDER_Y = {1, _Y_OF_ORDER_8, _FIELD_PRIME - _Y_OF_ORDER_8, 0, _FIELD_PRIME - 1}


class PublicKey(Protocol):
    """The public half of a `PrivateKey`."""

    def public_bytes_raw(self) -> bytes: ...


class PrivateKey(Protocol):
    """What signing needs of a key: Ed25519PrivateKey and MLDSA44PrivateKey of `cryptography` have it."""

    def sign(self, data: bytes, /) -> bytes: ...

    def public_key(self) -> PublicKey: ...


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key whose signatures are believed. Raises InputError where no signature of such a key could mean anything."""

    name: str
    signature_type: int
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        expected = PUBLIC_KEY_BYTES.get(self.signature_type)
        if expected is None:
            raise InputError(
                f"key {self.name}: signature type {self.signature_type:#04x} is not known here: use 0x01, 0x04 or 0x06"
            )
        if len(self.public_key) != expected:
            raise InputError(f"key {self.name}: expected a public key of {expected} bytes, got {len(self.public_key)}")
        if self.signature_type != ML_DSA_44_COSIGNATURE:
            _check_ed25519_point(self.name, self.public_key)

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.signature_type, self.public_key)


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key under the name and for the purpose it signs with."""

    name: str
    signature_type: int
    private_key: PrivateKey = field(repr=False)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.signature_type, self.private_key.public_key().public_bytes_raw())


def key_id(name: str, signature_type: int, public_key: bytes) -> bytes:
    """The 4 bytes that, with the name, say which key signed. Short: an identifier, not a commitment."""
    keyed = name.encode() + b"\n" + bytes([signature_type]) + public_key
    return hashlib.sha256(keyed).digest()[:KEY_ID_BYTES]


def format_vkey(verifier: Verifier) -> str:
    """The key as one line, to hand to whoever checks."""
    public = format_base64(bytes([verifier.signature_type]) + verifier.public_key)
    return f"{verifier.name}+{verifier.key_id.hex()}+{public}"


def parse_vkey(vkey: str) -> Verifier:
    """The key that a vkey writes.

    Raises:
        InputError: it is damaged, of a type not known here, or of a key that anyone can forge for.
    """
    parts = vkey.split("+", 2)  # base64 may hold a plus, a name may not
    if len(parts) != 3:
        raise InputError(f"vkey: expected <name>+<key id>+<base64>, got {shown(vkey)}: copy the whole line again")
    name, id_hex, encoded = parts
    try:
        typed_key = parse_base64(encoded, f"vkey of {shown(name)}")
    except ProofError as err:
        raise InputError(f"{err}: copy the whole line again") from err
    if not typed_key:
        raise InputError(f"vkey of {shown(name)}: no key after the key id: copy the whole line again")
    verifier = Verifier(name, typed_key[0], typed_key[1:])
    if verifier.key_id.hex() != id_hex:
        raise InputError(
            f"vkey of {name}: expected key id {verifier.key_id.hex()} for this key, got {shown(id_hex)}: copy it again"
        )
    return verifier


def is_name(name: str) -> bool:
    """Whether C2SP signed-note allows this name for a key."""
    return bool(name) and not any(char.isspace() or char == "+" or char < " " for char in name)


def check_name(name: str) -> None:
    """Check that a key or an origin of ours may bear this name: as C2SP says, and 255 bytes of UTF-8 at most."""
    if not is_name(name):
        raise InputError(f"key name {shown(name)}: expected some characters, none a space, a control or a plus")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError as err:
        raise InputError(f"key name {shown(name)} is not Unicode text") from err
    if size_bytes > MAX_NAME_BYTES:
        raise InputError(f"key name {shown(name)} has {size_bytes} bytes, at most {MAX_NAME_BYTES} are allowed")


def _check_ed25519_point(name: str, public_key: bytes) -> None:
    """Check that the point is written in its one way and is not of small order.

    For a point of small order anyone can write signatures that hold for every message, and libraries accept them.
    """
    y = int.from_bytes(public_key, "little") & (2**255 - 1)  # the top bit is the sign of x
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        raise InputError(f"key {name}: {public_key.hex()} is of small order or not canonical: use another key")
