"""Compressed lines grow whatever their compressed bytes are; lines that are too long."""

import gzip

import pytest

from audit_pipeline.lake import evidence
from tests.lakes import LakeForTests
from tests.sources.growing import COMPRESSIONS, Compress, entries, growths, kept, lines, step, take_fresh, values

LINE_COMPRESSIONS = {name: COMPRESSIONS[name] for name in ("gzip", "zstd")}


@pytest.mark.parametrize("compress", LINE_COMPRESSIONS.values(), ids=LINE_COMPRESSIONS.keys())
@pytest.mark.parametrize("is_rewritten", [False, True], ids=["a member more", "compressed anew"])
def test_compressed_lines_are_appended_to_whatever_their_compressed_bytes_are(
    lake: LakeForTests, compress: Compress, is_rewritten: bool
) -> None:
    first = compress(lines(1, 2))
    second = compress(lines(1, 2, 3)) if is_rewritten else first + compress(lines(3))
    lake.land("a.jsonl.x", first)
    step(lake)

    lake.land("a.jsonl.x", second)
    step(lake)

    assert values(lake) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    after = entries(lake)[1]
    assert (after.growth, after.start, after.end, after.position) == ("appended", 16, 24, 2)
    assert kept(lake) == [first, second]


def test_lines_compressed_anew_and_nothing_else_are_kept_and_give_no_record(lake: LakeForTests) -> None:
    first, second = gzip.compress(lines(1, 2), 1), gzip.compress(lines(1, 2), 9, mtime=1)
    lake.land("a.jsonl.gz", first)
    step(lake)

    lake.land("a.jsonl.gz", second)
    step(lake)

    assert [(entry.growth, entry.records) for entry in entries(lake)] == [("new", 2), ("appended", 0)]
    assert kept(lake) == [first, second]


def test_an_unfinished_line_of_a_compressed_source_is_taken_again(lake: LakeForTests) -> None:
    for content in (b'{"n":1}\n{"n":2', b'{"n":1}\n{"n":22}\n{"n"', b'{"n":1}\n{"n":22}\n{"n":3}\n'):
        lake.land("a.jsonl.gz", gzip.compress(content))
        step(lake)

    assert [entry.supersedes for entry in entries(lake)] == [None, (0, 1), (1, 2)]
    assert values(lake) == [b'{"n":1}', b'{"n":2', b'{"n":22}', b'{"n"', b'{"n":3}']


CHANGED_LINES = {
    "an earlier line changed": (gzip.compress(lines(1, 2)), gzip.compress(lines(1, 9, 3))),
    "the first line gone": (gzip.compress(lines(1, 2)), gzip.compress(lines(2, 3))),
    "truncated": (gzip.compress(lines(1, 2)), gzip.compress(lines(1))),
    "other compression": (gzip.compress(lines(1, 2)), COMPRESSIONS["zstd"](lines(1, 2, 3))),
    "no longer compressed": (gzip.compress(lines(1, 2)), lines(1, 2, 3)),
    "compressed now": (lines(1, 2), gzip.compress(lines(1, 2, 3))),
    "cut before": (gzip.compress(lines(*range(999)))[:-9], gzip.compress(lines(*range(999)))),
    "cut within what was there": (gzip.compress(lines(*range(999))), gzip.compress(lines(*range(999)))[:1000]),
}


@pytest.mark.parametrize(("before", "after"), CHANGED_LINES.values(), ids=CHANGED_LINES.keys())
def test_compressed_lines_that_lost_or_changed_a_byte_are_a_new_generation(
    lake: LakeForTests, before: bytes, after: bytes
) -> None:
    lake.land("a.jsonl", before)
    step(lake)

    lake.land("a.jsonl", after)
    step(lake)

    assert entries(lake)[-1].generation == 1
    assert growths(lake).count("rewritten") == 1
    assert values(lake, 1) == [record for record, *_ in take_fresh(lake, "a.jsonl", after)]


def test_long_compressed_lines_are_compared_over_all_their_snapshots(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_pipeline.sources.slices.SNAPSHOT_BYTES", 100)
    for numbers in (range(100), range(150)):
        lake.land("a.jsonl.gz", gzip.compress(lines(*numbers) + b'{"n":'))
        step(lake)
    assert set(growths(lake)) == {"new", "appended"}

    lake.land("a.jsonl.gz", gzip.compress(lines(*range(50), 7, *range(51, 200))))
    step(lake)

    assert entries(lake)[-1].generation == 1
    assert values(lake, 1) == lines(*range(50), 7, *range(51, 200)).split(b"\n")[:-1]


@pytest.mark.parametrize("magic", [0x50, 0x5F])
def test_zstd_behind_a_skippable_frame_is_zstd(lake: LakeForTests, magic: int) -> None:
    lake.land("a.log", bytes([magic]) + b"\x2a\x4d\x18\x05\0\0\0hello" + COMPRESSIONS["zstd"](lines(1, 2)))
    step(lake)

    assert values(lake) == [b'{"n":1}', b'{"n":2}']
    assert entries(lake)[0].compression == "zstd"


@pytest.mark.parametrize(("excess", "status"), [(0, "partial_tail"), (1, "quarantined"), (2, "quarantined")])
@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def test_a_long_line_without_its_newline_has_one_status_compressed_or_not(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch, compress: Compress, excess: int, status: str
) -> None:
    monkeypatch.setattr("audit_pipeline.sources.slices.SNAPSHOT_BYTES", 1000)
    lake.land("a.log", compress(b"x" * (1000 + excess)))
    step(lake)

    assert [found for _, found, _ in lake.records()] == [status]


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def test_a_line_too_long_for_a_row_is_taken_again_when_it_has_grown(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch, compress: Compress
) -> None:
    """Else its end would pass for a line."""
    monkeypatch.setattr("audit_pipeline.sources.slices.SNAPSHOT_BYTES", 1000)
    lake.land("a.log", compress(b"one\n" + b"x" * 2000))
    step(lake)

    lake.land("a.log", compress(b"one\n" + b"x" * 3000 + b"\ntwo\n"))
    step(lake)

    assert entries(lake)[-2].supersedes == (1, 1)
    long_lines = [row["line_object"] for row in lake.rows("sources") if row["line_object"]]
    with evidence.open_object(lake.lake.evidence, str(long_lines[-1])) as line:
        assert line.read() == b"x" * 3000 + b"\n"
    assert values(lake)[-1] == b"two"
