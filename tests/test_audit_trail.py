"""Rows that the pipeline writes about itself are records of the stream `_audit`, sealed and proved like the others."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.audit_rows import append_rows, audit_file
from audit_pipeline.lake.data_files import offer_rows
from audit_pipeline.lake.declared import AUDIT_TABLES, RECORDS, VERIFICATIONS, Table
from audit_pipeline.verifications import record_verification
from tests.lakes import TODAY, LakeForTests, rewrite

TOMORROW = TODAY + timedelta(days=1)


def verified(home: LakeForTests, day: date = TODAY) -> bool:
    """One row of `verifications`, as a run writes it."""
    found = home.verify()
    return record_verification(home.lake, found, day, first=day, last=day, now=lambda: home.now, entropy=home.entropy)


def take_in(home: LakeForTests, day: date = TODAY) -> int:
    taken = take_in_audit_rows(home.lake, day, now=lambda: home.now, entropy=home.entropy)
    return 0 if taken is None else taken.records


def sealed_day(home: LakeForTests) -> None:
    home.land("a.jsonl", b'{"a": 1}\n')
    home.run()


@pytest.fixture
def home(tmp_path: Path) -> LakeForTests:
    home = LakeForTests(tmp_path)
    sealed_day(home)
    verified(home)
    return home


def audit_records(home: LakeForTests) -> list[dict[str, object]]:
    streams = {str(row["source_id"]): row for row in home.rows("sources") if row["stream"] == "_audit"}
    return [json.loads(row["record"]) for row in home.rows("records") if row["source_id"] in streams]  # type: ignore[arg-type]


def test_a_row_of_an_audit_table_becomes_a_record_of_the_same_words(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()

    assert take_in(home) == 1

    (row,) = home.lake.open(VERIFICATIONS).read(VERIFICATIONS.schema.names).to_pylist()
    (record,) = audit_records(home)
    assert record["checkpoint"] == row["checkpoint"]
    assert record["levels"] == "self-consistent extends-own-mark"
    assert record["verified_at"] == home.now.isoformat()
    assert record.keys() == row.keys()


def test_sealed_audit_rows_verify_and_nothing_waits(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()
    take_in(home)
    home.seal()
    home.take_inventory()

    found = home.verify()

    assert found.problems == ()
    assert not any("not yet protected" in note for note in found.notes)
    assert found.records == 3


def test_rows_that_wait_make_no_seal_and_no_inventory_of_their_own(home: LakeForTests) -> None:
    before = home.files()

    assert take_in(home) == 0
    home.run()

    assert home.files() == before
    assert any("are sealed with the next logs" in note for note in home.verify().notes)


def test_rows_that_wait_go_under_the_next_day(home: LakeForTests) -> None:
    assert take_in(home, TOMORROW) == 1


def test_taking_in_twice_doubles_nothing(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()

    assert take_in(home) == 1
    assert take_in(home) == 0

    assert len(audit_records(home)) == 1


def test_a_batch_that_a_run_left_for_another_day_is_finished_and_not_taken_in_again(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()
    take_in(home)
    records = home.lake.open(RECORDS)
    commit = records.path / "_delta_log" / f"{records.version:020}.json"
    commit.unlink()  # the run died between the data file and its commit
    (home.places.lake / "restricted/sources/_delta_log" / f"{records.version:020}.json").unlink()
    (home.places.lake / f"restricted/sources/{records.version}.parquet").unlink()
    left = home.verify()
    assert left.problems == ()
    assert any("a run that ended early left them" in note for note in left.notes)

    assert take_in(home, TOMORROW) == 1

    assert len(audit_records(home)) == 1
    (source,) = [row for row in home.rows("sources") if row["stream"] == "_audit"]
    assert source["day"] == TODAY


def test_a_verification_that_finds_the_same_writes_no_row(home: LakeForTests) -> None:
    assert not verified(home)
    home.data_file().write_bytes(b"PAR1")

    assert verified(home)
    rows = home.lake.open(VERIFICATIONS).read(["problems", "levels"]).to_pylist()
    assert [row["problems"] > 0 for row in rows] == [False, True]


def test_a_failure_that_returns_is_a_row_again_though_it_is_the_same(home: LakeForTests) -> None:
    good = home.data_file().read_bytes()

    def look(first: date | None) -> bool:
        home.now += timedelta(minutes=1)
        found = home.verify()
        return record_verification(
            home.lake, found, TODAY, first=first, last=first, now=lambda: home.now, entropy=home.entropy
        )

    home.data_file().write_bytes(b"PAR1")
    assert (look(TODAY), look(TODAY)) == (True, False)
    home.data_file().write_bytes(good)
    assert look(None)
    home.data_file().write_bytes(b"PAR1")

    assert look(TODAY), "the whole lake held meanwhile, and whoever watches was told so"


@pytest.mark.parametrize("table", AUDIT_TABLES, ids=lambda table: table.name)
def test_what_a_run_left_that_died_before_its_commit_is_no_forgery(home: LakeForTests, table: Table) -> None:
    app = {"releases": "dp-release/" + "ab" * 32, "privacy_ledger": "dp-ledger", "quality_findings": f"quality/{TODAY}"}
    opened = home.lake.open(table)
    name = audit_file(app.get(table.name, table.name), opened.transaction(table.name) + 1)
    offer_rows(opened, name, table.schema.empty_table(), {})

    found = home.verify()

    assert found.problems == ()
    assert any(name in note for note in found.notes)


def test_a_file_under_a_number_that_comes_later_is_nothing_that_a_run_left(home: LakeForTests) -> None:
    opened = home.lake.open(VERIFICATIONS)
    offer_rows(opened, audit_file(VERIFICATIONS.name, 7), VERIFICATIONS.schema.empty_table(), {})

    (problem,) = home.verify().problems
    assert "nothing of ours put this file there" in problem.message


def test_a_changed_row_of_a_sealed_audit_table_is_found(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()
    take_in(home)
    home.seal()  # no inventory yet: only the rows can tell
    (path,) = (home.places.lake / "audit/verifications/verifications").iterdir()
    rewrite(path, lambda rows: rows.set_column(rows.schema.get_field_index("records"), rows.field("records"), [[7]]))

    messages = [problem.message for problem in home.verify().problems]

    assert any("not those that were sealed" in message for message in messages)


def test_a_sealed_audit_table_that_lost_its_commit_is_found(home: LakeForTests) -> None:
    home.land("b.jsonl", b'{"b": 1}\n')
    home.ingest()
    take_in(home)
    home.seal()
    (home.places.lake / "audit/verifications/_delta_log" / f"{1:020}.json").unlink()

    messages = [problem.message for problem in home.verify().problems]

    assert any("rows were taken away" in message for message in messages)


def test_an_append_that_comes_second_is_told_so_and_finishes_what_the_first_left(home: LakeForTests) -> None:
    table = home.lake.open(VERIFICATIONS)
    app, after = VERIFICATIONS.name, table.transaction(VERIFICATIONS.name)
    rows = table.read(VERIFICATIONS.schema.names)
    other = table.copy()
    assert append_rows(other, app, after, rows, home.now, b"1" * 32)
    (home.places.lake / "audit/verifications/_delta_log" / f"{2:020}.json").unlink()  # died before its commit
    table.reload()

    assert not append_rows(table, app, after, rows, home.now, b"2" * 32)

    assert table.version == 2
    assert table.transaction(app) == after + 1


def test_a_file_that_nobody_of_ours_left_is_refused(home: LakeForTests) -> None:
    table = home.lake.open(VERIFICATIONS)
    rows = table.read(VERIFICATIONS.schema.names)
    offer_rows(table, audit_file(VERIFICATIONS.name, 2), rows)

    with pytest.raises(ProofError, match="remove it and run again"):
        append_rows(table, VERIFICATIONS.name, 1, rows, home.now, b"1" * 32)
