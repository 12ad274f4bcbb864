"""Rows of sealed days, their columns, and what a data file says of itself."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.forgeries import BATCHES, DAY, Forger, forgery
from tests.lakes import TODAY

EVENT = ("annotations", 2)
"""An event table with a data file, and the version of `records` it is of."""
_FITS = ("alone", "with its commit", "with commit, footer, sources and draft")

# Rows of sealed days. Places: a data file, and how much else is made to fit.

ROW_PLACES = tuple(f"batch {version}, {fit}" for version in BATCHES for fit in _FITS)


def forge_rows(forger: Forger, place: str, change: Callable[[pa.Table], pa.Table]) -> None:
    batch, _, fit = place.partition(", ")
    version = int(batch.removeprefix("batch "))
    forger.table("sources")
    forger.rewrite("records", BATCHES[version], change)
    if fit == _FITS[1]:
        forger.recommit("records", version)
    if fit == _FITS[2]:
        forger.fit_entries(version)


def set_value(column: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value(values[row]) if callable(value) else value
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


def _swap_records(table: pa.Table) -> pa.Table:
    """The last two rows' records and salts change places."""
    order = [*range(table.num_rows - 2), table.num_rows - 1, table.num_rows - 2]
    for name in ("record", "salt"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), table.column(name).take(order).combine_chunks())
    return table


ROW_KINDS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a record changed": set_value("record", b'{"forged":1}'),
    "the last record changed": set_value("record", lambda record: record + b" ", -1),
    "a salt changed": set_value("salt", b"\7" * 16),
    "a salt cut short": set_value("salt", b"\7" * 15),
    "a status changed": set_value("status", lambda status: "quarantined" if status == "ok" else "ok"),
    "a reason changed": set_value("reason", lambda reason: "" if reason else "depth"),
    "a position changed": set_value("position", 40),
    "a row's day changed": set_value("day", lambda day: TODAY if day == DAY else DAY),
    "a row's source changed": set_value("source_id", "0" * 64),
    "a row's generation changed": set_value("generation", 7),
    "a row's snapshot changed": set_value("snapshot", 7),
    "the first row removed": lambda table: table.slice(1),
    "the last row removed": lambda table: table.slice(0, table.num_rows - 1),
    "a row doubled": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "a row added": lambda table: pa.concat_tables([table, set_value("position", 99)(table.slice(0, 1))]),
    "records exchanged": _swap_records,
}


def _add_row_kinds() -> None:
    for kind, change in ROW_KINDS.items():
        places = ROW_PLACES if kind != "records exchanged" else ROW_PLACES[:3] + ROW_PLACES[6:]
        forgery(kind, *places)(partial(forge_rows, change=change))


_add_row_kinds()


@forgery("rows reordered, which say the same", *ROW_PLACES[:2], *ROW_PLACES[3:5])
def reorder_rows(forger: Forger, place: str) -> None:
    forge_rows(forger, place, lambda table: table.take(list(reversed(range(table.num_rows)))))


@forgery("a row moved to another data file", "the same day", "another day")
def _moved(forger: Forger, place: str) -> None:
    target = 3 if place == "the same day" else 2
    row = pq.read_table(forger.data("records", BATCHES[1]), partitioning=None).slice(0, 1)
    for version, change in (
        (1, lambda table: table.slice(1)),
        (target, lambda table: pa.concat_tables([table, row])),
    ):
        forger.rewrite("records", BATCHES[version], change)
        forger.recommit("records", version)


@forgery("columns of a data file changed", "renamed", "removed", "added", "of another type")
def _columns(forger: Forger, place: str) -> None:
    path = forger.data("records", BATCHES[1])
    footer = pq.read_metadata(path).metadata
    table = pq.read_table(path, partitioning=None)
    changed = {
        "renamed": lambda: table.rename_columns(["note" if n == "reason" else n for n in table.schema.names]),
        "removed": lambda: table.drop_columns(["reason"]),
        "added": lambda: table.append_column("more", pa.array(range(table.num_rows))),
        "of another type": lambda: table.set_column(4, "position", table.column(4).cast(pa.int32())),
    }[place]()
    pq.write_table(changed.replace_schema_metadata(footer), path)


@forgery(
    "a data file's footer changed", "nonce", "path", "object", "format", "is_complete", "time", "version", "removed"
)
def _footer(forger: Forger, place: str) -> None:
    def change(footer: dict[str, Any]) -> None:
        values = {"nonce": "00" * 32, "path": "else.jsonl", "object": "runs/x/0-0.zst", "format": "x"}
        if place == "removed":
            footer.clear()
        elif place in values:
            footer["snapshots"][0][place] = values[place]
        elif place == "is_complete":
            footer["snapshots"][0][place] = not footer["snapshots"][0][place]
        else:
            footer[place] = {"time": "2026-01-01T00:00:00+00:00", "version": 2}[place]

    forger.table("sources")
    forger.rewrite_footer(1, change)
    forger.recommit("records", 1)
    if place in ("nonce", "path", "object", "format", "is_complete"):
        forger.project(1)


def lie_in_parquet(path: Path, column: str, low: bytes, high: bytes) -> None:
    """Replace a column's least and greatest value, of 8 or 4 bytes, wherever the footer says them."""
    content, start = path.read_bytes(), int.from_bytes(path.read_bytes()[-8:-4], "little")
    footer = content[-8 - start :]
    stats = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index(column)).statistics
    width = len(low)
    for value, new in ((stats.min_raw, low), (stats.max_raw, high)):
        encoded = int(value).to_bytes(width, "little", signed=True)
        footer = footer.replace(bytes([width]) + encoded, bytes([width]) + new)
    path.write_bytes(content[: -8 - start] + footer)


@forgery("lying statistics in a data file", "of positions, alone", "of positions, with its commit")
def lie_in_file(forger: Forger, place: str) -> None:
    forger.table("records")
    lie = (900).to_bytes(8, "little")
    lie_in_parquet(forger.data("records", BATCHES[3]), "position", lie, lie)
    if place.endswith("commit"):
        forger.recommit("records", 3)
