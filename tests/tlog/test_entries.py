"""Source and seal entries: one text for one value, as docs/evidence-format.md writes it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import (
    SealEntry,
    SourceEntry,
    format_seal,
    format_source,
    parse_seal,
    parse_source,
    source_order,
)

from .support import digest_of, flipped, seal_entries, seal_entry, source_entries, source_entry

SOURCE = source_entry(supersedes=(3, 41), position=1234)
SOURCE_TEXT = f"""\
audit-source/v1
lake 0123456789abcdef0123456789abcdef
stream runs
source {SOURCE.source}
day 2026-11-03
generation 0
snapshot 0
position 1234
records 12
bytes 0 4096
container jsonl
compression none
growth new
supersedes 3/41
content {SOURCE.content}
exceptions {SOURCE.exceptions}
root {SOURCE.root}
"""
SEAL = seal_entry()
SEAL_TEXT = f"""\
audit-seal/v1
kind seal
lake 0123456789abcdef0123456789abcdef
day 2026-11-03
segment 1
previous -
sources 2
records 24
size 2
root {SEAL.root}
adapters jsonl@1 trl@2.1
pseudonym_key k1
policy {SEAL.policy}
time 2026-11-04T00:05:09Z
nonce {SEAL.nonce}
"""


def test_the_text_of_a_source_entry_is_that_of_the_format() -> None:
    assert format_source(SOURCE).decode() == SOURCE_TEXT
    assert b"\nsupersedes -\n" in format_source(replace(SOURCE, supersedes=None))


def test_the_text_of_a_seal_entry_is_that_of_the_format() -> None:
    assert format_seal(SEAL).decode() == SEAL_TEXT
    bare = format_seal(replace(SEAL, previous=digest_of(1), adapters=(), pseudonym_key=None)).decode()
    assert f"\nprevious {digest_of(1)}\n" in bare
    assert "\nadapters -\npseudonym_key -\n" in bare


@given(source_entries)
def test_a_source_entry_reads_back_as_itself(entry: SourceEntry) -> None:
    assert parse_source(format_source(entry)) == entry


@given(seal_entries)
def test_a_seal_entry_reads_back_as_itself(entry: SealEntry) -> None:
    assert parse_seal(format_seal(entry)) == entry


def test_any_flipped_bit_of_a_source_entry_is_refused_or_says_something_else() -> None:
    for damaged in flipped(SOURCE_TEXT.encode()):
        try:
            found = parse_source(damaged)
        except ProofError:
            continue
        assert found != SOURCE
        assert format_source(found) == damaged


def test_any_flipped_bit_of_a_seal_entry_is_refused_or_says_something_else() -> None:
    for damaged in flipped(SEAL_TEXT.encode()):
        try:
            found = parse_seal(damaged)
        except ProofError:
            continue
        assert found != SEAL
        assert format_seal(found) == damaged


@pytest.mark.parametrize("text", [SOURCE_TEXT, SEAL_TEXT], ids=["source", "seal"])
def test_an_entry_cut_or_extended_anywhere_is_refused(text: str) -> None:
    parse = parse_source if text is SOURCE_TEXT else parse_seal
    encoded = text.encode()

    for length in range(len(encoded)):
        with pytest.raises(ProofError):
            parse(encoded[:length])
    for after in (b"\n", b"\x00", b"\x01", b" ", b"\xef\xbb\xbf", encoded):
        with pytest.raises(ProofError):
            parse(encoded + after)
        with pytest.raises(ProofError):
            parse(after + encoded)


@pytest.mark.parametrize("text", [SOURCE_TEXT, SEAL_TEXT], ids=["source", "seal"])
def test_fields_out_of_order_left_out_or_twice_are_refused(text: str) -> None:
    parse = parse_source if text is SOURCE_TEXT else parse_seal
    lines = text.splitlines(keepends=True)

    for at in range(len(lines)):
        variants = [lines[:at] + lines[at + 1 :], [*lines[: at + 1], *lines[at:]]]
        if at + 1 < len(lines):
            variants.append([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
        for variant in variants:
            with pytest.raises(ProofError):
                parse("".join(variant).encode())


@pytest.mark.parametrize("growth", ["new", "appended", "extended", "rewritten"])
def test_each_word_for_growth_is_in_the_grammar(growth: str) -> None:
    entry = replace(SOURCE, growth=growth)

    assert parse_source(format_source(entry)) == entry


SOURCE_CHANGES = [
    ("audit-source/v1", "audit-source/v2"),
    ("audit-source/v1", "audit-seal/v1"),
    ("lake 0123", "lake 012"),
    ("lake 0123456789abcdef", "lake 0123456789ABCDEF"),
    ("stream runs", "stream Runs"),
    ("stream runs", "stream 1runs"),
    ("stream runs", "stream " + "a" * 64),
    ("stream runs", "stream ru/ns"),
    ("stream runs", "stream r\u00fcns"),
    ("day 2026-11-03", "day 2026-11-31"),
    ("day 2026-11-03", "day 2026-13-03"),
    ("day 2026-11-03", "day 0000-11-03"),
    ("day 2026-11-03", "day 20261103"),
    ("day 2026-11-03", "day -"),
    ("generation 0", "generation 00"),
    ("generation 0", "generation -1"),
    ("generation 0", "generation 9999999999999999999"),
    ("snapshot 0", "snapshot \u0660"),
    ("position 1234", "position 01234"),
    ("position 1234", "position 1_234"),
    ("records 12", "records 12.0"),
    ("records 12", "records  12"),
    ("records 12", "records\t12"),
    ("records 12\n", "records 12\r\n"),
    ("bytes 0 4096", "bytes 0 04096"),
    ("bytes 0 4096", "bytes 4097 4096"),
    ("bytes 0 4096", "bytes 4096"),
    ("container jsonl", "container parquet2"),
    ("compression none", "compression bzip2"),
    ("growth new", "growth grown"),
    ("supersedes 3/41", "supersedes 3/041"),
    ("supersedes 3/41", "supersedes 3"),
    ("supersedes 3/41", "supersedes -/-"),
]


@pytest.mark.parametrize(("before", "after"), SOURCE_CHANGES)
def test_a_source_entry_outside_the_grammar_is_refused(before: str, after: str) -> None:
    assert SOURCE_TEXT.count(before) == 1

    with pytest.raises(ProofError):
        parse_source(SOURCE_TEXT.replace(before, after).encode())


SEAL_CHANGES = [
    ("audit-seal/v1", "audit-seal/v2"),
    ("kind seal", "kind unseal"),
    ("kind seal", "kind -"),
    ("segment 1", "segment 0"),
    ("segment 1", "segment 01"),
    ("previous -", "previous "),
    ("previous -", "previous --"),
    ("sources 2", "sources 02"),
    ("day 2026-11-03", "day 2026-02-29"),
    ("adapters jsonl@1 trl@2.1", "adapters trl@2.1 jsonl@1"),
    ("adapters jsonl@1 trl@2.1", "adapters jsonl@1 jsonl@1"),
    ("adapters jsonl@1 trl@2.1", "adapters jsonl@1  trl@2.1"),
    ("adapters jsonl@1 trl@2.1", "adapters jsonl"),
    ("adapters jsonl@1 trl@2.1", "adapters jsonl@1@2"),
    ("adapters jsonl@1 trl@2.1", "adapters @1"),
    ("adapters jsonl@1 trl@2.1", "adapters "),
    ("adapters jsonl@1 trl@2.1", "adapters - jsonl@1"),
    ("pseudonym_key k1", "pseudonym_key k 1"),
    ("pseudonym_key k1", "pseudonym_key \u00fc"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04T00:05:09"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04T00:05:09+00:00"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04T00:05:09.0Z"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04 00:05:09Z"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04T24:00:00Z"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-04T23:59:60Z"),
    ("time 2026-11-04T00:05:09Z", "time 2026-11-31T00:05:09Z"),
]


@pytest.mark.parametrize(("before", "after"), SEAL_CHANGES)
def test_a_seal_entry_outside_the_grammar_is_refused(before: str, after: str) -> None:
    assert SEAL_TEXT.count(before) == 1

    with pytest.raises(ProofError):
        parse_seal(SEAL_TEXT.replace(before, after).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"lake": "0123"},
        {"stream": "Runs"},
        {"stream": "runs\nsource x"},
        {"stream": "runs\n"},
        {"source": "ab" * 31},
        {"day": datetime(2026, 11, 3, tzinfo=UTC)},
        {"generation": -1},
        {"records": 10**18},
        {"start": 5000},
        {"container": "zip"},
        {"supersedes": (0, -1)},
        {"root": digest_of(1).upper()},
    ],
    ids=repr,
)
def test_a_source_entry_that_could_not_be_read_again_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="outside the grammar"):
        format_source(source_entry(**change))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"segment": 0},
        {"previous": "-"},
        {"previous": ""},
        {"size": -1},
        {"adapters": ("trl@2", "jsonl@1")},
        {"adapters": ("a@1", "a@1")},
        {"adapters": ("-",)},
        {"adapters": ("a@1 b@1",)},
        {"adapters": ("noversion",)},
        {"pseudonym_key": "-"},
        {"pseudonym_key": ""},
        {"pseudonym_key": "a\nb"},
        {"time": SEAL.time.replace(tzinfo=None)},
        {"time": datetime(2026, 11, 4, microsecond=1, tzinfo=UTC)},
        {"time": datetime(2026, 11, 4, tzinfo=timezone(timedelta(hours=1)))},
    ],
    ids=repr,
)
def test_a_seal_entry_that_could_not_be_read_again_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="seal entry"):
        format_seal(seal_entry(**change))


def test_a_seal_entry_too_long_for_a_log_is_neither_written_nor_read() -> None:
    """C2SP tlog-tiles writes the length of an entry in two bytes."""
    adapters = tuple(f"adapter{number:05}@1" for number in range(4_500))

    with pytest.raises(InputError, match="seal entry"):
        format_seal(seal_entry(adapters=adapters))
    with pytest.raises(ProofError, match="at most 65535 bytes"):
        parse_seal(SEAL_TEXT.replace("jsonl@1 trl@2.1", " ".join(adapters)).encode())


def test_sources_are_ordered_by_name_and_numbers_as_numbers() -> None:
    in_order = [
        source_entry(stream="_audit", source="ff" * 32),
        source_entry(stream="a", source="00" * 32, generation=2, snapshot=10),
        source_entry(stream="a", source="00" * 32, generation=10, snapshot=2),
        source_entry(stream="a", source="00" * 32, generation=10, snapshot=10),
        source_entry(stream="a", source="01" * 32),
        source_entry(stream="a-b"),
        source_entry(stream="a1"),
        source_entry(stream="b"),
    ]

    shuffled = in_order[3:] + in_order[:3]

    assert sorted(shuffled, key=source_order) == in_order
    assert [entry.stream.encode() for entry in in_order] == sorted(entry.stream.encode() for entry in in_order)


def test_a_day_is_a_date_and_a_time_is_utc() -> None:
    entry = parse_seal(SEAL_TEXT.encode())

    assert type(entry.day) is date
    assert entry.time.isoformat() == "2026-11-04T00:05:09+00:00"
