"""Drafts: a seal and its source entries, which must agree."""

import hashlib
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import (
    EMPTY_ROOT,
    SealEntry,
    SourceEntry,
    format_draft,
    format_seal,
    format_source,
    hash_leaves,
    hash_pairs,
    parse_draft,
    source_order,
    tree_root,
)

from .support import seal_entry, source_entry


def seal_of(sources: list[SourceEntry]) -> SealEntry:
    return seal_entry(
        sources=len({source.source for source in sources}),
        records=sum(source.records for source in sources),
        size=len(sources),
        root=tree_root(hash_leaves(map(format_source, sources))).hex(),
    )


SOURCES = sorted([*(source_entry(number) for number in range(4)), source_entry(0, snapshot=1)], key=source_order)
SEAL = seal_of(SOURCES)
DRAFT = format_draft(SEAL, SOURCES)


def joined(seal: SealEntry, sources: list[SourceEntry]) -> bytes:
    """A draft as anyone could write it, agreeing or not."""
    return format_seal(seal) + b"\n" + b"".join(map(format_source, sources))


def test_a_draft_is_the_seal_an_empty_line_and_the_sources() -> None:
    assert joined(SEAL, SOURCES) == DRAFT


@given(st.lists(st.integers(0, 50), unique=True, max_size=9))
def test_a_draft_reads_back_as_itself(numbers: list[int]) -> None:
    sources = sorted(map(source_entry, numbers), key=source_order)
    seal = seal_of(sources)

    assert parse_draft(format_draft(seal, sources)) == (seal, tuple(sources))


def test_the_draft_of_a_day_without_sources_has_the_empty_root() -> None:
    seal = seal_of([])

    assert seal.root == EMPTY_ROOT.hex()
    assert format_draft(seal, []) == format_seal(seal) + b"\n"
    assert parse_draft(format_draft(seal, [])) == (seal, ())


def test_any_changed_byte_of_a_draft_is_refused_or_is_in_the_seal_s_own_fields() -> None:
    """A seal vouches for its sources; for the seal's other fields the log does."""
    for at, byte in enumerate(DRAFT):
        damaged = DRAFT[:at] + bytes([byte ^ 1]) + DRAFT[at + 1 :]
        try:
            seal, sources = parse_draft(damaged)
        except ProofError:
            continue
        assert at < len(format_seal(SEAL))
        assert seal != SEAL
        assert format_draft(seal, sources) == damaged


@pytest.mark.parametrize("draft", [DRAFT, format_draft(seal_of([]), [])], ids=["sources", "empty day"])
def test_a_draft_cut_anywhere_is_refused(draft: bytes) -> None:
    for length in range(len(draft)):
        with pytest.raises(ProofError):
            parse_draft(draft[:length])


@pytest.mark.parametrize(
    "after", [b"\n", b"x", b"\x00", format_source(SOURCES[-1])], ids=["line", "x", "nul", "source"]
)
def test_a_draft_with_more_after_it_is_refused(after: bytes) -> None:
    with pytest.raises(ProofError):
        parse_draft(DRAFT + after)


def refused(seal: SealEntry, sources: list[SourceEntry], why: str) -> None:
    """Neither written nor read."""
    with pytest.raises(ProofError, match=why):
        format_draft(seal, sources)
    with pytest.raises(ProofError, match=why):
        parse_draft(joined(seal, sources))


def test_a_reordered_day_is_refused_also_when_its_root_is_that_of_the_order() -> None:
    swapped = [SOURCES[1], SOURCES[0], *SOURCES[2:]]

    refused(seal_of(swapped), swapped, "not in the order of the day tree")


def test_a_source_that_is_there_twice_is_refused() -> None:
    twice = [SOURCES[0], *SOURCES]

    refused(seal_of(twice), twice, "one is there twice")


def test_a_source_left_out_is_refused() -> None:
    refused(SEAL, SOURCES[:-1], "the seal says")


def test_a_source_of_another_day_or_lake_is_refused() -> None:
    for stray in (replace(SOURCES[-1], day=date(2026, 11, 4)), replace(SOURCES[-1], lake="f" * 32)):
        moved = [*SOURCES[:-1], stray]
        refused(seal_of(moved), moved, "another lake or day")


@pytest.mark.parametrize("field", ["sources", "records", "size"])
def test_a_seal_that_counts_otherwise_is_refused(field: str) -> None:
    refused(replace(SEAL, **{field: getattr(SEAL, field) + 1}), SOURCES, "its source entries give")


def test_a_seal_of_another_root_is_refused() -> None:
    refused(replace(SEAL, root=hashlib.sha256(b"other").hexdigest()), SOURCES, "the seal says root")


def test_a_changed_source_is_refused() -> None:
    refused(SEAL, [*SOURCES[:-1], replace(SOURCES[-1], end=4097)], "the seal says root")


def test_a_source_outside_the_grammar_is_not_written() -> None:
    with pytest.raises(InputError, match="outside the grammar"):
        format_draft(SEAL, [*SOURCES[:-1], replace(SOURCES[-1], stream="Runs")])


def test_a_hasher_that_is_passed_in_makes_the_day_tree() -> None:
    made = []

    def count_pairs(pairs: bytes) -> bytes:
        made.append(len(pairs) // 64)
        return hash_pairs(pairs)

    parse_draft(format_draft(SEAL, SOURCES, count_pairs), count_pairs)

    assert sum(made) == 2 * (len(SOURCES) - 1)
