"""The table `alerts`: read as a book, and appended to by whoever comes first."""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.alerts import AlertRow, Book, read_book
from audit_pipeline.errors import StorageError
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import ALERTS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.canonical import NONCE_BYTES

WINDOW = timedelta(days=30)
"""How far back the book goes. What is still wrong after that is raised, and told, once more."""
_APP = ALERTS.name
_ATTEMPTS = 100
_COLUMNS = [column.name for column in dataclasses.fields(AlertRow)]


def read_alerts(lake: Lake, now: datetime) -> Book:
    """The book of the last 30 days. Nothing is written."""
    table = lake.find(ALERTS)
    return Book() if table is None else _read(table, now)


def append_alerts(
    lake: Lake,
    decide: Callable[[Book], Sequence[AlertRow]],
    *,
    now: datetime,
    entropy: Callable[[int], bytes],
) -> Sequence[AlertRow]:
    """Append what `decide` makes of the book, which is still the newest one when its rows are appended."""
    for _ in range(_ATTEMPTS):
        table = lake.find(ALERTS)
        rows = decide(Book() if table is None else _read(table, now))
        if not rows:
            return ()
        table = table or lake.open(ALERTS)
        columns = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=ALERTS.schema)
        if append_rows(table, _APP, table.transaction(_APP), columns, now, entropy(NONCE_BYTES)):
            return rows
    raise StorageError(f"{lake.places.lake}: no alert could be recorded in {_ATTEMPTS} attempts; run again")


def _read(table: OpenTable, now: datetime) -> Book:
    first = (now - WINDOW).astimezone(UTC).date()
    book = read_book(AlertRow(**row) for row in table.read_days(_COLUMNS, first, date.max).to_pylist())
    if book.last == 0:
        numbers = table.read(["number"])["number"]
        book = dataclasses.replace(book, last=pc.max(numbers).as_py() or 0)
    return book
