"""Items of SQLite databases."""

import io
import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from audit_pipeline.containers import sqlite_items
from audit_pipeline.containers.items import iter_items
from tests.formats.support import REST, items

UNREADABLE = (REST, "quarantined", "unreadable")
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "


@pytest.fixture
def made(tmp_path: Path) -> "Made":
    return Made(tmp_path)


class Made:
    """Databases from statements."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, *statements: str) -> bytes:
        self._count += 1
        path = self._folder / f"{self._count}.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)
        return path.read_bytes()


def records(content: bytes) -> list[object]:
    found = items("sqlite", content)
    assert {status for _, status, _ in found} <= {"ok"}
    return [json.loads(record) for record, _, _ in found]


def test_each_row_is_an_item_with_its_table_by_name_and_rowid(made: Made) -> None:
    content = made(
        "CREATE TABLE b (id INTEGER PRIMARY KEY, x)",
        "CREATE TABLE a (x)",
        "INSERT INTO b VALUES (7, 'late'), (-2, 'early')",
        "INSERT INTO a VALUES (1)",
        "CREATE INDEX by_x ON b (x)",
    )

    assert items("sqlite", content) == [
        (b'{"row":{"x":1},"table":"a"}', "ok", ""),
        (b'{"row":{"id":-2,"x":"early"},"table":"b"}', "ok", ""),
        (b'{"row":{"id":7,"x":"late"},"table":"b"}', "ok", ""),
    ]


def test_values_are_kept_exactly(made: Made) -> None:
    content = made(
        "CREATE TABLE a (x)",
        "INSERT INTO a VALUES (NULL), (9223372036854775807), (0.1), (9e999), ('é'), (x'ff00')",
        "INSERT INTO a VALUES ('nul' || char(0) || 'x')",
    )

    assert [record["row"]["x"] for record in records(content)] == [  # type: ignore[index]
        None,
        2**63 - 1,
        0.1,
        {"$nonfinite": "Infinity"},
        "é",
        {"$base64": "/wA="},
        "nul\0x",
    ]


def test_text_that_is_not_utf8_quarantines_its_row_alone(made: Made) -> None:
    content = made("CREATE TABLE a (x)", "INSERT INTO a VALUES (CAST(x'ff41' AS TEXT)), (x'ff41')")

    assert items("sqlite", content) == [
        (b'{"row":{"x":{"$base64":"/0E="}},"table":"a"}', "quarantined", "invalid_utf8"),
        (b'{"row":{"x":{"$base64":"/0E="}},"table":"a"}', "ok", ""),
    ]


def test_text_in_utf16_is_the_same_text(made: Made) -> None:
    content = made("PRAGMA encoding = 'UTF-16be'", "CREATE TABLE a (x)", "INSERT INTO a VALUES ('aé\U0001f600')")

    assert records(content) == [{"table": "a", "row": {"x": "aé\U0001f600"}}]


def test_what_is_not_stored_is_no_item(made: Made) -> None:
    content = made(
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, g AS (id * 2), s AS (id + 1) STORED)",
        "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "INSERT INTO a (id) VALUES (1)",
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'f', 'f', 0, 'CREATE VIRTUAL TABLE f USING another_module (x)')",
    )

    assert records(content) == [{"table": "a", "row": {"id": 1, "s": 2}}]


def test_names_may_be_any_text(made: Made) -> None:
    content = made(
        'CREATE TABLE "we""ird; DROP" ("co""l" INTEGER, rowid TEXT, oid, _rowid_, "select")',
        'INSERT INTO "we""ird; DROP" VALUES (2, "b", 1, 1, 1), (1, "a", 2, 2, 2)',
    )

    assert records(content) == [
        {"table": 'we"ird; DROP', "row": {'co"l': 2, "rowid": "b", "oid": 1, "_rowid_": 1, "select": 1}},
        {"table": 'we"ird; DROP', "row": {'co"l': 1, "rowid": "a", "oid": 2, "_rowid_": 2, "select": 2}},
    ]


def test_a_table_without_rowid_is_in_the_order_of_its_key(made: Made) -> None:
    content = made("CREATE TABLE a (k TEXT PRIMARY KEY) WITHOUT ROWID", "INSERT INTO a VALUES ('b'), ('a')")

    assert records(content) == [{"table": "a", "row": {"k": "a"}}, {"table": "a", "row": {"k": "b"}}]


def test_an_index_that_has_all_columns_does_not_change_the_order(made: Made) -> None:
    content = made(
        "CREATE TABLE a (x INTEGER, g TEXT AS (x || 'text'), h TEXT AS (x || 'text'))",
        "CREATE INDEX by_x ON a (x)",
        "INSERT INTO a (x) VALUES (2), (1)",
    )

    assert records(content) == [{"table": "a", "row": {"x": 2}}, {"table": "a", "row": {"x": 1}}]


def test_a_write_ahead_log_is_not_looked_for(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = made("PRAGMA journal_mode = WAL", "CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")

    assert content[18:20] == b"\x02\x02"
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    rows = iter_items("sqlite", io.BytesIO(content))
    assert next(rows) == (b'{"row":{"x":1},"table":"a"}', "ok", "")
    assert len(list(copies.iterdir())) == 1
    assert list(rows) == []


def test_items_can_be_skipped_and_an_empty_database_has_none(made: Made) -> None:
    content = made("CREATE TABLE a (x)", "INSERT INTO a VALUES (1), (2), (3)")

    assert items("sqlite", content, 2) == items("sqlite", content)[2:]
    assert items("sqlite", made("CREATE TABLE a (x)")) == []


def test_a_row_that_is_too_large_ends_the_items(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_items, "_LONGEST_ROW", 100_000)
    content = made("CREATE TABLE a (x)", "INSERT INTO a VALUES (1), (2), (zeroblob(100001)), (3)")

    found = items("sqlite", content)

    assert [reason for _, _, reason in found] == ["", "oversize"]
    assert found[0][0] == b'{"row":{"x":1},"table":"a"}'


@pytest.mark.parametrize("cut", [16, 17, 100, 4095, 4096, 8191])
@pytest.mark.parametrize("is_counted", [True, False])
def test_a_truncated_database_is_unreadable(made: Made, cut: int, is_counted: bool) -> None:
    """SQLite itself reads zeros for what is missing of the last page."""
    content = bytearray(made("CREATE TABLE a (x)", "INSERT INTO a VALUES ('text')"))
    if not is_counted:  # as versions before 3.7.0 left it
        content[24:32] = content[92:100] = bytes(8)
        content[92] = 1

    assert items("sqlite", bytes(content[:cut])) == [UNREADABLE]
    assert records(bytes(content)) == [{"table": "a", "row": {"x": "text"}}]


def test_damage_in_one_table_leaves_the_earlier_ones(made: Made) -> None:
    content = bytearray(made("CREATE TABLE a (x)", "CREATE TABLE b (x)", "INSERT INTO a VALUES (1)"))
    content[-4096:] = b"\xff" * 4096

    assert items("sqlite", bytes(content)) == [(b'{"row":{"x":1},"table":"a"}', "ok", ""), UNREADABLE]


def test_damage_never_escapes(made: Made) -> None:
    good = made(
        "PRAGMA page_size = 512",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT, y BLOB)",
        "CREATE TABLE w (k PRIMARY KEY) WITHOUT ROWID",
        NUMBERS.format(60) + "INSERT INTO a SELECT i, 'text' || i, zeroblob(20 * i) FROM n",
        "INSERT INTO w VALUES ('k')",
    )
    rng = random.Random(7)
    endings = set()

    for _ in range(300):
        damaged = bytearray(good[: rng.randrange(len(good)) if rng.random() < 0.1 else len(good)])
        for _ in range(rng.choice([1, 3, 9]) if damaged else 0):
            damaged[rng.randrange(len(damaged) if rng.random() < 0.5 else min(len(damaged), 1024))] = rng.randrange(256)
        found = items("sqlite", bytes(damaged))
        assert len(found) <= len(good) // 6 + 1
        endings.add(found[-1][2] if found else "")

    assert {"", "unreadable"} <= endings


def test_pages_that_are_pointed_at_again_and_again_do_not_make_endless_rows(made: Made) -> None:
    """A few more pages, each of children that are all the next one, would be as many rows as atoms."""
    page = 512
    content = bytearray(
        made(
            f"PRAGMA page_size = {page}",
            "CREATE TABLE a (x)",
            NUMBERS.format(2000) + "INSERT INTO a SELECT i FROM n",
        )
    )
    root = content[page : 2 * page]
    assert root[0] == 5, "an interior page"
    for _ in range(5):
        copy_number = len(content) // page + 1
        content += content[page : 2 * page]
        for at in [8, *(int.from_bytes(root[n : n + 2], "big") for n in range(12, 12 + 2 * root[4], 2))]:
            content[page + at : page + at + 4] = copy_number.to_bytes(4, "big")
    content[28:32] = (len(content) // page).to_bytes(4, "big")

    found = items("sqlite", bytes(content))

    assert found[-1] == UNREADABLE
    assert 2000 < len(found) <= len(content) // 6 + 1


def test_values_that_are_many_times_the_file_are_unreadable(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_items, "_VALUE_SHARE", 1)
    content = made(
        "CREATE TABLE a (x)",
        NUMBERS.format(500) + "INSERT INTO a SELECT i FROM n",
        f"ALTER TABLE a ADD COLUMN y DEFAULT '{'long' * 250}'",
    )

    found = items("sqlite", content)

    assert found[-1] == UNREADABLE
    assert len(found) == len(content) // 1000 + 1


def test_a_query_that_does_not_end_is_stopped(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_items, "_OPERATIONS_AT_ONCE", 1)
    content = made(
        "CREATE TABLE a (x)",
        NUMBERS.format(999) + "INSERT INTO a SELECT i FROM n",
    )

    found = items("sqlite", content)

    assert 0 < len(found) < 999
    assert found[-1] == UNREADABLE


class FailingDisk(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_failing_disk_is_not_taken_for_a_bad_file(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="Input/output"):
        list(iter_items("sqlite", FailingDisk(b"x" * 100)))
    content = made("CREATE TABLE a (x)")
    monkeypatch.setattr(sqlite_items, "quote", lambda path: path + ".gone")
    with pytest.raises(OSError, match="unable to open database file, while a copy"):
        list(iter_items("sqlite", io.BytesIO(content)))


def test_no_copy_is_left_behind(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    content = made("CREATE TABLE a (x)", "INSERT INTO a VALUES (1), (2)")

    rows = iter_items("sqlite", io.BytesIO(content))
    next(rows)
    assert len(list(copies.iterdir())) == 1
    rows.close()  # type: ignore[attr-defined]

    assert list(copies.iterdir()) == []
