"""Commits of our own tables: each transaction once, and rows read back as they were declared."""

import json
import multiprocessing
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.data_files import put_rows
from audit_pipeline.lake.declared import Table
from audit_pipeline.lake.places import Places
from audit_pipeline.lake.tables import open_table

SCHEMA = pa.schema(
    [pa.field("day", pa.date32(), False), pa.field("n", pa.int64(), False), pa.field("text", pa.string())]
)
LAKE = "ab" * 16
THINGS = Table("things", "restricted", SCHEMA, ("day", "n"))


def places(lake: Path) -> Places:
    """Of which only the lake is looked at."""
    return Places(*[lake] * 8)


def rows(*numbers: int, day: date = date(2026, 3, 5)) -> pa.Table:
    return pa.table({"day": [day] * len(numbers), "n": numbers, "text": [None] * len(numbers)}, schema=SCHEMA)


def test_a_transaction_lands_once_whichever_handle_brings_it(tmp_path: Path) -> None:
    first, second = open_table(THINGS, places(tmp_path), LAKE), open_table(THINGS, places(tmp_path), LAKE)
    file = put_rows(first, "1.parquet", rows(1, 2))

    assert first.commit(Commit(0, "app", 1, (file,)), 0)
    assert not second.commit(Commit(0, "app", 1, (file,)), 0)
    assert not first.commit(Commit(0, "app", 1, (file,)), 0)

    assert open_table(THINGS, places(tmp_path), LAKE).read(["n"]).column("n").to_pylist() == [1, 2]


def test_other_transactions_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    first, second = open_table(THINGS, places(tmp_path), LAKE), open_table(THINGS, places(tmp_path), LAKE)

    assert first.commit(Commit(0, "a", 1, (put_rows(first, "a.parquet", rows(1)),)), 0)
    assert second.commit(Commit(0, "b", 1, (put_rows(second, "b.parquet", rows(2)),)), 0)

    assert sorted(open_table(THINGS, places(tmp_path), LAKE).read(["n"]).column("n").to_pylist()) == [1, 2]


def test_rows_of_one_day_come_from_files_that_may_have_it(tmp_path: Path) -> None:
    table = open_table(THINGS, places(tmp_path), LAKE)
    files = [put_rows(table, f"{n}.parquet", rows(n, day=date(2026, 3, n))) for n in (1, 2, 3)]
    table.commit(Commit(0, "app", 1, tuple(files)), 0)
    (tmp_path / "restricted/things/3.parquet").unlink()

    assert table.read(["n"], date(2026, 3, 2)).column("n").to_pylist() == [2]
    with pytest.raises(StorageError, match=r"3\.parquet"):
        table.read(["n"])


def test_a_table_of_another_schema_version_is_refused(tmp_path: Path) -> None:
    DeltaTable.create(str(tmp_path / "restricted/things"), SCHEMA, description="something else")

    with pytest.raises(StorageError, match="something else"):
        open_table(THINGS, places(tmp_path), LAKE)


def _open_in_a_process(root: str, start: object) -> None:
    for number in range(15):
        start.wait()  # type: ignore[attr-defined]
        open_table(Table(f"things{number}", "restricted", SCHEMA, ("day", "n")), places(Path(root)), LAKE)


def test_workers_that_open_a_new_table_at_once_make_one(tmp_path: Path) -> None:
    processes = multiprocessing.get_context("spawn")
    start = processes.Barrier(3)
    workers = [processes.Process(target=_open_in_a_process, args=(str(tmp_path), start)) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert {DeltaTable(str(path)).version() for path in (tmp_path / "restricted").iterdir()} == {0}


def test_the_log_is_kept_forever_and_rows_cannot_be_deleted(tmp_path: Path) -> None:
    open_table(THINGS, places(tmp_path), LAKE)

    configuration = DeltaTable(str(tmp_path / "restricted/things")).metadata().configuration

    assert configuration["delta.appendOnly"] == "true"
    assert configuration["delta.enableExpiredLogCleanup"] == "false"
    assert configuration["delta.logRetentionDuration"] == "interval 36500 days"


def test_checkpoints_of_the_table_leave_every_commit_in_place(tmp_path: Path) -> None:
    table = open_table(THINGS, places(tmp_path), LAKE)
    for n in range(1, 111):
        assert table.commit(Commit(n, "app", n, (put_rows(table, f"{n}.parquet", rows(n)),)), n - 1)

    assert (tmp_path / "restricted/things/_delta_log/_last_checkpoint").exists()
    assert [commit.time_ms for _, commit in table.commits(1, 110)] == list(range(1, 111))
    assert open_table(THINGS, places(tmp_path), LAKE).transaction("app") == 110


def test_statistics_are_kept_of_the_indexed_columns_alone(tmp_path: Path) -> None:
    table = open_table(THINGS, places(tmp_path), LAKE)
    secret = rows(1).set_column(2, SCHEMA.field("text"), pa.array(["secret"]))

    table.commit(Commit(0, "app", 1, (put_rows(table, "1.parquet", secret),)), 0)

    log = (tmp_path / "restricted/things/_delta_log" / f"{1:020}.json").read_text()
    add = next(json.loads(line)["add"] for line in log.splitlines() if '"add"' in line)
    assert json.loads(add["stats"])["minValues"] == {"day": "2026-03-05", "n": 1}
    assert "secret" not in log
