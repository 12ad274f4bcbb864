"""Sources that grow, change or vanish between two runs: bytes seen are kept, records are there once, and all holds."""

import csv
import gzip
import io
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_pipeline import tlog
from audit_pipeline.errors import InputError
from audit_pipeline.lake import evidence
from audit_pipeline.lake.landing import list_landing
from audit_pipeline.lake.projection import complete_sources, newest_states
from audit_pipeline.lake.snapshots import Taken
from audit_pipeline.lake.taking import take
from tests.lakes import RUNS, TODAY, LakeForTests
from tests.test_attacks import CrashError, crash_at_publish_of

Compress = Callable[[bytes], bytes]
COMPRESSIONS: dict[str, Compress] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def as_array(count: int) -> bytes:
    return json.dumps([{"n": n} for n in range(count)], indent=1).encode()


def as_object(count: int) -> bytes:
    return json.dumps({"kind": "state", "log": [{"n": n} for n in range(count)]}).encode()


def as_csv(count: int) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("n", "text"), *((n, f"x{n}") for n in range(count))])
    return text.getvalue().encode()


def as_parquet(count: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": range(count)}), file)
    return file.getvalue()


CONTAINERS = {"array.json": as_array, "object.json": as_object, "rows.csv": as_csv, "rows.parquet": as_parquet}


def step(lake: LakeForTests) -> None:
    """A day's run, after which everything holds and nothing is missing."""
    lake.run()
    assert lake.verify().problems == ()
    assert lake.lost() == []


def entries(lake: LakeForTests) -> list[tlog.SourceEntry]:
    return [tlog.parse_source(str(row["entry"]).encode()) for row in lake.rows("sources")]


def growths(lake: LakeForTests) -> list[str]:
    return [entry.growth for entry in entries(lake)]


def values(lake: LakeForTests, generation: int = 0) -> list[bytes]:
    return [bytes(row["record"]) for row in lake.rows("records") if row["generation"] == generation]  # type: ignore[arg-type]


def placed(lake: LakeForTests) -> list[tuple[object, ...]]:
    return [(row["position"], row["record"], row["status"], row["reason"]) for row in lake.rows("records")]


def kept(lake: LakeForTests) -> list[bytes | None]:
    """The source's bytes under `evidence/` that each snapshot names."""
    found: list[bytes | None] = []
    for row in lake.rows("sources"):
        if row["object"] is None:
            found.append(None)
        else:
            with evidence.open_object(lake.lake.evidence, str(row["object"])) as file:
                found.append(file.read())
    return found


def trainer_state(**changes: Any) -> bytes:
    """A `trainer_state.json` as the Trainer saves it."""
    state = {"best_metric": None, "global_step": 0, "is_world_process_zero": True, "log_history": [], "max_steps": 9}
    return json.dumps(state | changes, indent=2, sort_keys=True).encode()


def log(*steps: int) -> list[dict[str, Any]]:
    return [{"epoch": n / 10, "loss": 1 / n, "step": n} for n in steps]


# Containers that were extended


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
@pytest.mark.parametrize("name", CONTAINERS)
def test_an_extended_container_gives_its_new_items_at_the_next_positions(
    lake: LakeForTests, tmp_path: Path, name: str, compress: Compress
) -> None:
    first, second = (compress(CONTAINERS[name](count)) for count in (3, 5))
    path = lake.land(name, first)
    step(lake)

    path.write_bytes(second)
    step(lake)

    fresh = LakeForTests(tmp_path / "fresh")
    fresh.land(name, second)
    fresh.ingest()
    assert placed(lake) == placed(fresh)
    assert kept(lake) == [first, second]
    before, after = entries(lake)
    assert (after.growth, after.generation, after.snapshot, after.records) == ("extended", 0, 1, 2)
    assert (after.start, after.end) == (0, entries(fresh)[0].end)
    assert after.position == before.records
    assert after.supersedes is None


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_grows_often_has_each_item_once(lake: LakeForTests, name: str) -> None:
    for count in (0, 0, 1, 4, 4, 9):
        lake.land(name, CONTAINERS[name](count))
        step(lake)

    fresh = [record for record, *_ in take_fresh(lake, name, CONTAINERS[name](9))]
    assert values(lake) == fresh
    assert growths(lake) == ["new", *["extended"] * 3]


def take_fresh(lake: LakeForTests, name: str, content: bytes) -> list[tuple[bytes, str, str]]:
    """The records of `content` in a lake of its own."""
    with tempfile.TemporaryDirectory(dir=lake.root) as root:
        fresh = LakeForTests(Path(root))
        fresh.land(name, content)
        fresh.ingest()
        return fresh.records()


def test_a_changed_header_is_a_record_that_names_the_one_before_it(lake: LakeForTests) -> None:
    """The newest header, which may itself have taken the place of an older one."""
    for steps in ([1], [1, 2], [1, 2], [1, 2, 3, 4]):
        lake.land("trainer_state.json", trainer_state(global_step=len(lake.rows("sources")), log_history=log(*steps)))
        step(lake)

    heads = [json.loads(value) for value in values(lake)]
    assert [head.get("global_step", head.get("step")) for head in heads] == [0, 1, 1, 2, 2, 3, 3, 4]
    assert [(entry.growth, entry.position, entry.supersedes) for entry in entries(lake)] == [
        ("new", 0, None),
        ("extended", 2, (0, 0)),
        ("extended", 4, (1, 2)),
        ("extended", 5, (2, 4)),
    ]


def test_each_metric_of_an_extended_trainer_state_is_there_once(lake: LakeForTests) -> None:
    """The run's row comes again with each changed header: what it says was true at the time."""
    lake.land("run7/trainer_state.json", trainer_state(global_step=2, log_history=log(1, 2)))
    step(lake)
    lake.land("run7/trainer_state.json", trainer_state(global_step=4, log_history=log(1, 2, 3, 4)))
    step(lake)
    lake.land("run7/trainer_state.json", trainer_state(global_step=4, log_history=log(1, 2, 3, 4, 5)))
    step(lake)

    metrics = [(row["step"], row["metric"], row["value"]) for row in lake.rows("training_metrics")]
    assert metrics == [(n, "loss", 1 / n) for n in (1, 2, 3, 4, 5)]
    runs = [json.loads(str(row["config_json"]))["global_step"] for row in lake.rows("runs")]
    assert runs == [2, 4]


A, B, C = {"a": 1}, {"b": 2}, {"c": 3}
OBJECTS: dict[str, tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = {
    "the first grew": ({"x": [A], "y": [B]}, {"x": [A, C], "y": [B]}, [C]),
    "the last grew": ({"x": [A], "y": [B]}, {"x": [A], "y": [B, C]}, [C]),
    "an element like the one before": ({"x": [A]}, {"x": [A, A]}, [A]),
    "an empty one grew": ({"x": [], "y": [B]}, {"x": [A], "y": [B]}, [A]),
    "one more array": ({"y": [B]}, {"x": [A], "y": [B]}, [{"x": [], "y": []}, A]),
    "arrays in other order": ({"x": [A], "y": [B]}, {"y": [B], "x": [A]}, []),
    "only the header": ({"n": 1, "x": [A]}, {"n": 2, "x": [A]}, [{"n": 2, "x": []}]),
    "a list of numbers grew": ({"n": [1], "x": [A]}, {"n": [1, 2], "x": [A, C]}, [{"n": [1, 2], "x": []}, C]),
}


@pytest.mark.parametrize(("before", "after", "new"), OBJECTS.values(), ids=OBJECTS.keys())
def test_of_an_object_one_array_may_have_grown(
    lake: LakeForTests, before: dict[str, Any], after: dict[str, Any], new: list[dict[str, Any]]
) -> None:
    lake.land("a.json", json.dumps(before).encode())
    step(lake)
    taken = len(lake.rows("records"))

    lake.land("a.json", json.dumps(after, indent=1).encode())
    step(lake)

    assert growths(lake) == ["new", "extended"]
    assert [json.loads(record) for record in values(lake)[taken:]] == new


REWRITTEN = {
    "two arrays grew": ("a.json", b'{"x":[{"a":1}],"y":[{}]}', b'{"x":[{"a":1},{}],"y":[{},{}]}'),
    "two arrays appeared": ("a.json", b'{"n":1}', b'{"x":[{"a":1}],"y":[{}]}'),
    "an array shrank": ("a.json", b'{"x":[{"a":1},{"a":2}]}', b'{"x":[{"a":1}]}'),
    "an array emptied": ("a.json", b'{"x":[{"a":1}],"y":[]}', b'{"x":[],"y":[{"a":1}]}'),
    "an array gone": ("a.json", b'{"x":[{"a":1}]}', b'{"y":1}'),
    "a number among the objects": ("a.json", b'{"x":[{"a":1}]}', b'{"x":[{"a":1},2]}'),
    "an element put in front": ("a.json", b'{"x":[{"a":1}]}', b'{"x":[{},{"a":1}]}'),
    "a last element changed": ("a.json", b'{"x":[{"a":1},{"a":2}]}', b'{"x":[{"a":1},{"a":3},{}]}'),
    "an integer became a float": ("a.json", b'{"x":[{"a":1}]}', b'{"x":[{"a":1.0},{}]}'),
    "a key twice": ("a.json", b'{"x":[{"a":1}]}', b'{"x":[{"a":1}],"n":1,"n":2}'),
    "a key twice, now spelt out": (
        "a.json",
        b'{"x":[{"a":1,"a":2}]}',
        b'{"x":[{"$pairs":[["a",1],["a",2]]},{}]}',
    ),
    "now an array": ("a.json", b'{"x":[{"a":1}]}', b'[{"x":[]},{"a":1},{}]'),
    "an empty array, now an object": ("a.json", b"[\n]", b'{"x":[{"a":1}],\n"y":1}'),
    "an array's element changed": ("a.json", b"[1,2,\n3]", b"[1,9,\n3,4]"),
    "an array shorter": ("a.json", b"[1,2,\n3]", b"[1,\n2]"),
    "a column renamed": ("a.csv", b"a,b\n1,2\n", b"a,c\n1,2\n3,4\n"),
    "rows in other order": ("a.csv", b"a,b\n1,2\n3,4\n", b"a,b\n3,4\n1,2\n5,6\n"),
    "an unfinished row finished": ("a.csv", b"a,b\n1,2\n3,4", b"a,b\n1,2\n3,45\n"),
    "unreadable until now": ("a.json", b'{"x":[{"a":1},', b'{"x":[{"a":1}]}'),
    "an open quote closed": ("a.csv", b'a,b\n1,2\n3,"4', b'a,b\n1,2\n3,"4"\n5,6\n'),
    "another Parquet": ("a.parquet", as_parquet(3), as_parquet(2)),
    "a whole file": ("a.safe", b"\x00\x01", b"\x00\x01\x02"),
    "weights": ("a.safetensors", b"ab", b"abc"),
}


@pytest.mark.parametrize(("name", "before", "after"), REWRITTEN.values(), ids=REWRITTEN.keys())
def test_a_container_that_lost_or_changed_an_item_is_a_new_generation(
    lake: LakeForTests, name: str, before: bytes, after: bytes
) -> None:
    lake.land(name, before)
    step(lake)
    first = lake.records()

    lake.land(name, after)
    step(lake)

    assert growths(lake) == ["new", "rewritten"]
    assert lake.records()[: len(first)] == first
    if name != "a.safetensors":
        assert kept(lake) == [before, after]
        fresh = [record for record, *_ in take_fresh(lake, name, after)]
        assert [value.replace(b"/1-0.zst", b"/0-0.zst") for value in values(lake, 1)] == fresh


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("a.json", b'{"x": [{"a": 1}]}', b'{"x":[{"a":1}]}\n'),
        ("a.csv", b"a,b\n1,2\n", b'"a","b"\r\n1,2\r\n'),
        ("a.json", b'[{"a":1},\n{"b"', b'[{"a":1},\n{"b":'),
    ],
    ids=["white space", "quotes", "as unreadable as before"],
)
def test_other_bytes_of_the_same_items_are_kept_and_give_no_record(
    lake: LakeForTests, name: str, before: bytes, after: bytes
) -> None:
    lake.land(name, before)
    step(lake)
    records = lake.records()

    lake.land(name, after)
    step(lake)

    assert lake.records() == records
    assert kept(lake) == [before, after]
    assert [(entry.growth, entry.records) for entry in entries(lake)][1:] == [("extended", 0)]


def test_what_a_table_without_rows_is_may_only_show_with_its_first_row(lake: LakeForTests) -> None:
    lake.land("a.csv", b"prompt,chosen,rejected\n")
    step(lake)

    lake.land("a.csv", b"prompt,chosen,rejected\nq,good,bad\n")
    step(lake)

    assert growths(lake) == ["new", "extended"]
    assert [row["format"] for row in lake.rows("sources")] == ["generic_csv", "preference_pairs"]


def test_a_kept_object_that_was_replaced_is_not_what_a_source_is_compared_with(lake: LakeForTests) -> None:
    """Else an insider could make changed items count as taken."""
    lake.land("a.json", as_array(2))
    step(lake)
    (path,) = lake.places.evidence.glob("runs/*/0-0.zst")
    original = path.read_bytes()
    path.unlink()
    with tempfile.TemporaryFile() as forged:
        forged.write(as_array(2).replace(b"1", b"7"))
        forged.seek(0)
        evidence.put_object(lake.lake.evidence, f"runs/{path.parent.name}/0-0.zst", forged, os.urandom)

    lake.land("a.json", as_array(3).replace(b"1", b"7"))
    lake.run()

    assert growths(lake) == ["new", "rewritten"]
    path.write_bytes(original)
    assert lake.verify().problems == ()


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_whose_kept_object_is_gone_is_taken_again(lake: LakeForTests, name: str) -> None:
    lake.land(name, CONTAINERS[name](2))
    step(lake)
    (path,) = lake.places.evidence.glob("runs/*/0-0.zst")
    path.unlink()

    lake.land(name, CONTAINERS[name](3))
    lake.run()

    assert growths(lake) == ["new", "rewritten"]
    assert len(lake.verify().problems) > 0


# Containers taken in several snapshots


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots of a few items, each a batch of its own."""
    monkeypatch.setattr("audit_pipeline.lake.taking.SNAPSHOT_BYTES", 100)
    monkeypatch.setattr("audit_pipeline.ingest.SNAPSHOT_BYTES", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", CONTAINERS)
def test_an_extended_container_may_take_several_snapshots(lake: LakeForTests, name: str) -> None:
    for count in (30, 70, 71):
        lake.land(name, CONTAINERS[name](count))
        step(lake)

    assert values(lake) == [record for record, *_ in take_fresh(lake, name, CONTAINERS[name](71))]
    found = growths(lake)
    assert found.count("extended") == 2
    assert found.count("appended") > 4
    assert {entry.start for entry in entries(lake)} == {0}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("count_after", [70, 90], ids=["unchanged", "grown"])
@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("when", ["at first", "as it grew"])
def test_a_container_goes_on_after_a_crash_between_two_snapshots(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch, name: str, count_after: int, when: str
) -> None:
    """A JSON object that had grown is taken again: nothing tells which of its items are left."""
    if when == "as it grew":
        lake.land(name, CONTAINERS[name](20))
        step(lake)
    batches = len(list((lake.places.lake / "restricted/records/runs").rglob("*.parquet")))
    path = lake.land(name, CONTAINERS[name](70))
    os.utime(path, (5, 5))
    with monkeypatch.context() as patched:
        crash_at_publish_of(f"{TODAY}/{batches + 3}.parquet", patched)
        with pytest.raises(CrashError):
            lake.ingest()
    (state,) = newest_states(complete_sources(lake.lake), "runs").values()
    assert not state.is_complete

    path = lake.land(name, CONTAINERS[name](count_after))
    os.utime(path, (5, 5))
    step(lake)

    is_taken_again = name == "object.json" and (when == "as it grew" or count_after == 90)
    assert ("rewritten" in growths(lake)) == is_taken_again
    expected = [record for record, *_ in take_fresh(lake, name, CONTAINERS[name](count_after))]
    assert values(lake, generation=int(is_taken_again)) == expected


@pytest.mark.usefixtures("small")
def test_only_what_was_taken_of_a_container_must_be_there_still(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land("a.csv", as_csv(70))
    with monkeypatch.context() as patched:
        crash_at_publish_of(f"{TODAY}/3.parquet", patched)
        with pytest.raises(CrashError):
            lake.ingest()

    changed = as_csv(90).replace(b"69,", b"68,")
    lake.land("a.csv", changed)
    step(lake)

    assert growths(lake)[:3] == ["new", "appended", "extended"]
    assert values(lake) == [record for record, *_ in take_fresh(lake, "a.csv", changed)]


# Compressed lines


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in numbers)


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
    monkeypatch.setattr("audit_pipeline.lake.slices.SNAPSHOT_BYTES", 100)
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
    monkeypatch.setattr("audit_pipeline.lake.slices.SNAPSHOT_BYTES", 1000)
    lake.land("a.log", compress(b"x" * (1000 + excess)))
    step(lake)

    assert [found for _, found, _ in lake.records()] == [status]


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def test_a_line_too_long_for_a_row_is_taken_again_when_it_has_grown(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch, compress: Compress
) -> None:
    """Else its end would pass for a line."""
    monkeypatch.setattr("audit_pipeline.lake.slices.SNAPSHOT_BYTES", 1000)
    lake.land("a.log", compress(b"one\n" + b"x" * 2000))
    step(lake)

    lake.land("a.log", compress(b"one\n" + b"x" * 3000 + b"\ntwo\n"))
    step(lake)

    assert entries(lake)[-2].supersedes == (1, 1)
    long_lines = [row["line_object"] for row in lake.rows("sources") if row["line_object"]]
    with evidence.open_object(lake.lake.evidence, str(long_lines[-1])) as line:
        assert line.read() == b"x" * 3000 + b"\n"
    assert values(lake)[-1] == b"two"


# Files that change, vanish or are no files


def test_a_truncated_source_is_a_new_generation_and_its_earlier_bytes_stay(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1, 2))
    step(lake)

    lake.land("a.jsonl", lines(1))
    step(lake)

    assert (values(lake, 0), values(lake, 1)) == ([b'{"n":1}', b'{"n":2}'], [b'{"n":1}'])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", *CONTAINERS])
def test_a_renamed_source_is_a_new_one_and_a_deleted_one_stays_as_it_was(lake: LakeForTests, name: str) -> None:
    content = CONTAINERS[name](2) if name in CONTAINERS else gzip.compress(lines(1)) if "gz" in name else lines(1)
    path = lake.land(name, content)
    step(lake)
    records = lake.records()

    path = path.rename(path.with_name("b" + name))
    step(lake)
    path.unlink()
    step(lake)

    assert sorted(lake.records()) == sorted(records + records)
    assert growths(lake) == ["new", "new"]


def test_a_source_that_was_deleted_and_is_back_grown_is_appended_to(lake: LakeForTests) -> None:
    path = lake.land("a.jsonl", lines(1))
    step(lake)
    path.unlink()
    step(lake)

    lake.land("a.jsonl", lines(1, 2))
    step(lake)

    assert values(lake) == [b'{"n":1}', b'{"n":2}']


def during_first_draw(lake: LakeForTests, change: Callable[[], object]) -> None:
    """Have `change` happen once, when the next run draws its first salt: after the landing zone was listed."""
    entropy, waiting = lake.entropy, [change]

    def draw(count: int) -> bytes:
        if waiting:
            waiting.pop()()
        return entropy(count)

    lake.entropy = draw


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has 107 bytes at most
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [as_pipe, as_socket, as_folder, as_device])
def test_a_file_swapped_for_something_else_is_named_and_the_others_are_taken(
    lake: LakeForTests, put: Callable[[Path], None]
) -> None:
    lake.land("a.jsonl", lines(1))
    path = lake.land("b.jsonl", lines(2))
    lake.land("c.jsonl", lines(3))
    during_first_draw(lake, lambda: (path.unlink(), put(path)))

    with pytest.raises(InputError, match=r"b\.jsonl: expected the file that was listed, got .*; put the file back"):
        lake.ingest()

    step(lake)
    assert sorted(values(lake)) == [b'{"n":1}', b'{"n":3}']


def test_a_file_replaced_since_it_was_listed_is_taken_as_it_is_now(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1))
    lake.land("b.json", as_array(2))
    during_first_draw(lake, lambda: lake.land("b.json", as_array(5)))

    step(lake)
    step(lake)

    assert sorted(values(lake)) == sorted([b'{"n":1}', *(b'{"n":%d}' % n for n in range(5))])
    assert len(entries(lake)) == 2


def test_a_file_that_vanished_since_it_was_listed_stops_nothing(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1))
    path = lake.land("b.jsonl", lines(2))
    lake.land("c.jsonl", lines(3))
    during_first_draw(lake, path.unlink)

    step(lake)

    assert sorted(values(lake)) == [b'{"n":1}', b'{"n":3}']


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "grown"])
def test_a_container_that_grows_while_it_is_kept_is_as_large_as_what_was_kept(lake: LakeForTests, is_new: bool) -> None:
    """Else it would count as changed for ever."""
    if not is_new:
        lake.land("a.json", as_array(2))
        step(lake)
    lake.land("a.json", as_array(4))
    during_first_draw(lake, lambda: lake.land("a.json", as_array(6)))

    lake.run()
    step(lake)
    step(lake)

    assert values(lake) == [b'{"n":%d}' % n for n in range(6)]
    assert "rewritten" not in growths(lake)


def test_what_was_compared_is_what_is_kept(lake: LakeForTests) -> None:
    """A rewrite between the two would pass for growth."""
    lake.land("a.json", as_array(2))
    step(lake)
    lake.land("a.json", as_array(4))
    during_first_draw(lake, lambda: lake.land("a.json", b"[7,\n8,9,10,11]"))

    lake.run()
    step(lake)

    assert growths(lake) == ["new", "extended", "rewritten"]
    assert values(lake, 0) == [b'{"n":%d}' % n for n in range(4)]
    assert values(lake, 1) == [b"7", b"8", b"9", b"10", b"11"]


KINDS: dict[str, tuple[bytes, bytes]] = {
    "a.jsonl": (lines(1, 2), lines(1, 3)),
    "a.jsonl.gz": (gzip.compress(lines(1, 2), 0, mtime=0), gzip.compress(lines(1, 3), 0, mtime=0)),
    "a.json": (b"[1,\n2]", b"[1,\n3]"),
    "a.sqlite": (b"SQLite format 3\0a", b"SQLite format 3\0b"),
    "a.safetensors": (b"abc", b"abd"),
}


def would_take(lake: LakeForTests, *, rehash: bool) -> list[Taken]:
    (landed,) = list_landing(lake.places.landing, RUNS, TODAY)
    (state,) = newest_states(complete_sources(lake.lake), "runs").values()
    places = lake.places.landing, lake.lake.evidence
    return list(take(*places, RUNS, landed, TODAY, state, lake.entropy, rehash=rehash))


@pytest.mark.parametrize(("name", "before", "after"), [(name, *contents) for name, contents in KINDS.items()])
def test_a_rewrite_of_the_same_size_and_time_is_found_when_all_bytes_are_compared(
    lake: LakeForTests, name: str, before: bytes, after: bytes
) -> None:
    path = lake.land(name, before)
    os.utime(path, (5, 5))
    step(lake)
    assert would_take(lake, rehash=True) == []

    assert len(before) == len(after)
    path.write_bytes(after)
    os.utime(path, (5, 5))

    assert would_take(lake, rehash=False) == []
    (taken,) = would_take(lake, rehash=True)
    assert (taken.snapshot.growth, taken.snapshot.generation) == ("rewritten", 1)


def test_a_comparison_of_all_bytes_also_finds_what_was_added_unseen(lake: LakeForTests) -> None:
    path = lake.land("a.json", b"[1,\n2]   ")
    os.utime(path, (5, 5))
    step(lake)

    path.write_bytes(b"[1,\n2,3] ")
    os.utime(path, (5, 5))

    (taken,) = would_take(lake, rehash=True)
    assert (taken.snapshot.growth, taken.count) == ("extended", 1)


_opened: list[str] = []
_is_listening = [False]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_listening[0] and event == "open":
        _opened.append(str(arguments[0]))


def test_an_unchanged_file_is_not_opened(lake: LakeForTests) -> None:
    for name, content in (("a.jsonl", lines(1)), ("b.json", as_array(1)), ("c.jsonl.gz", gzip.compress(lines(1)))):
        lake.land(name, content)
    step(lake)
    sys.addaudithook(_listen)  # stays for the life of the process, so it listens only here
    lake.land("d.jsonl", lines(2))

    _is_listening[0] = True
    lake.ingest()
    _is_listening[0] = False

    landing = str(lake.places.landing)
    assert {Path(path).name for path in _opened if path.startswith(landing)} == {"d.jsonl"}


# Any history


CHANGES = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4), st.sampled_from(["", '{"n"'])),
    st.tuples(st.just("rewrite"), st.integers(0, 3), st.just("")),
    st.tuples(st.just("truncate"), st.integers(0, 40), st.just("")),
    st.tuples(st.just("ingest"), st.just(0), st.just("")),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHANGES, min_size=2, max_size=8))
def test_whatever_happens_to_sources_all_bytes_of_each_run_are_found_again(
    changes: list[tuple[str, int, str]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        lake = LakeForTests(Path(root))
        history = History()
        for change in [*changes, ("ingest", 0, "")]:
            history.apply(*change)
            for name, content in history.files().items():
                path = lake.land(name, content)
                os.utime(path, ns=(history.moment, history.moment))
            if change[0] == "ingest":
                step(lake)
                history.remember()

        for name, seen in history.seen.items():
            assert seen <= recoverable(lake, f"{TODAY}/{name}")


class History:
    """A log that is written to, rewritten and cut: as lines, as compressed lines, and inside a JSON document."""

    def __init__(self) -> None:
        self.text = ""
        self.next = 0
        self.moment = 10**9
        self.seen: dict[str, set[bytes]] = {}

    def apply(self, what: str, amount: int, tail: str) -> None:
        self.moment += 1
        if what == "append":
            self.text += self._new(amount) + tail
        elif what == "rewrite":
            self.text = self._new(amount)
        elif what == "truncate":
            self.text = self.text[: -amount or None]

    def _new(self, amount: int) -> str:
        self.next += amount
        return "".join(f'{{"n":{n}}}\n' for n in range(self.next - amount, self.next))

    def files(self) -> dict[str, bytes]:
        log = [{"line": line} for line in self.text.split("\n")[:-1]]
        return {
            "a.jsonl": self.text.encode(),
            "b.jsonl.gz": gzip.compress(self.text.encode(), mtime=0),
            "c.json": json.dumps({"global_step": len(self.text), "log_history": log}, indent=1).encode(),
        }

    def remember(self) -> None:
        for name, content in self.files().items():
            self.seen.setdefault(name, set()).add(content)


def recoverable(lake: LakeForTests, name: str) -> set[bytes]:
    """Every content that records or evidence objects give back for a landed file, one for each snapshot of it."""
    rows = [
        (row, content) for row, content in zip(lake.rows("sources"), kept(lake), strict=True) if row["path"] == name
    ]
    found = set()
    for row, content in rows:
        if content is None:
            keys = ("source_id", "generation", "snapshot")
            source, generation, snapshot = (row[key] for key in keys)
            # A line that was taken again has the same position in a later snapshot, which counts.
            line_at = {
                record["position"]: record
                for record in lake.rows("records")
                if (record["source_id"], record["generation"]) == (source, generation)
                and record["snapshot"] <= snapshot  # type: ignore[operator]
            }
            ordered = [line_at[position] for position in sorted(line_at)]  # type: ignore[type-var]
            content = b"".join(bytes(record["record"]) + b"\n" for record in ordered)  # type: ignore[arg-type]
            if ordered and ordered[-1]["status"] == "partial_tail":
                content = content[:-1]
        found.add(content)
    return found
