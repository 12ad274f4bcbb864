"""Every change to a sealed day is found, and named: table, day, source, position."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from audit_pipeline.demo import flip_bit
from audit_pipeline.errors import UnreachableError
from audit_pipeline.lake.commits import format_commit, parse_commit
from audit_pipeline.records import canonical
from audit_pipeline.tlog import parse_vkey
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify import Problem
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import TODAY, LakeForTests, rewrite

DAY = TODAY - timedelta(days=1)


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    """Two sealed days: lines, a compressed source and a container on the first, lines on the second."""
    lake.land("a.jsonl", b"".join(b'{"step":%d}\n' % n for n in range(50)), DAY)
    lake.land("b.json", b'{"log_history":[{"step":1},{"step":2}]}', DAY)
    lake.land("bad.jsonl", b'{"a":1}\n{"a":\n', DAY)
    lake.run(DAY)
    lake.land("c.jsonl", b'{"c":1}\n')
    lake.run()
    return lake


def first_day_file(lake: LakeForTests) -> Path:
    return lake.places.lake / f"restricted/records/runs/{DAY}/1.parquet"


def set_value(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


def row_of(lake: LakeForTests, name: str, position: int) -> int:
    """Row number in the first day's data file of a record, named by its file and position."""
    source = canonical.source_id("runs", f"{DAY}/{name}")
    rows = pq.read_table(first_day_file(lake)).to_pylist()
    return next(n for n, row in enumerate(rows) if row["source_id"] == source and row["position"] == position)


def believing(lake: LakeForTests) -> Trust:
    return Trust((parse_vkey(lake.lake.vkey),))


def problems(lake: LakeForTests) -> tuple[Problem, ...]:
    found = lake.verify()
    assert found.problems, "the change passed as holding"
    assert found.levels == ()
    return found.problems


def test_an_untouched_lake_holds_and_says_how_far_that_goes(sealed: LakeForTests) -> None:
    found = sealed.verify()

    assert found.problems == ()
    assert found.levels == ("self-consistent", "extends-own-mark")
    assert (found.days, found.sources, found.records, found.log_size, found.unsealed_records) == (2, 4, 56, 2, 0)
    assert any("key beside the lake" in note for note in found.notes)


def test_a_trusted_key_adds_the_level_signed(sealed: LakeForTests) -> None:
    assert sealed.verify(trust=believing(sealed)).levels == ("self-consistent", "extends-own-mark", "signed")


def test_a_log_signed_by_another_key_does_not_hold(sealed: LakeForTests, tmp_path: Path) -> None:
    other = LakeForTests(tmp_path / "other")

    found = sealed.verify(trust=believing(other)).problems

    (problem,) = found
    assert problem.table == "log"
    assert "none of its keys is one that you trust" in problem.message


CHANGES = {
    "a record": (set_value("record", 0, b'{"step":999}'), "a record or a salt was changed"),
    "a salt": (set_value("salt", 0, b"\0" * 16), "a record or a salt was changed"),
    "a salt's length": (set_value("salt", 0, b"\0" * 15), "salt is not 16 bytes"),
    "a status": (set_value("status", 0, "quarantined"), "status or reason"),
    "a reason": (set_value("reason", 0, "because"), "status or reason"),
    "a row's day": (set_value("day", 0, TODAY), f"rows say day {TODAY}"),
    "a position": (set_value("position", 0, 77), "missing 0"),
    "a source": (set_value("source_id", 0, "0" * 64), "outside the snapshots"),
    "a generation": (set_value("generation", 0, 1), "outside the snapshots"),
    "a removed row": (lambda table: table.slice(1), "missing 0"),
    "an added row": (lambda table: pa.concat_tables([table.slice(0, 1), table]), "twice 0"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_row_is_found_and_named(
    sealed: LakeForTests, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    row = row_of(sealed, "a.jsonl", 0)

    def at_the_row(table: pa.Table) -> pa.Table:
        return pa.concat_tables([table.slice(0, row), change(table.slice(row))])

    rewrite(first_day_file(sealed), at_the_row)

    found = problems(sealed)
    assert any(message in problem.message for problem in found), found
    named = [problem for problem in found if problem.source != "-"]
    if "salt's" not in message and "16 bytes" not in message:
        assert any(problem.source == canonical.source_id("runs", f"{DAY}/a.jsonl") for problem in named)
        assert all(problem.table == "records" for problem in found)


def test_rows_moved_between_positions_are_found(sealed: LakeForTests) -> None:
    first, second = row_of(sealed, "a.jsonl", 3), row_of(sealed, "a.jsonl", 4)

    def swap(table: pa.Table) -> pa.Table:
        order = list(range(table.num_rows))
        order[first], order[second] = order[second], order[first]
        positions = table.column("position")
        swapped = table.take(order)
        return swapped.set_column(swapped.schema.get_field_index("position"), "position", positions)

    rewrite(first_day_file(sealed), swap)

    assert any("a record or a salt" in problem.message for problem in problems(sealed))


def test_reordered_rows_are_other_bytes_and_the_same_records(sealed: LakeForTests) -> None:
    """An engine may reorder rows: what they say stays the same, the file does not."""
    rewrite(first_day_file(sealed), lambda table: table.take(list(reversed(range(table.num_rows)))))

    found = problems(sealed)
    assert all(problem.source == "-" for problem in found), "no snapshot of it is at fault"


def test_a_flipped_byte_of_a_data_file_is_found(sealed: LakeForTests) -> None:
    flip_bit(first_day_file(sealed))

    assert any(problem.table == "records" for problem in problems(sealed))


def test_a_removed_data_file_is_found(sealed: LakeForTests) -> None:
    first_day_file(sealed).unlink()

    found = problems(sealed)

    assert ("records", str(DAY)) in {(problem.table, problem.day) for problem in found}
    assert any("missing" in problem.message for problem in found)


def test_rows_that_no_commit_of_ours_made_are_found(sealed: LakeForTests) -> None:
    table = DeltaTable(str(sealed.places.lake / "restricted/records"))
    row = (
        pa.table(table.scan(predicate="position = 0").read_all()).slice(0, 1).cast(pa.schema(table.schema().to_arrow()))
    )
    forged = row.set_column(
        row.schema.get_field_index("source_id"), "source_id", pa.array(["f" * 64], row.schema.field("source_id").type)
    )
    write_deltalake(table, forged, mode="append")

    assert any("not a commit of ours" in problem.message for problem in problems(sealed))


def test_a_restore_to_an_older_version_is_found(sealed: LakeForTests) -> None:
    DeltaTable(str(sealed.places.lake / "restricted/records")).restore(1)

    assert any("not a commit of ours" in problem.message for problem in problems(sealed))


def test_a_compaction_by_another_program_is_found(sealed: LakeForTests) -> None:
    """Its rows are the sealed ones, but nothing says so of its file."""
    DeltaTable(str(sealed.places.lake / "restricted/records")).optimize.compact()

    assert any("not a commit of ours" in problem.message for problem in problems(sealed))


def change_commit(lake: LakeForTests, version: int, change: Callable[[list[str]], list[str]]) -> None:
    """Edit the source entries in a commit of `records`."""
    path = lake.places.lake / "restricted/records/_delta_log" / f"{version:020}.json"
    commit = parse_commit(path.read_bytes(), path.name)
    path.write_bytes(format_commit(dataclasses.replace(commit, entries=tuple(change(list(commit.entries or ()))))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda texts: texts[1:], "no commit of `records` says the same"),
        (lambda texts: [texts[0], *texts], "committed twice"),
        (
            lambda texts: [texts[0].replace("generation 0", "generation 1"), *texts[1:]],
            "no commit of `records` says the same",
        ),
    ],
    ids=["removed", "repeated", "changed"],
)
def test_a_changed_commit_is_found(
    sealed: LakeForTests, change: Callable[[list[str]], list[str]], message: str
) -> None:
    change_commit(sealed, 1, change)

    assert any(message in problem.message for problem in problems(sealed))


def test_a_removed_commit_is_found(sealed: LakeForTests) -> None:
    (sealed.places.lake / "restricted/records/_delta_log" / f"{2:020}.json").unlink()

    assert problems(sealed)


def test_a_changed_row_of_sources_is_found(sealed: LakeForTests) -> None:
    path = sealed.places.lake / "restricted/sources/1.parquet"
    rewrite(path, set_value("path", 0, "somewhere/else.jsonl"))

    assert {problem.table for problem in problems(sealed)} == {"sources"}


@pytest.mark.parametrize("column", ["root", "records", "entry"])
def test_a_changed_row_of_the_log_is_found(sealed: LakeForTests, column: str) -> None:
    path = sealed.places.lake / "audit/seals/0.parquet"
    row = pq.read_table(path).to_pylist()[0]
    value = {"root": "0" * 64, "records": 1, "entry": row["entry"].replace("sources 3", "sources 2")}[column]
    assert value != row[column]
    rewrite(path, set_value(column, 0, value))

    assert any(problem.table == "seals" for problem in problems(sealed))


def test_a_changed_tile_is_found(sealed: LakeForTests) -> None:
    path = sealed.places.log / "tile/0/000.p/2"
    path.write_bytes(bytes(64))

    assert all("tile/0/000.p/2" in problem.message for problem in problems(sealed))


@pytest.mark.parametrize("name", ["log/checkpoint", "log/tile/0/000.p/2"])
def test_a_missing_file_of_the_log_is_found(sealed: LakeForTests, name: str) -> None:
    (sealed.root / name).unlink()

    assert name in problems(sealed)[0].message


def test_an_older_checkpoint_put_back_is_found(lake: LakeForTests) -> None:
    lake.seal(DAY)
    older = (lake.places.log / "checkpoint").read_bytes()
    lake.seal()
    (lake.places.log / "checkpoint").write_bytes(older)

    assert any("mark 2 says 2 was signed" in problem.message for problem in problems(lake))


def test_a_log_cut_with_its_checkpoint_is_found_by_the_mark(lake: LakeForTests) -> None:
    lake.seal(DAY)
    older = (lake.places.log / "checkpoint").read_bytes()
    lake.seal()
    (lake.places.log / "checkpoint").write_bytes(older)
    (lake.places.lake / "audit/seals/_delta_log" / f"{2:020}.json").unlink()

    assert any("the log was cut or restored" in problem.message for problem in problems(lake))


def test_a_changed_draft_is_found(sealed: LakeForTests) -> None:
    path = sealed.places.evidence / f"_seals/{DAY}/1"
    path.write_bytes(path.read_bytes().replace(b"growth new", b"growth appended", 1))

    assert any(problem.table == "seals" for problem in problems(sealed))


def test_a_changed_byte_of_a_kept_source_is_found(sealed: LakeForTests) -> None:
    (path,) = sealed.places.evidence.rglob("*.zst")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)

    found = {(problem.table, problem.day, problem.source) for problem in problems(sealed)}
    assert ("evidence", str(DAY), canonical.source_id("runs", f"{DAY}/b.json")) in found


def test_a_removed_kept_source_is_found(sealed: LakeForTests) -> None:
    (path,) = sealed.places.evidence.rglob("*.zst")
    path.unlink()

    assert problems(sealed)[0].table == "evidence"


def rewrite_footer_and_projection(lake: LakeForTests, column: str, value: object) -> None:
    """Change what is said of the JSON source of the first day, in its data file's footer and in `sources` alike."""
    data, sources = first_day_file(lake), lake.places.lake / "restricted/sources/1.parquet"
    footer = json.loads(pq.read_metadata(data).metadata[b"audit.batch"])
    number = next(n for n, snapshot in enumerate(footer["snapshots"]) if snapshot["object"])
    footer["snapshots"][number][column] = value
    rows = pq.read_table(data)
    pq.write_table(rows.replace_schema_metadata({b"audit.batch": json.dumps(footer).encode()}), data)
    rewrite(sources, set_value(column, number, value))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("object", None, "names no kept source"), ("path", "2026-03-04/other.json", "its id is of another path")],
)
def test_a_source_that_is_said_to_be_another_is_found(
    sealed: LakeForTests, column: str, value: object, message: str
) -> None:
    """Consistently, in the footer and in the table: only the sealed entry tells."""
    rewrite_footer_and_projection(sealed, column, value)

    assert any(message in problem.message for problem in problems(sealed))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"partitionColumns":[]', '"partitionColumns":["status"]'),
        ('"delta.appendOnly":"true"', '"delta.appendOnly":"false"'),
        ('\\"name\\":\\"record\\"', '\\"name\\":\\"other\\"'),
    ],
    ids=["partitions", "append-only", "schema"],
)
def test_changed_settings_of_a_table_are_found(sealed: LakeForTests, old: str, new: str) -> None:
    """They make engines show other rows than the files have."""
    path = sealed.places.lake / "restricted/records/_delta_log" / f"{0:020}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    # Partition values that the log does not have are refused by delta-rs before we look.
    assert any("settings or protocol" in p.message or "cannot be read" in p.message for p in problems(sealed))


def test_rows_that_came_in_since_the_last_seal_are_reported_as_unprotected(sealed: LakeForTests) -> None:
    sealed.land("new.jsonl", b"{}\n{}\n")
    sealed.ingest()

    found = sealed.verify()

    assert found.problems == ()
    assert found.unsealed_records == 2
    assert any("not yet protected" in note for note in found.notes)


def test_a_range_of_days_checks_these_days_only(sealed: LakeForTests) -> None:
    rewrite(first_day_file(sealed), set_value("record", 0, b"{}"))

    assert sealed.verify(first=TODAY, last=TODAY).problems == ()
    assert sealed.verify(first=DAY, last=DAY).problems


def test_a_row_that_says_another_day_than_its_file_is_found(sealed: LakeForTests) -> None:
    rewrite(first_day_file(sealed), set_value("day", 0, TODAY))

    assert sealed.verify().problems
    assert sealed.verify(first=DAY, last=DAY).problems


@pytest.mark.parametrize("at", [4, 1024, -400, -5])
def test_a_damaged_data_file_is_a_problem_and_never_a_crash(sealed: LakeForTests, at: int) -> None:
    path = first_day_file(sealed)
    content = bytearray(path.read_bytes())
    content[at : at + 4 or None] = b"\xff\xff\xff\xff"
    path.write_bytes(content)

    assert any(problem.table in ("records", "sources") for problem in problems(sealed))


def test_a_lake_that_was_never_run_does_not_hold(lake: LakeForTests) -> None:
    assert lake.verify().problems


def test_a_lake_moved_elsewhere_still_holds(sealed: LakeForTests, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(sealed.root, moved, ignore=shutil.ignore_patterns("moved"))

    assert LakeForTests(moved).verify().problems == ()


def test_marks_with_a_gap_are_found(sealed: LakeForTests) -> None:
    (sealed.places.marks / "1").unlink()

    assert any("not 1, 2, 3" in problem.message for problem in problems(sealed))


def test_a_day_holds_a_date(sealed: LakeForTests) -> None:
    assert {row["day"] for row in sealed.rows("records")} == {DAY, TODAY}
    assert isinstance(sealed.rows("records")[0]["day"], date)


@pytest.mark.parametrize("found_before", [True, False])
def test_what_was_found_before_a_store_stopped_answering_stands(
    sealed: LakeForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found_before: bool
) -> None:
    problem = Problem("records", "-", "-", "-", "a row was changed")
    said = [{"problem": dataclasses.asdict(problem)}] if found_before else []
    child = tmp_path / "child"
    lines = "\n".join(map(json.dumps, [*said, {"unreachable": "the store gives no good answer"}]))
    child.write_text(f"#!/bin/sh\ncat > /dev/null\ncat <<'SAID'\n{lines}\nSAID\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))

    if not found_before:
        with pytest.raises(UnreachableError, match="no good answer"):
            verify_apart(sealed.lake)
        return
    found = verify_apart(sealed.lake)
    assert found.problems == (problem,)
    assert any("no good answer" in note for note in found.notes)
