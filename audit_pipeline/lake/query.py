"""DuckDB over the lake: one view for each Delta table, under the table's own name. Nothing is downloaded."""

import re
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_delta

from audit_pipeline.errors import InputError, StorageError
from audit_pipeline.lake.declared import TABLES, Table
from audit_pipeline.lake.places import Place, Places
from audit_pipeline.lake.stores import open_store

_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_COMMIT = re.compile("_delta_log/[0-9]")
_READING = ("SELECT", "CREATE")  # DuckDB makes a type, in memory, for PIVOT. EXPLAIN ANALYZE would run a COPY


def connect(places: Places) -> duckdb.DuckDBPyConnection:
    """A new in-memory database: every table of the lake is a view, or empty where nothing was written to it. Views
    of a folder read the newest version at each query, those of a bucket the one of now.

    Raises:
        StorageError: DuckDB cannot load its Delta extension, or a table cannot be read.
    """
    database = duckdb.connect(config=_OFFLINE)
    database.execute("SET TimeZone = 'UTC'")
    allowed, there = set[str](), list_tables(places)
    for table in there:
        place = table.uri(places)
        try:
            if isinstance(place, Path):
                allowed.add(_quoted(_create_view(database, table, place)))
            else:
                allowed.add(_quoted(_create_view_of_bucket(database, table, places)))
        except duckdb.Error as err:
            said = " ".join(str(err).split())[:300]
            raise StorageError(f"{place}: no readable Delta table: {said}") from err
    for table in TABLES.values():
        if table not in there:
            with database.cursor() as cursor:
                cursor.register("empty", table.schema.empty_table())
                cursor.execute(f'CREATE TABLE "{table.name}" AS FROM empty')
    # From here on a statement reaches the lake's files and no others, and cannot undo that.
    database.execute(f"SET allowed_directories = [{', '.join(sorted(allowed))}]")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _create_view(database: duckdb.DuckDBPyConnection, table: Table, place: Path) -> Path:
    try:
        database.execute(f"LOAD {_quoted(_extension())}")
    except duckdb.Error as err:
        raise StorageError(
            f"{_extension()}: does not load; install duckdb-extension-delta {duckdb.__version__}"
        ) from err
    # Neither a view's name nor the path in its definition can be a bound parameter.
    database.execute(f'CREATE VIEW "{table.name}" AS FROM delta_scan({_quoted(place)})')
    return place


def _create_view_of_bucket(database: duckdb.DuckDBPyConnection, table: Table, places: Places) -> str:
    from audit_pipeline.lake.query_files import create_view

    return create_view(database, places, table)


def read_rows(database: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """(column names, rows) of the last statement of `sql`.

    Raises:
        InputError: a statement is wrong, would write a file, or there is none.
    """
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as err:
        raise InputError(f"query: {' '.join(str(err).split())}") from err
    if not statements:
        raise InputError("query: no statement; give one in quotes")
    for statement in statements:
        if statement.type.name not in _READING:
            raise InputError(f"query: {statement.type.name} is not reading; redirect the output of a SELECT instead")
    try:
        found = database.execute(sql)
        return [column[0] for column in found.description or ()], found.fetchall()
    except duckdb.Error as err:
        raise InputError(f"query: {' '.join(str(err).split())}") from err


def list_tables(places: Places) -> list[Table]:
    """The declared tables that a lake has: whatever else lies there is not ours."""
    found = (
        table for table in TABLES.values() if any(map(_COMMIT.match, open_store(table.uri(places)).names("_delta_log")))
    )
    return sorted(found, key=lambda table: table.name)


def _extension() -> Path:
    return Path(duckdb_extension_delta.__path__[0]) / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"


def _quoted(path: Place | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"
