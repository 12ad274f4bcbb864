"""What an insider who can write lake, evidence and landing zone has tried: each is found, or does no harm."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest

from audit_pipeline import tlog
from audit_pipeline.errors import AuditError, ProofError
from audit_pipeline.lake import evidence
from audit_pipeline.lake.objects import NewObject
from audit_pipeline.records import canonical
from audit_pipeline.sources.landing import Stream
from tests.lakes import TODAY, LakeForTests, rewrite

DAY = TODAY - timedelta(days=1)


class CrashError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    """One sealed day of 400 lines, some of them odd, and a kept source."""
    lines = b"".join(b'{"step":%d}\n' % n for n in range(400))
    lake.land("a.jsonl", lines + b"not json\nnor this\n", DAY)
    lake.land("b.json", b'{"log_history":[{"step":1}]}', DAY)
    lake.run(DAY)
    return lake


def data_file(lake: LakeForTests, number: int = 1, day: date = DAY) -> Path:
    return lake.places.lake / f"restricted/records/runs/{day}/{number}.parquet"


def messages(lake: LakeForTests) -> str:
    return "\n".join(problem.message for problem in lake.verify().problems)


def forge_commit(lake: LakeForTests, *actions: object) -> None:
    log = lake.places.lake / "restricted/records/_delta_log"
    version = len(list(log.glob("*.json")))
    (log / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)) + "\n")


def add_action(lake: LakeForTests, path: str) -> dict[str, object]:
    size = (lake.places.lake / "restricted/records" / path).stat().st_size
    add = {"path": path, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": True}
    return {"add": add}


# Forged rows and files


def test_a_copy_of_a_sealed_file_is_found(sealed: LakeForTests) -> None:
    copied = data_file(sealed).with_name("2.parquet")
    shutil.copy(data_file(sealed), copied)
    forge_commit(sealed, add_action(sealed, f"runs/{DAY}/2.parquet"))

    assert "not a commit of ours" in messages(sealed)


@pytest.mark.parametrize("path", ["runs/../runs/{day}/1.parquet", "runs/{day}/%31.parquet"])
def test_a_data_file_under_a_winding_path_is_found(sealed: LakeForTests, path: str) -> None:
    name = path.format(day=DAY)
    (sealed.places.lake / "restricted/records" / name).write_bytes(data_file(sealed).read_bytes())
    forge_commit(sealed, add_action(sealed, name))

    assert "not a commit of ours" in messages(sealed)


def set_column(
    name: str, values: Callable[[list[object]], list[object]], of: pa.DataType | None = None
) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        column = pa.array(values(table.column(name).to_pylist()), of or table.schema.field(at).type)
        return table.set_column(at, name, column)

    return change


FORGED_ROWS = {
    "statuses without a value": set_column("status", lambda values: [None if v == "ok" else v for v in values]),
    "a reason that reads as two lines": set_column(
        "reason", lambda values: [v if v == "" else "invalid_json\n401 quarantined invalid_json" for v in values]
    ),
    "a reason that stands for none": set_column("reason", lambda values: [v or "-" for v in values]),
    "a generation that is no whole number": set_column(
        "generation", lambda values: [0.9 for _ in values], pa.float64()
    ),
    "a snapshot that is a time": set_column("snapshot", lambda values: values, pa.timestamp("us")),
    "a source without a name": set_column("source_id", lambda values: [None, *values[1:]]),
    "a day that is missing": set_column("day", lambda values: [None, TODAY, *values[2:]]),
}


@pytest.mark.parametrize("change", FORGED_ROWS.values(), ids=FORGED_ROWS.keys())
def test_rows_that_other_engines_would_read_differently_are_found(
    sealed: LakeForTests, change: Callable[[pa.Table], pa.Table]
) -> None:
    rewrite(data_file(sealed), change)

    assert messages(sealed)


def test_kept_sources_are_checked_even_if_the_projection_was_rolled_back(sealed: LakeForTests) -> None:
    (sealed.places.lake / "restricted/sources/_delta_log" / f"{1:020}.json").unlink()
    (kept,) = (sealed.places.evidence / "runs").rglob("*.zst")
    kept.write_bytes(b"junk")

    found = {problem.table for problem in sealed.verify().problems}

    assert found == {"sources", "evidence"}


HOSTILE_COMMITS = {
    "not a list": {"commitInfo": {"audit.entries": "5"}},
    "no text": {"commitInfo": {"audit.entries": "[5]"}},
    "deep": {"commitInfo": {"audit.entries": "[" * 100_000}},
    "no info": {"commitInfo": None},
    "no add": {"commitInfo": {"audit.entries": "[]"}, "add": None},
}


@pytest.mark.parametrize("action", HOSTILE_COMMITS.values(), ids=HOSTILE_COMMITS.keys())
def test_a_hostile_commit_is_a_problem_and_never_a_crash(sealed: LakeForTests, action: object) -> None:
    forge_commit(sealed, action)

    assert messages(sealed)


def test_an_entry_of_absurd_size_is_a_problem_and_never_a_crash(sealed: LakeForTests) -> None:
    path = sealed.places.lake / "restricted/records/_delta_log" / f"{1:020}.json"
    path.write_text(path.read_text().replace("records 402", f"records {10**17}"))

    assert f"expected {10**17} rows" in messages(sealed)


@pytest.mark.parametrize(
    "name",
    [
        "log/checkpoint",
        "log/tile/0/000.p/1",
        f"evidence/_seals/{DAY}/1",
        f"lake/restricted/records/runs/{DAY}/1.parquet",
    ],
)
def test_a_pipe_in_place_of_a_file_is_a_problem_and_never_a_hang(sealed: LakeForTests, name: str) -> None:
    (sealed.root / name).unlink()
    os.mkfifo(sealed.root / name)

    assert "not a regular file" in messages(sealed)


# What is planted before a run


def plant_draft(lake: LakeForTests, day: date, segment: int, **changed: object) -> None:
    fields = {
        "kind": "seal", "lake": lake.lake.lake_id, "day": day, "segment": segment, "previous": None, "sources": 0,
        "records": 0, "size": 0, "root": tlog.EMPTY_ROOT.hex(), "adapters": (), "pseudonym_key": None,
        "policy": "cd" * 32, "time": datetime(2026, 3, 5, 11, tzinfo=UTC), "nonce": "0" * 64,
    }  # fmt: skip
    seal = tlog.SealEntry(**{**fields, **changed})  # type: ignore[arg-type]
    lake.lake.evidence.put_new(f"_seals/{day}/{segment}", tlog.format_draft(seal, []))


def test_a_draft_of_a_time_to_come_is_not_appended(sealed: LakeForTests) -> None:
    """It would stop every later seal: the clock would be behind."""
    plant_draft(sealed, TODAY, 1, time=datetime(2099, 1, 1, tzinfo=UTC))

    with pytest.raises(ProofError, match="still to come"):
        sealed.seal()
    assert sealed.verify().log_size == 1


def test_a_draft_that_does_not_follow_on_is_not_appended(sealed: LakeForTests) -> None:
    plant_draft(sealed, DAY, 2, previous="0" * 64)

    with pytest.raises(ProofError, match="not the draft of this segment"):
        sealed.seal(DAY)
    assert sealed.verify().problems == ()


def test_a_draft_of_another_day_is_not_appended(sealed: LakeForTests) -> None:
    drafts = sealed.places.evidence / "_seals"
    shutil.copytree(drafts / str(DAY), drafts / str(TODAY))

    with pytest.raises(ProofError, match="not the draft of this segment"):
        sealed.seal()
    assert sealed.verify().log_size == 1


def test_a_copied_batch_is_not_adopted(sealed: LakeForTests) -> None:
    shutil.copy(data_file(sealed), data_file(sealed, 2))

    with pytest.raises(ProofError, match="another batch under this name"):
        sealed.ingest(DAY)
    assert sealed.verify().problems == ()


def test_a_planted_batch_whose_rows_are_not_its_own_is_not_adopted(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b'{"a":1}\n')
    lake.ingest()
    for table in ("records", "sources"):
        (lake.places.lake / "restricted" / table / "_delta_log" / f"{1:020}.json").unlink()
    rewrite(lake.data_file(), set_column("record", lambda values: [b"forged" for _ in values]))

    with pytest.raises(ProofError, match="do not give the sealed root"):
        lake.ingest()


def test_a_planted_evidence_object_does_not_take_the_place_of_the_source(lake: LakeForTests) -> None:
    source = canonical.source_id("runs", f"{TODAY}/x.json")
    name = evidence.object_name("runs", source, 0, 0)
    evidence.put_object(lake.lake.evidence, name, BytesIO(b'[{"forged":1}]'), os.urandom)
    lake.land("x.json", b'[{"true":1}]')

    lake.run()

    assert [record for record, _, _ in lake.records()] == [b'{"true":1}']
    assert lake.verify().problems == ()


# Sources that change at a bad moment


def crash_at_publish_of(suffix: str, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """From here on the process ends when it is about to give the (after+1)th object of this suffix its name."""
    publish, left = NewObject.publish, [after]

    def crash(self: NewObject) -> bool:
        if str(self._path).endswith(suffix):
            if not left[0]:
                raise CrashError
            left[0] -= 1
        return publish(self)

    monkeypatch.setattr(NewObject, "publish", crash)


def test_a_source_that_changed_after_a_crash_is_taken_as_it_is_now(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land("x.json", b'[{"a":1},{"a":2}]')
    with monkeypatch.context() as patched:
        crash_at_publish_of(".parquet", patched)
        with pytest.raises(CrashError):
            lake.ingest()
    lake.land("x.json", b'[{"b":1},{"b":2},{"b":3}]')

    lake.run()

    assert [record for record, _, _ in lake.records()] == [b'{"b":1}', b'{"b":2}', b'{"b":3}']
    assert lake.verify().problems == ()


def test_a_compressed_source_that_is_filled_in_at_the_same_size_is_taken_again(lake: LakeForTests) -> None:
    first, second = gzip.compress(b'{"a":1}\n' * 50), gzip.compress(b'{"late":1}\n' * 50)
    path = lake.land("g.jsonl.gz", first + b"\0" * len(second))
    lake.ingest()

    path.write_bytes(first + second)
    lake.run()

    assert [record for record, _, _ in lake.records()].count(b'{"late":1}') == 50
    assert lake.verify().problems == ()


def test_a_crash_after_a_line_too_long_for_a_row_loses_nothing(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [b'{"n":%d}' % n for n in range(1000)]
    lake.land("long.jsonl.gz", gzip.compress(b'{"long":"' + b"x" * (65 << 20) + b'"}\n' + b"\n".join(lines) + b"\n", 1))
    monkeypatch.setattr("audit_pipeline.ingest.SNAPSHOT_BYTES", 1)  # each snapshot is a batch of its own
    with monkeypatch.context() as patched:
        crash_at_publish_of(f"{TODAY}/2.parquet", patched)
        with pytest.raises(CrashError):
            lake.ingest()

    lake.run()

    assert [record for record, _, _ in lake.records()][1:] == lines
    assert lake.verify().problems == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"n":0}\n' * 20_000, b'{"n":9}\n' + b'{"n":0}\n' * 20_000),
        (b'{"n":0}\n' * 20_000, b'{"n":9}\n' + b'{"n":0}\n' * 19_999 + b'{"n":1}\n'),
        (b'{"n":0}\nabc', b'{"n":0}\nXYZW\n'),
    ],
    ids=["a line put in front", "the head edited and a line appended", "an unfinished line replaced"],
)
def test_a_source_that_grew_and_lost_bytes_is_a_new_generation(lake: LakeForTests, before: bytes, after: bytes) -> None:
    path = lake.land("a.jsonl", before)
    lake.ingest()

    path.write_bytes(after)
    lake.run()

    rows = [bytes(row["record"]) for row in lake.rows("records") if row["generation"] == 1]  # type: ignore[arg-type]
    assert b"".join(row + b"\n" for row in rows) == after
    assert lake.verify().problems == ()


def test_a_stream_whose_path_now_gives_another_day_doubles_nothing(tmp_path: Path) -> None:
    lake = LakeForTests(tmp_path, streams=[Stream("runs", "runs/**")])
    lake.land("a.jsonl", b'{"a":1}\n', DAY)
    lake.run()
    lake.streams = [Stream("runs", "runs/{date}/**")]

    lake.run(DAY)

    assert len(lake.rows("records")) == 1
    assert lake.verify().problems == ()


def test_a_time_in_the_far_future_stops_nothing(lake: LakeForTests) -> None:
    path = lake.land("m.jsonl", b'{"a":1}\n')
    os.utime(path, (10**10, 10**10))

    lake.run()
    lake.run()

    assert len(lake.rows("records")) == 1
    assert lake.lost() == []


def test_a_folder_with_a_second_name_is_taken_in_under_its_own(lake: LakeForTests) -> None:
    lake.land("run1/x.jsonl", b'{"a":1}\n')
    latest = lake.places.landing / "runs" / str(TODAY) / "latest"
    latest.symlink_to("run1")
    lake.ingest()
    lake.land("run2/x.jsonl", b'{"a":2}\n')
    latest.unlink()
    latest.symlink_to("run2")

    lake.run()

    assert {row["path"] for row in lake.rows("sources")} == {f"{TODAY}/run1/x.jsonl", f"{TODAY}/run2/x.jsonl"}


def test_a_link_to_itself_stops_nothing(lake: LakeForTests) -> None:
    path = lake.land("a.jsonl", b'{"a":1}\n')
    (path.parent / "loop").symlink_to("loop")

    lake.run()

    assert len(lake.rows("records")) == 1


def test_every_refusal_is_one_line(sealed: LakeForTests) -> None:
    shutil.copy(data_file(sealed), data_file(sealed, 2))

    with pytest.raises(AuditError) as refused:
        sealed.ingest(DAY)

    assert "\n" not in str(refused.value)
    assert "remove it" in str(refused.value)
