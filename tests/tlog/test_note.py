"""Signed notes: what opens, and the attacks that do not."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import Note, Verifier, open_note, sign_note

from .support import flipped, signer, witness

KEY = signer()
OTHER = signer("other.example/log")
TEXT = "first line\n\nthird line, \u00e9\n"
NOTE = sign_note(TEXT, [KEY])
KNOWN = [KEY.verifier]

# C2SP: lines of text without control characters, of which the last ends in a newline too.
texts = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"]) | st.just("\n"), min_size=0, max_size=80
).map(lambda text: text + "\n")


def signature_line(name: str, raw: bytes) -> bytes:
    return f"\u2014 {name} {base64.b64encode(raw).decode()}\n".encode()


def unknown_line(number: int) -> bytes:
    return signature_line(f"unknown{number}.example", bytes(4) + b"signature")


@given(texts)
def test_a_signed_text_opens_as_itself(text: str) -> None:
    opened = open_note(sign_note(text, [KEY]), KNOWN)

    assert (opened.text, opened.unknown) == (text, 0)
    assert [found.verifier for found in opened.signatures] == KNOWN


def test_the_bytes_of_a_note_are_those_of_c2sp() -> None:
    """The layout written out by hand: text, empty line, em dash, name, base64 of key id and signature."""
    raw = KEY.verifier.key_id + KEY.private_key.sign(TEXT.encode())

    assert TEXT.encode() + b"\n\xe2\x80\x94 log.example/2c7d " + base64.b64encode(raw) + b"\n" == NOTE


def test_signatures_are_given_in_the_order_of_the_note() -> None:
    note = sign_note(TEXT, [OTHER, KEY]) + unknown_line(1)

    opened = open_note(note, [KEY.verifier, OTHER.verifier])

    assert [found.verifier for found in opened.signatures] == [OTHER.verifier, KEY.verifier]
    assert b"".join(found.line.encode() for found in opened.signatures) + unknown_line(1) == note[len(TEXT) + 2 :]
    assert opened.unknown == 1


def test_any_flipped_bit_of_a_note_is_refused() -> None:
    for damaged in flipped(NOTE):
        with pytest.raises(ProofError):
            open_note(damaged, KNOWN)


def test_a_note_cut_anywhere_is_refused() -> None:
    for length in range(len(NOTE)):
        with pytest.raises(ProofError):
            open_note(NOTE[:length], KNOWN)


@pytest.mark.parametrize(
    "after", [b"\n", b"x", b"x\n", b"\n\n", "\u2014 \n".encode(), "\u2014 name\n".encode(), b"\x00"], ids=repr
)
def test_a_note_with_more_after_it_is_refused(after: bytes) -> None:
    with pytest.raises(ProofError):
        open_note(NOTE + after, KNOWN)


@given(st.binary(max_size=200))
def test_garbage_is_refused(garbage: bytes) -> None:
    for note in (garbage, TEXT.encode() + b"\n" + garbage, NOTE + garbage[1:] + b"\n"):
        with pytest.raises(ProofError):
            open_note(note, KNOWN)


def test_an_extra_blank_line_is_refused() -> None:
    text, signatures = TEXT.encode(), NOTE[len(TEXT.encode()) + 1 :]

    for note in (text + b"\n\n" + signatures, text + signatures, text + b"\n" + signatures + b"\n" + signatures):
        with pytest.raises(ProofError):
            open_note(note, KNOWN)


@pytest.mark.parametrize("control", [*range(0x0A), *range(0x0B, 0x20)])
def test_a_control_character_is_refused(control: int) -> None:
    """A key that signs whatever it is given does not make such a note good."""
    text = f"a{chr(control)}b\n"
    raw = KEY.verifier.key_id + KEY.private_key.sign(text.encode())

    with pytest.raises(ProofError, match="control character"):
        open_note(text.encode() + b"\n" + signature_line(KEY.name, raw), KNOWN)
    with pytest.raises(InputError, match="control character"):
        sign_note(text, [KEY])


def test_carriage_returns_are_refused() -> None:
    with pytest.raises(ProofError, match="control character"):
        open_note(NOTE.replace(b"\n", b"\r\n"), KNOWN)


def test_bytes_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(ProofError, match="not UTF-8"):
        open_note(b"\xff" + NOTE, KNOWN)


def test_base64_that_is_not_canonical_is_refused() -> None:
    """68 bytes leave four bits over, which must be zero: no two notes may carry one signature."""
    encoded = NOTE.rstrip(b"\n").rsplit(b" ", 1)[1]
    body, last = encoded[:-2], encoded[-2:]
    assert last[1:] == b"="
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    next_char = alphabet[alphabet.index(last[:1]) + 1 : alphabet.index(last[:1]) + 2]
    assert base64.b64decode(body + next_char + b"=") == base64.b64decode(encoded)

    for other in (body + next_char + b"=", body + last[:1], encoded + b"=", encoded[:8] + b"\xc2\xa0" + encoded[8:]):
        with pytest.raises(ProofError, match=r"base64|em dash"):
            open_note(NOTE.replace(encoded, other), KNOWN)


def test_url_safe_base64_is_refused() -> None:
    raw = KEY.verifier.key_id + b"\xff" * 64
    line = f"\u2014 {KEY.name} {base64.urlsafe_b64encode(raw).decode()}\n".encode()

    with pytest.raises(ProofError, match="base64"):
        open_note(TEXT.encode() + b"\n" + line, KNOWN)


def test_a_note_that_no_known_key_signed_is_refused() -> None:
    with pytest.raises(ProofError, match="none of its 1 signatures is by a known key"):
        open_note(NOTE, [OTHER.verifier])
    with pytest.raises(ProofError, match="none of its 1 signatures"):
        open_note(NOTE, [])


def test_a_known_key_with_a_bad_signature_refuses_the_note_that_others_signed() -> None:
    bad = signature_line(OTHER.name, OTHER.verifier.key_id + bytes(64))

    for note in (NOTE + bad, TEXT.encode() + b"\n" + bad + NOTE[len(TEXT.encode()) + 1 :]):
        with pytest.raises(ProofError, match=r"other\.example/log .* does not hold"):
            open_note(note, [KEY.verifier, OTHER.verifier])


def test_a_second_and_bad_signature_of_the_same_key_refuses_the_note() -> None:
    with pytest.raises(ProofError, match="does not hold"):
        open_note(NOTE + signature_line(KEY.name, KEY.verifier.key_id + bytes(64)), KNOWN)


@pytest.mark.parametrize("length", [1, 63, 65])
def test_a_known_key_with_a_signature_of_another_length_refuses_the_note(length: int) -> None:
    with pytest.raises(ProofError, match="does not hold"):
        open_note(NOTE + signature_line(KEY.name, KEY.verifier.key_id + bytes(length)), KNOWN)


def test_a_signature_under_a_wrong_key_id_counts_for_nothing() -> None:
    right = KEY.verifier.key_id + KEY.private_key.sign(TEXT.encode())
    wrong = bytes([right[0] ^ 1]) + right[1:]

    with pytest.raises(ProofError, match="none of its 1 signatures"):
        open_note(TEXT.encode() + b"\n" + signature_line(KEY.name, wrong), KNOWN)


def test_a_signature_under_another_name_counts_for_nothing() -> None:
    right = KEY.verifier.key_id + KEY.private_key.sign(TEXT.encode())

    with pytest.raises(ProofError, match="none of its 1 signatures"):
        open_note(TEXT.encode() + b"\n" + signature_line(OTHER.name, right), [*KNOWN, OTHER.verifier])


def test_a_key_of_the_same_name_is_another_key() -> None:
    """While keys rotate, old and new have one name: each counts where its own vkey was given."""
    old, new = signer(seed="old"), signer(seed="new")
    note = sign_note(TEXT, [old, new])

    assert open_note(note, [new.verifier]).unknown == 1
    assert open_note(note, [old.verifier, new.verifier]).unknown == 0
    with pytest.raises(ProofError, match="none of its 1 signatures"):
        open_note(sign_note(TEXT, [old]), [new.verifier])


def test_two_keys_of_one_name_and_id_are_refused() -> None:
    class Colliding(Verifier):
        __slots__ = ()

        @property
        def key_id(self) -> bytes:
            return b"same"

    one, two = (Colliding(KEY.name, 1, key.verifier.public_key) for key in (KEY, OTHER))

    with pytest.raises(InputError, match="share the key id"):
        open_note(NOTE, [one, two])


def test_the_same_key_given_twice_is_one_key() -> None:
    assert len(open_note(NOTE, KNOWN * 2).signatures) == 1


@pytest.mark.parametrize("unknown", [15, 16, 99])
def test_a_note_may_have_many_unknown_signatures(unknown: int) -> None:
    """C2SP signed-note asks for at least 16."""
    lines = b"".join(unknown_line(number) for number in range(unknown))

    opened = open_note(TEXT.encode() + b"\n" + lines + NOTE[len(TEXT.encode()) + 1 :], KNOWN)

    assert (len(opened.signatures), opened.unknown) == (1, unknown)


def test_a_note_with_sixteen_known_signatures_opens() -> None:
    signers = [signer(f"log{number}.example") for number in range(16)]

    opened = open_note(sign_note(TEXT, signers), [key.verifier for key in signers])

    assert len(opened.signatures) == 16


def test_more_than_a_hundred_signatures_are_refused() -> None:
    lines = b"".join(unknown_line(number) for number in range(100))

    with pytest.raises(ProofError, match="at most 100 signatures, got 101"):
        open_note(NOTE + lines, KNOWN)


def test_a_note_beyond_the_bound_is_refused_unless_the_caller_allows_it() -> None:
    note = sign_note("x" * 1_000_000 + "\n", [KEY])

    with pytest.raises(ProofError, match="at most 1000000 bytes"):
        open_note(note, KNOWN)
    assert open_note(note, KNOWN, max_bytes=len(note)).unknown == 0


@pytest.mark.parametrize("name", ["", "a+b", "a\u00a0b", "a\u2003b"])
def test_a_signature_line_with_a_forbidden_name_is_refused(name: str) -> None:
    with pytest.raises(ProofError, match="em dash, key name and base64"):
        open_note(NOTE + signature_line(name, bytes(68)), KNOWN)


@pytest.mark.parametrize("raw", [b"", b"abc", b"abcd"])
def test_a_signature_line_without_a_signature_is_refused(raw: bytes) -> None:
    with pytest.raises(ProofError, match=r"is empty|em dash"):
        open_note(NOTE + signature_line("name", raw), KNOWN)


@pytest.mark.parametrize("mark", ["- ", "\u2013 ", "\u2014\u2014 ", "\u2014  ", " \u2014 ", "\u2014", " ", ""])
def test_a_signature_line_that_does_not_start_with_one_em_dash_is_refused(mark: str) -> None:
    with pytest.raises(ProofError, match="em dash"):
        open_note(NOTE.replace("\u2014 ".encode(), mark.encode()), KNOWN)


def test_signatures_without_a_text_are_refused() -> None:
    """Also when a known key did sign nothing at all."""
    line = signature_line(KEY.name, KEY.verifier.key_id + KEY.private_key.sign(b""))

    for note in (line, b"\n" + line, b"x" + line):
        with pytest.raises(ProofError, match="expected a text, an empty line"):
            open_note(note, KNOWN)


@pytest.mark.parametrize("text", ["", "no newline", "\ud800\n"])
def test_a_text_that_no_note_can_have_is_not_signed(text: str) -> None:
    with pytest.raises(InputError, match="note"):
        sign_note(text, [KEY])


def test_a_note_without_signers_is_not_made() -> None:
    with pytest.raises(InputError, match="no key to sign it with"):
        sign_note(TEXT, [])


def test_a_cosigning_key_signs_no_note() -> None:
    with pytest.raises(InputError, match="cosigns"):
        sign_note(TEXT, [witness()])


def test_a_note_cannot_be_changed_once_opened() -> None:
    opened: Note = open_note(NOTE, KNOWN)

    with pytest.raises(AttributeError):
        opened.text = "other"  # type: ignore[misc]
