"""Marks: one text for one value."""

import pytest
from hypothesis import given

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import Mark, format_mark, parse_mark

from .support import digest_of, flipped, marks

MARK = Mark("log.example/2c7d", digest_of("before"), 12, digest_of("root"), None, digest_of("ledger"))
TEXT = f"""\
audit-mark/v1
origin log.example/2c7d
previous {digest_of("before")}
size 12
root {digest_of("root")}
inventory -
ledger {digest_of("ledger")}
"""


def test_the_text_of_a_mark_is_that_of_the_format() -> None:
    assert format_mark(MARK).decode() == TEXT


@given(marks)
def test_a_mark_reads_back_as_itself(mark: Mark) -> None:
    assert parse_mark(format_mark(mark)) == mark


def test_any_flipped_bit_of_a_mark_is_refused_or_says_something_else() -> None:
    for damaged in flipped(TEXT.encode()):
        try:
            found = parse_mark(damaged)
        except ProofError:
            continue
        assert found != MARK
        assert format_mark(found) == damaged


def test_a_mark_cut_or_extended_anywhere_is_refused() -> None:
    for length in range(len(TEXT)):
        with pytest.raises(ProofError):
            parse_mark(TEXT[:length].encode())
    for after in ("\n", "\x00", "x\n"):
        with pytest.raises(ProofError):
            parse_mark((TEXT + after).encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("audit-mark/v1", "audit-mark/v2"),
        ("size 12", "size 012"),
        ("size 12", "size -12"),
        ("size 12", "size 12\r"),
        ("inventory -", "inventory "),
        ("inventory -", "inventory 0"),
        ("origin log.example/2c7d", "origin log example"),
        ("origin log.example/2c7d", "origin log+example"),
        ("origin log.example/2c7d", "origin l\u00f6g.example"),
        ("origin log.example/2c7d", "origin " + "a" * 256),
        ("origin log.example/2c7d", "origin "),
    ],
)
def test_a_mark_outside_the_grammar_is_refused(before: str, after: str) -> None:
    assert TEXT.count(before) == 1

    with pytest.raises(ProofError):
        parse_mark(TEXT.replace(before, after).encode())


@pytest.mark.parametrize(
    "mark",
    [
        Mark("a b", None, 0, MARK.root, None, None),
        Mark("a\nsize 1", None, 0, MARK.root, None, None),
        Mark("a", "-", 0, MARK.root, None, None),
        Mark("a", None, -1, MARK.root, None, None),
        Mark("a", None, 10**18, MARK.root, None, None),
        Mark("a", None, 0, "-", None, None),
        Mark("a", None, 0, MARK.root, "", None),
        Mark("a", None, 0, MARK.root, None, MARK.root.upper()),
    ],
    ids=repr,
)
def test_a_mark_that_could_not_be_read_again_is_not_written(mark: Mark) -> None:
    with pytest.raises(InputError, match="outside the grammar"):
        format_mark(mark)
