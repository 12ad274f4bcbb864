"""Checkpoints: one text for one head, and only the log's own signature makes it the log's."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import (
    EMPTY_ROOT,
    Checkpoint,
    TreeHead,
    cosign_text,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
)

from .support import ORIGIN, checkpoint, flipped, numbers, origins, parse_skey, signer, witness
from .test_keys import TESSERA_SKEY

HEAD = checkpoint()
TEXT = format_checkpoint(HEAD)
LOG = signer()
ROOT = base64.b64encode(HEAD.root).decode()

checkpoints = st.builds(
    lambda origin, size, root: Checkpoint(origin, size, root if size else EMPTY_ROOT),
    origins,
    numbers,
    st.binary(min_size=32, max_size=32),
)

TESSERA = [
    (
        0,
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "M9e0lhxJACzE1KoUdqKuPa+9p6R7dSW8BlEvrg/noo8FkGg6PbJoRNOcdjqjOq89wVvTA60eubCc4oufo5BvIVEgtQc=",
    ),
    (
        5,
        "gy5gl3aksFyiCO95a/1vLXz88A3dRq+0l9Sxte8ZqZQ=",
        "M9e0lmn5eDHyHP10zJObZdFAX2y1V8fdDKBi4IiHbDYf1TCUBwxZOhqwv2QZCqrdda2zTRTrmnwjwscN5RBTEmZUYAs=",
    ),
]


@pytest.mark.parametrize(("size", "root", "signature"), TESSERA)
def test_a_checkpoint_is_byte_for_byte_that_of_a_tessera_log(size: int, root: str, signature: str) -> None:
    """Figures of its published test data, made with the test key it publishes."""
    log = parse_skey(TESSERA_SKEY)

    note = sign_checkpoint(Checkpoint(log.name, size, base64.b64decode(root)), log)

    assert note.decode() == f"{log.name}\n{size}\n{root}\n\n\u2014 {log.name} {signature}\n"


@given(checkpoints)
def test_a_checkpoint_reads_back_as_itself(head: Checkpoint) -> None:
    assert parse_checkpoint(format_checkpoint(head)) == head


@given(checkpoints)
def test_a_signed_checkpoint_opens_as_itself(head: Checkpoint) -> None:
    log = signer(head.origin)

    opened, note = open_checkpoint(sign_checkpoint(head, log), [log.verifier])

    assert opened == head
    assert opened.head == TreeHead(head.size, head.root)
    assert [found.verifier for found in note.signatures] == [log.verifier]


def test_any_flipped_bit_of_a_text_is_refused_or_says_something_else() -> None:
    for damaged in flipped(TEXT.encode()):
        try:
            found = parse_checkpoint(damaged.decode("latin-1"))
        except ProofError:
            continue
        assert found != HEAD
        assert format_checkpoint(found).encode("latin-1") == damaged


def test_any_flipped_bit_of_a_signed_checkpoint_is_refused() -> None:
    for damaged in flipped(sign_checkpoint(HEAD, LOG)):
        with pytest.raises(ProofError):
            open_checkpoint(damaged, [LOG.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT[:-1],
        TEXT + "\n",
        TEXT + "extension\n",
        f"{ORIGIN}\n7\n",
        f"\n7\n{ROOT}\n",
        f"log example\n7\n{ROOT}\n",
        f" {ORIGIN}\n7\n{ROOT}\n",
        f"{ORIGIN} \n7\n{ROOT}\n",
        f"log+example\n7\n{ROOT}\n",
        f"log\u00a0example\n7\n{ROOT}\n",
        f"{'a' * 256}\n7\n{ROOT}\n",
        f"{ORIGIN}\n07\n{ROOT}\n",
        f"{ORIGIN}\n00\n{ROOT}\n",
        f"{ORIGIN}\n+7\n{ROOT}\n",
        f"{ORIGIN}\n-7\n{ROOT}\n",
        f"{ORIGIN}\n7 \n{ROOT}\n",
        f"{ORIGIN}\n7_0\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n\u0667\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 19}\n{ROOT}\n",
        f"{ORIGIN}\n{'9' * 5000}\n{ROOT}\n",
        f"{ORIGIN}\n7\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n7\n{ROOT[:-2]}\n",
        f"{ORIGIN}\n7\n{ROOT} \n",
        f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n7\n{base64.b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\n7\n{HEAD.root.hex()}\n",
        f"{ORIGIN}\n0\n{ROOT}\n",
        TEXT.replace("\n", "\r\n"),
    ],
)
def test_another_text_is_no_checkpoint_even_when_signed(text: str) -> None:
    with pytest.raises(ProofError):
        parse_checkpoint(text)
    try:
        note = sign_note(text, [LOG])
    except InputError:  # no note can have this text either
        return
    with pytest.raises(ProofError):
        open_checkpoint(note, [LOG.verifier])


def test_extension_lines_are_refused_with_the_reason() -> None:
    with pytest.raises(ProofError, match="expected the three lines origin, size and root"):
        open_checkpoint(sign_note(TEXT + "extension\n", [LOG]), [LOG.verifier])


def test_an_origin_that_is_not_the_key_s_name_is_refused() -> None:
    """A trusted key of another log cannot speak for this one."""
    other = signer("other.example/log")

    with pytest.raises(ProofError, match="not by its log"):
        open_checkpoint(sign_note(TEXT, [other]), [LOG.verifier, other.verifier])
    with pytest.raises(InputError, match="use the key of this log"):
        sign_checkpoint(HEAD, other)


def test_a_witness_alone_does_not_make_a_checkpoint() -> None:
    note = TEXT.encode() + b"\n" + cosign_text(TEXT, witness(), 1)

    with pytest.raises(ProofError, match="not by its log"):
        open_checkpoint(note, [LOG.verifier, witness().verifier])


def test_a_witness_of_the_log_s_name_is_not_the_log() -> None:
    namesake = witness(ORIGIN)
    note = TEXT.encode() + b"\n" + cosign_text(TEXT, namesake, 1)

    with pytest.raises(ProofError, match="not by its log"):
        open_checkpoint(note, [namesake.verifier])


def test_a_checkpoint_opens_with_its_witnesses() -> None:
    note = sign_checkpoint(HEAD, LOG) + cosign_text(TEXT, witness(), 9)

    found, opened = open_checkpoint(note, [LOG.verifier, witness().verifier])

    assert found == HEAD
    assert [signature.timestamp_s for signature in opened.signatures] == [None, 9]


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, bytes(32)), ("a b", 1, bytes(32)), (ORIGIN, -1, bytes(32)), (ORIGIN, 10**18, bytes(32)), (ORIGIN, 1, b"")],
)
def test_a_head_that_no_log_has_is_not_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(ProofError):
        Checkpoint(origin, size, root)
