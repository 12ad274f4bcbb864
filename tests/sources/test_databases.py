"""Databases that are landed, and landed again when they have more rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests import restated
from tests.lakes import LakeForTests
from tests.sources.growing import growths, values

RUN = "0123456789abcdef0123456789abcdef"
CREATED = (
    "CREATE TABLE metrics (key, value FLOAT, timestamp BIGINT, run_uuid, step BIGINT, is_nan BOOLEAN)",
    "CREATE TABLE params (key, value, run_uuid)",
    "CREATE TABLE runs (run_uuid, user_id, status, start_time, end_time, lifecycle_stage)",
    "CREATE TABLE tags (key, value, run_uuid)",
    f"INSERT INTO metrics VALUES ('loss', 0.5, 1795454928319, '{RUN}', 1, 0)",
    f"INSERT INTO params VALUES ('lr', '0.1', '{RUN}')",
)


def changed(path: Path, *statements: str) -> bytes:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    return path.read_bytes()


def test_a_database_of_mlflow_becomes_events(lake: LakeForTests, tmp_path: Path) -> None:
    lake.land("mlflow.db", changed(tmp_path / "mlflow.db", *CREATED))

    lake.run()

    assert lake.verify().problems == ()
    assert [row["value"] for row in lake.rows("training_metrics")] == [0.5]
    assert {row["run_id"] for row in lake.rows("runs")} == {RUN}


def test_rows_after_all_others_extend_it_and_rows_between_are_a_new_generation(
    lake: LakeForTests, tmp_path: Path
) -> None:
    own = tmp_path / "own.db"
    first = changed(own, "CREATE TABLE a (x)", "CREATE TABLE b (y)", "INSERT INTO a VALUES ('é'), (0.5)")
    last_table = changed(own, "INSERT INTO b VALUES (NULL)")
    first_table = changed(own, "INSERT INTO a VALUES (2)")

    for content in (first, last_table, first_table):
        lake.land("own.db", content)
        lake.run()
        assert lake.verify().problems == ()

    assert growths(lake) == ["new", "extended", "rewritten"]
    assert values(lake, 0) == restated._items("sqlite", last_table)
    assert values(lake, 1) == restated._items("sqlite", first_table)
