"""Items of a SQLite database: one object per row of each ordinary table, as docs/evidence-format.md section 2 says.

The file is read as it is: without its write-ahead log, without locks, without views, triggers or functions of its
schema. What a damaged or hostile file can cost is bounded by its size: pages that are pointed at many times would
otherwise be as many rows, or one chain of pages the text of each row.
"""

import errno
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import IO, Any, BinaryIO
from urllib.parse import quote

from audit_pipeline.containers.item import Item, rest
from audit_pipeline.containers.json_text import dump_plain
from audit_pipeline.containers.parquet_items import UndecodedText

SQLITE_MAGIC = b"SQLite format 3\0"

_LONGEST_ROW = 64 << 20
_ROW_BYTES = 6  # two of a pointer to a cell, four of the smallest cell
_VALUE_SHARE = 16  # more than 1, because a column that was added later gives its default to older rows
_OPERATIONS_AT_ONCE = 10_000
_BYTES_FOR_THESE = 100  # a row takes fewer bytes than operations by far less
_PIECE_BYTES = 1 << 20
_CREATED = re.compile(rb"CREATE TABLE [^\0-\x08\x0b-\x1f]+")
# The machine's faults, not the file's.
_FAULTS = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})


def iter_sqlite(file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """Items of the SQLite database in `file`, without the first `skip`."""
    rows = _rows(file)
    while True:
        try:
            item = next(rows, None)
        except (sqlite3.Error, UnicodeDecodeError) as err:  # the latter where a message quotes what is damaged
            if getattr(err, "sqlite_errorcode", 0) & 0xFF in _FAULTS:
                raise OSError(errno.EIO, f"{err}, while a copy of a database was read") from err
            item, rows = rest("oversize" if isinstance(err, sqlite3.DataError) else "unreadable"), iter(())
        if item is None:
            return
        if skip:
            skip -= 1
        else:
            yield item


def created_tables(head: bytes) -> list[str]:
    """The CREATE TABLE statements in the first bytes of a database, also those of tables that are no longer there."""
    return [found[0].decode("utf-8", "replace") for found in _CREATED.finditer(head)]


def _rows(file: BinaryIO) -> Iterator[Item]:
    with tempfile.NamedTemporaryFile() as copy:  # SQLite opens files by name
        shutil.copyfileobj(file, copy, _PIECE_BYTES)
        size_bytes = copy.tell()
        copy.flush()
        if _is_cut_off(copy, size_bytes):
            yield rest("unreadable")
            return
        rows_left, bytes_left = size_bytes // _ROW_BYTES, _VALUE_SHARE * size_bytes
        with closing(_opened(copy.name, size_bytes)) as database:
            for table in _tables(database):
                names = _columns(database, table)
                columns = ", ".join(map(_quoted, names))
                # Python's cursor is one row ahead: where it meets damage, the row before is not given either.
                for row in database.execute(f"SELECT {columns} FROM {_quoted(table)} NOT INDEXED"):  # noqa: S608
                    rows_left -= 1
                    bytes_left -= sum(len(value) for value in row if isinstance(value, str | bytes))
                    if rows_left < 0 or bytes_left < 0:
                        yield rest("unreadable")
                        return
                    yield _item(table, names, row)


def _is_cut_off(file: IO[bytes], size_bytes: int) -> bool:
    """Whether the last page is not all there: SQLite reads zeros for what is missing of it."""
    file.seek(0)
    header = file.read(100)
    page_bytes = int.from_bytes(header[16:18], "big")
    if page_bytes == 1:
        page_bytes = 65_536
    # Versions before 3.7.0 do not count pages, and leave the two change counters unequal.
    if header[24:28] != header[92:96]:
        return page_bytes > 0 and size_bytes % page_bytes > 0
    return int.from_bytes(header[28:32], "big") * page_bytes > size_bytes


def _opened(path: str, size_bytes: int) -> sqlite3.Connection:
    # Immutable: no lock is taken and no journal looked for. Generators may be closed by another thread.
    uri = f"file:{quote(path)}?mode=ro&immutable=1"
    database = sqlite3.connect(uri, uri=True, check_same_thread=False)
    database.text_factory = _text
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
        database.execute(f"PRAGMA {pragma}")
    most, calls = 1000 + size_bytes // _BYTES_FOR_THESE, count()
    database.set_progress_handler(lambda: next(calls) > most, _OPERATIONS_AT_ONCE)
    return database


def _tables(database: sqlite3.Connection) -> list[str]:
    """The ordinary tables; a view or virtual table has no pages of its own."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
    names = [name for (name,) in found]
    if not all(isinstance(name, str) for name in names):
        raise sqlite3.DatabaseError("the name of a table is no text")
    return sorted(name for name in names if not name.lower().startswith("sqlite_"))


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The columns that are stored."""
    found = database.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 2", (table,)).fetchall()
    names = [name for (name,) in found]
    if not names or not all(isinstance(name, str) for name in names):
        raise sqlite3.DatabaseError("the columns of a table have no names")
    return names


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: bytes) -> str | UndecodedText:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return UndecodedText(value)


def _item(table: str, names: list[str], row: tuple[Any, ...]) -> Item:
    record = dump_plain({"row": dict(zip(names, row, strict=True)), "table": table})
    is_text = not any(isinstance(value, UndecodedText) for value in row)
    return (record, "ok", "") if is_text else (record, "quarantined", "invalid_utf8")
