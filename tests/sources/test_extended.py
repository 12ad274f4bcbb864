"""Containers that were rewritten with all they had, and more: only what is new becomes records."""

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.lake import evidence
from audit_pipeline.lake.projection import complete_sources, newest_states
from tests.lakes import TODAY, LakeForTests
from tests.restated import check_whole
from tests.sources.growing import (
    COMPRESSIONS,
    CONTAINERS,
    Compress,
    as_array,
    as_csv,
    as_parquet,
    entries,
    growths,
    kept,
    log,
    placed,
    step,
    take_fresh,
    trainer_state,
    values,
)
from tests.test_attacks import CrashError, crash_at_publish_of
from tests.tfrecords import as_events


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


EVENTS = "events.out.tfevents.1.vm.1.0"
CUT = {
    "in a record": (EVENTS, as_events(3)[:-9], as_events(5)),
    "in a length": (EVENTS, as_events(3) + as_events(4)[len(as_events(3)) :][:5], as_events(5)),
    "in a record, compressed": (f"{EVENTS}.gz", gzip.compress(as_events(3)[:-9]), gzip.compress(as_events(5))),
    "in a quote": ("a.csv", b'a,b\n1,2\n3,"4', b'a,b\n1,2\n3,"4"\n5,6\n'),
    "in an array": ("a.json", b'[{"a":1},\n{"b"', b'[{"a":1},\n{"b":2},{}]'),
    "in a record, and now the array ends": ("a.json", b'[{"a":1},\n{"b"', b'[{"a":1}]'),
}


@pytest.mark.parametrize(("name", "before", "after"), CUT.values(), ids=CUT.keys())
def test_a_rest_that_can_be_read_now_is_taken_again(lake: LakeForTests, name: str, before: bytes, after: bytes) -> None:
    lake.land(name, before)
    step(lake)
    first = lake.records()
    assert lake.rows("records")[-1]["status"] == "quarantined"

    lake.land(name, after)
    step(lake)

    assert growths(lake) == ["new", "extended"]
    assert entries(lake)[1].supersedes == (0, len(first) - 1)
    fresh = [record for record, *_ in take_fresh(lake, name, after)]
    assert lake.records()[: len(first)] == first
    assert [record for record, *_ in first[:-1] + lake.records()[len(first) :]] == fresh


def test_a_log_that_is_cut_at_every_look_has_each_event_once(lake: LakeForTests) -> None:
    """As a trainer's writer leaves it while it runs; the events have no attempt but their first."""
    whole = as_events(6)
    for end in (len(whole) // 2, len(whole) // 2 + 7, len(whole) - 5, len(whole)):
        lake.land(EVENTS, whole[:end])
        step(lake)

    check_whole(lake, {f"{TODAY}/{EVENTS}": [whole[:end] for end in range(len(whole) + 1)]})
    fresh = [record for record, *_ in take_fresh(lake, EVENTS, whole)]
    assert [record for record, *_ in lake.records() if record != b'{"$evidence":"rest"}'] == fresh
    assert {row["attempt"] for row in lake.rows("training_metrics")} == {0}


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
    monkeypatch.setattr("audit_pipeline.sources.taking.SNAPSHOT_BYTES", 100)
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
