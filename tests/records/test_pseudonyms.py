"""Pseudonyms: equal for equal ids, useless without the key."""

import hashlib
import hmac

from audit_pipeline.records.pseudonyms import PersonKeys

PEOPLE = PersonKeys(b"p" * 32, b"b" * 32)


def test_a_pseudonym_is_the_same_for_the_same_id_and_key_alone() -> None:
    assert PEOPLE.pseudonym("7") == PEOPLE.pseudonym("7") != PEOPLE.pseudonym("8")
    assert PEOPLE.pseudonym("7") != PersonKeys(b"q" * 32, b"b" * 32).pseudonym("7")
    assert PEOPLE.pseudonym("7") == PersonKeys(b"p" * 32, b"c" * 32).pseudonym("7")


def test_a_pseudonym_is_an_hmac_cut_to_32_hex_digits() -> None:
    expected = hmac.new(b"p" * 32, b"audit-pseudonym/v1\x00a@b.c", hashlib.sha256).hexdigest()[:32]

    assert PEOPLE.pseudonym("a@b.c") == expected


def test_the_key_id_names_the_key_and_is_no_pseudonym() -> None:
    assert PEOPLE.key_id != PersonKeys(b"q" * 32, b"b" * 32).key_id
    assert len(PEOPLE.key_id) == 16
    assert not PEOPLE.pseudonym("").startswith(PEOPLE.key_id)


def test_bounding_hashes_have_a_key_of_their_own() -> None:
    assert PEOPLE.bounding_hash("e") != PersonKeys(b"p" * 32, b"c" * 32).bounding_hash("e")
    assert PEOPLE.bounding_hash("e") != PersonKeys(b"b" * 32, b"p" * 32).pseudonym("e")


def test_an_id_of_any_characters_has_a_pseudonym() -> None:
    assert len({PEOPLE.pseudonym(raw) for raw in ("", "\0", "\ud800", "\U0001f600", "a" * 10_000)}) == 5
