"""Keys: their ids and texts, and the public keys that no one may trust."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_pipeline.errors import InputError
from audit_pipeline.tlog import (
    ED25519,
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    Verifier,
    format_vkey,
    key_id,
    parse_vkey,
)

from .support import flipped, parse_skey, signer, witness

TESSERA_SKEY = "PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg"
SUNLIGHT_VKEY = "mirror.example.org+3fb148ef+BAAjjch9GyYz0sJsJx7ALhbdAtz2ov0unbzSl1vMp94O"

PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME
Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    """Sum of two points of Edwards25519 (RFC 8032 section 5.1.4, affine)."""
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def square_root(square: int) -> int | None:
    """RFC 8032 section 5.1.1: the prime is 5 modulo 8."""
    root = pow(square, (PRIME + 3) // 8, PRIME)
    for candidate in (root, root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME):
        if (candidate * candidate - square) % PRIME == 0:
            return candidate
    return None


def points_of_small_order() -> set[Point]:
    """The eight points P with 8 P = (0, 1): the multiples of a point of order 8.

    Twice such a point has y = 0, so x**2 = -y**2, and the curve's equation becomes D y**4 + 2 y**2 = 1.
    """
    root = square_root(1 + D)
    assert root is not None
    of_order_8: list[Point] = []
    for sign in (1, -1):
        y = square_root((sign * root - 1) * pow(D, -1, PRIME) % PRIME)
        if y is not None and (x := square_root(-y * y % PRIME)) is not None:
            of_order_8.append((x, y))
    points = [(0, 1)]
    for _ in range(8):
        points.append(add(points[-1], of_order_8[0]))
    assert points.pop() == (0, 1)
    return set(points)


def encodings(point: Point) -> list[bytes]:
    """All 32 bytes that some library reads as this point: y and y + p, with either sign of x."""
    ys = [y for y in (point[1], point[1] + PRIME) if y < 2**255]
    return [(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)]


SMALL_ORDER = sorted({encoding for point in points_of_small_order() for encoding in encodings(point)})


def test_key_ids_are_those_of_other_implementations() -> None:
    assert parse_skey(TESSERA_SKEY).verifier.key_id.hex() == "33d7b496"
    assert parse_vkey(SUNLIGHT_VKEY).key_id.hex() == "3fb148ef"


def test_a_vkey_reads_back_as_its_key() -> None:
    for verifier in (signer().verifier, witness().verifier, parse_vkey(SUNLIGHT_VKEY)):
        assert parse_vkey(format_vkey(verifier)) == verifier
    assert format_vkey(parse_vkey(SUNLIGHT_VKEY)) == SUNLIGHT_VKEY


def test_the_purpose_of_a_key_is_in_its_id() -> None:
    public = signer().verifier.public_key

    ids = {key_id("log.example", kind, public) for kind in (ED25519, ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE)}

    assert len(ids) == 3


def test_a_vkey_with_any_flipped_bit_is_refused() -> None:
    for damaged in flipped(SUNLIGHT_VKEY.encode()):
        with pytest.raises(InputError):
            parse_vkey(damaged.decode("latin-1"))


def test_a_vkey_cut_anywhere_is_refused() -> None:
    for length in range(len(SUNLIGHT_VKEY)):
        with pytest.raises(InputError):
            parse_vkey(SUNLIGHT_VKEY[:length])


@pytest.mark.parametrize("end", ["\n", " ", "=", "+", "A"])
def test_a_vkey_with_more_after_it_is_refused(end: str) -> None:
    with pytest.raises(InputError):
        parse_vkey(SUNLIGHT_VKEY + end)


def test_a_key_id_in_capitals_is_refused() -> None:
    with pytest.raises(InputError, match="expected key id 3fb148ef"):
        parse_vkey(SUNLIGHT_VKEY.replace("3fb148ef", "3FB148EF"))


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u00a0b", "a\u2003b", "a\x01b", "a" * 256, "\ud800"]
)
def test_a_name_that_c2sp_forbids_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="key name"):
        Verifier(name, ED25519, signer().verifier.public_key)


@pytest.mark.parametrize("name", ["a", "log.example/a", "\u00e9.example", "a" * 255])
def test_a_name_that_c2sp_allows_is_taken(name: str) -> None:
    verifier = Verifier(name, ED25519, signer().verifier.public_key)

    assert parse_vkey(format_vkey(verifier)) == verifier


@pytest.mark.parametrize("signature_type", [0x00, 0x02, 0x03, 0x05, 0xFF])
def test_a_signature_type_not_known_here_is_refused(signature_type: int) -> None:
    with pytest.raises(InputError, match="is not known here"):
        Verifier("log.example", signature_type, bytes(32))


@pytest.mark.parametrize(
    ("signature_type", "size"), [(ED25519, 31), (ED25519, 33), (ED25519_COSIGNATURE, 1312), (ML_DSA_44_COSIGNATURE, 32)]
)
def test_a_public_key_of_another_length_is_refused(signature_type: int, size: int) -> None:
    with pytest.raises(InputError, match="expected a public key of"):
        Verifier("log.example", signature_type, b"\x05" * size)


def test_small_order_points_have_these_fourteen_encodings() -> None:
    """Eight points; the curve's arithmetic here finds them without the list in the code."""
    assert len(points_of_small_order()) == 8
    assert len(SMALL_ORDER) == 14


@pytest.mark.parametrize("public_key", SMALL_ORDER, ids=bytes.hex)
@pytest.mark.parametrize("signature_type", [ED25519, ED25519_COSIGNATURE])
def test_a_public_key_of_small_order_is_refused(public_key: bytes, signature_type: int) -> None:
    with pytest.raises(InputError, match="small order"):
        Verifier("log.example", signature_type, public_key)


def test_a_library_takes_a_forged_signature_of_a_small_order_key() -> None:
    """Why such keys are refused: one signature, made without any secret, holds for every message."""
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)

    for message in (b"", b"any", b"message"):
        Ed25519PublicKey.from_public_bytes(identity).verify(forged, message)


def test_a_public_key_that_is_not_canonical_is_refused() -> None:
    """Adding p to y names the same point, so one key would have two ids."""
    y_plus_p = (3 + PRIME).to_bytes(32, "little")

    with pytest.raises(InputError, match="not canonical"):
        Verifier("log.example", ED25519, y_plus_p)


def test_a_private_key_is_not_shown() -> None:
    assert "private_key" not in repr(signer())
