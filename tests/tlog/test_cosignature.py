"""Cosignatures of both kinds: their bytes, their times, and signatures that were made for another purpose."""

import base64
import struct
import subprocess
import sys

import pytest

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import (
    ED25519,
    ED25519_COSIGNATURE,
    HAS_ML_DSA_44,
    ML_DSA_44_COSIGNATURE,
    Checkpoint,
    Signer,
    cosign_text,
    format_checkpoint,
    open_note,
    sign_checkpoint,
    sign_note,
)

from .support import ORIGIN, checkpoint, flipped, signer, witness

HEAD = checkpoint()
TEXT = format_checkpoint(HEAD)
LOG = signer()
NOTE = sign_checkpoint(HEAD, LOG)
TIME_S = 1_793_000_000

needs_ml_dsa = pytest.mark.skipif(not HAS_ML_DSA_44, reason="the installed cryptography has no ML-DSA-44")


def ml_dsa_witness() -> Signer:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    return Signer("witness.example/pq", ML_DSA_44_COSIGNATURE, MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))))


def raw_line(name: str, raw: bytes) -> bytes:
    return f"\u2014 {name} {base64.b64encode(raw).decode()}\n".encode()


def raw_of(line: bytes) -> bytes:
    return base64.b64decode(line.split(b" ")[2])


def test_a_cosignature_opens_with_its_time() -> None:
    note = NOTE + cosign_text(TEXT, witness(), TIME_S)

    opened = open_note(note, [LOG.verifier, witness().verifier])

    assert [(found.verifier, found.timestamp_s) for found in opened.signatures] == [
        (LOG.verifier, None),
        (witness().verifier, TIME_S),
    ]


def test_an_ed25519_cosignature_is_that_of_a_sunlight_mirror() -> None:
    """Figures of its published test data: key, head, time and the signature they give, which is deterministic."""
    mirror = signer("mirror.example.org", ED25519_COSIGNATURE, seed="skylight test mirror key")
    root = base64.b64decode("gw31yQrqZZCcEOPrzX+bpy3nJ6QgngTKn8G1m0i62uU=")

    line = cosign_text(format_checkpoint(Checkpoint("rome2026h1.example.org", 300, root)), mirror, 1_767_139_200)

    assert line.decode() == (
        "\u2014 mirror.example.org P7FI7wAAAABpVGeAjA1S4pJm6MbcXjX7UUImu4azZtrfcVW2uyr/"
        "LXIYlwEJzXC0N0EiZkbqfLdXt/4gVEEuGmxJjAfXKMCISpsJAg==\n"
    )


def test_a_cosigned_note_with_any_flipped_bit_in_text_or_signature_is_refused() -> None:
    line = cosign_text(TEXT, witness(), TIME_S)

    for damaged in flipped(TEXT.encode() + b"\n" + line):
        with pytest.raises(ProofError):
            open_note(damaged, [witness().verifier])


@pytest.mark.parametrize("time_s", [0, TIME_S, 2**63 - 1])
def test_a_replayed_log_signature_is_no_cosignature(time_s: int) -> None:
    """One secret under both types: what it signed as 0x01 must not hold as 0x04, whatever time is put before it."""
    log, cosigner = signer(seed="shared"), signer(ORIGIN, ED25519_COSIGNATURE, seed="shared")
    signature = log.private_key.sign(TEXT.encode())

    for raw in (signature, struct.pack(">Q", time_s) + signature):
        note = TEXT.encode() + b"\n" + raw_line(ORIGIN, cosigner.verifier.key_id + raw)
        with pytest.raises(ProofError, match="does not hold"):
            open_note(note, [cosigner.verifier])


def test_a_replayed_cosignature_is_no_log_signature() -> None:
    log, cosigner = signer(seed="shared"), signer(ORIGIN, ED25519_COSIGNATURE, seed="shared")
    raw = raw_of(cosign_text(TEXT, cosigner, TIME_S))[4:]

    for signature in (raw, raw[8:]):
        note = TEXT.encode() + b"\n" + raw_line(ORIGIN, log.verifier.key_id + signature)
        with pytest.raises(ProofError, match="does not hold"):
            open_note(note, [log.verifier])


def test_a_cosignature_under_another_time_is_refused() -> None:
    raw = raw_of(cosign_text(TEXT, witness(), TIME_S))
    moved = raw[:4] + struct.pack(">Q", TIME_S + 1) + raw[12:]

    with pytest.raises(ProofError, match="does not hold"):
        open_note(NOTE + raw_line(witness().name, moved), [LOG.verifier, witness().verifier])


@pytest.mark.parametrize("time_s", [2**63, 2**64 - 1])
def test_a_time_beyond_posix_is_refused_even_when_signed(time_s: int) -> None:
    message = f"cosignature/v1\ntime {time_s}\n{TEXT}".encode()
    raw = witness().verifier.key_id + struct.pack(">Q", time_s) + witness().private_key.sign(message)

    with pytest.raises(ProofError, match="beyond"):
        open_note(NOTE + raw_line(witness().name, raw), [LOG.verifier, witness().verifier])


@pytest.mark.parametrize("length", [1, 7, 8, 9, 71, 73])
def test_a_cosignature_of_another_length_is_refused(length: int) -> None:
    raw = witness().verifier.key_id + bytes(length)

    with pytest.raises(ProofError, match=r"expected a time of 8 bytes|does not hold"):
        open_note(NOTE + raw_line(witness().name, raw), [LOG.verifier, witness().verifier])


@pytest.mark.parametrize("time_s", [-1, 2**63])
def test_a_time_that_does_not_fit_is_not_signed(time_s: int) -> None:
    with pytest.raises(InputError, match="POSIX seconds"):
        cosign_text(TEXT, witness(), time_s)


def test_a_log_key_does_not_cosign() -> None:
    with pytest.raises(InputError, match="0x01 signs notes"):
        cosign_text(TEXT, LOG, TIME_S)


@pytest.mark.parametrize("text", ["any text\n", f"{TEXT}an extension line\n"])
def test_only_a_checkpoint_is_cosigned(text: str) -> None:
    with pytest.raises(ProofError, match="checkpoint"):
        cosign_text(text, witness(), TIME_S)


@needs_ml_dsa
def test_an_ml_dsa_cosignature_signs_the_bytes_of_c2sp() -> None:
    """The message written out field by field, and checked with the library alone: no public vectors exist yet."""
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    cosigner = ml_dsa_witness()
    message = (
        b"subtree/v1\n\x00"
        + b"\x12witness.example/pq"
        + TIME_S.to_bytes(8, "big")
        + b"\x10log.example/2c7d"
        + bytes(8)
        + (7).to_bytes(8, "big")
        + HEAD.root
    )

    raw = raw_of(cosign_text(TEXT, cosigner, TIME_S))

    assert raw[:4] == cosigner.verifier.key_id
    assert raw[4:12] == TIME_S.to_bytes(8, "big")
    assert len(raw[12:]) == 2420
    MLDSA44PublicKey.from_public_bytes(cosigner.verifier.public_key).verify(raw[12:], message)


@needs_ml_dsa
def test_an_ml_dsa_cosignature_opens_with_its_time() -> None:
    cosigner = ml_dsa_witness()
    note = NOTE + cosign_text(TEXT, cosigner, TIME_S)

    opened = open_note(note, [LOG.verifier, cosigner.verifier])

    assert [found.timestamp_s for found in opened.signatures] == [None, TIME_S]


@needs_ml_dsa
@pytest.mark.parametrize(
    "other",
    [Checkpoint("log.example/2c7e", 7, HEAD.root), Checkpoint(ORIGIN, 8, HEAD.root), checkpoint(6)],
    ids=["origin", "size", "size and root"],
)
def test_an_ml_dsa_cosignature_of_another_head_is_refused(other: Checkpoint) -> None:
    cosigner = ml_dsa_witness()
    line = cosign_text(TEXT, cosigner, TIME_S)

    with pytest.raises(ProofError, match="does not hold"):
        open_note(format_checkpoint(other).encode() + b"\n" + line, [cosigner.verifier])


@needs_ml_dsa
def test_an_ml_dsa_cosignature_under_another_time_or_name_is_refused() -> None:
    cosigner = ml_dsa_witness()
    renamed = Signer("witness.example/qp", ML_DSA_44_COSIGNATURE, cosigner.private_key)
    raw = raw_of(cosign_text(TEXT, cosigner, TIME_S))

    moved = raw[:4] + struct.pack(">Q", TIME_S + 1) + raw[12:]
    with pytest.raises(ProofError, match="does not hold"):
        open_note(NOTE + raw_line(cosigner.name, moved), [LOG.verifier, cosigner.verifier])
    taken = renamed.verifier.key_id + raw[4:]
    with pytest.raises(ProofError, match="does not hold"):
        open_note(NOTE + raw_line(renamed.name, taken), [LOG.verifier, renamed.verifier])


@needs_ml_dsa
def test_an_ml_dsa_cosignature_of_a_text_that_is_no_checkpoint_is_refused() -> None:
    cosigner = ml_dsa_witness()
    line = cosign_text(TEXT, cosigner, TIME_S)

    with pytest.raises(ProofError, match="checkpoint: expected the three lines"):
        open_note(sign_note(f"{TEXT}extension\n", [LOG]) + line, [LOG.verifier, cosigner.verifier])


WITHOUT_ML_DSA = """
import sys
sys.modules["cryptography.hazmat.primitives.asymmetric.mldsa"] = None  # importing it now fails
from audit_pipeline.errors import ProofError
from audit_pipeline.tlog import HAS_ML_DSA_44, Verifier, open_note
assert not HAS_ML_DSA_44
log = Verifier("log.example/2c7d", 1, bytes.fromhex(sys.argv[1]))
witness = Verifier("witness.example/pq", 6, bytes.fromhex(sys.argv[2]))
note = sys.stdin.buffer.read()
print(open_note(note, [log, witness]).unknown)
try:
    open_note(note, [witness])
except ProofError as err:
    print(err)
"""


@needs_ml_dsa
def test_without_ml_dsa_its_cosignatures_are_unknown_and_vouch_for_nothing() -> None:
    """An older `cryptography` still opens the log's notes, and never takes such a signature unread."""
    cosigner = ml_dsa_witness()
    note = NOTE + cosign_text(TEXT, cosigner, TIME_S)
    keys = [LOG.verifier.public_key.hex(), cosigner.verifier.public_key.hex()]

    ran = subprocess.run([sys.executable, "-c", WITHOUT_ML_DSA, *keys], input=note, capture_output=True, check=False)

    assert ran.stdout.decode().splitlines() == [
        "1",
        "note: none of its 2 signatures is by a known key: give the vkey of its signer",
    ], ran.stderr.decode()


def test_the_types_are_those_of_c2sp() -> None:
    assert (ED25519, ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE) == (0x01, 0x04, 0x06)
