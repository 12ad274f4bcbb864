"""The tables that controls are measured on, in a database of their own: from rows of the lake and of registers.

Queries reach nothing else: the database is in memory, without files and without the network.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from audit_pipeline.report.catalogue import catalogue_text, read_yaml

DAY_COLUMN = "_day"
"""Of a register's rows: the day under which they were sealed."""
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR[]": pa.list_(pa.string()),
}
_OWN = frozenset({"seals", "verifications", "sources", "reports", "columns"})
"""Of the lake's tables: those that are the log's own, or that are checked against it whole."""
_REGISTER_NAME = re.compile(r"\bregister\.(\w+)")


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """A table that queries of controls may read."""

    name: str
    about: str
    columns: Mapping[str, str]
    """DuckDB type by name."""
    register: Mapping[str, str]
    """Columns of the register that a user supplies; empty where the lake alone fills the table."""
    reads: Mapping[str, tuple[str, ...]]
    """Columns that `sql` reads, by the lake's table."""
    of_period: str | None
    """The lake's table of which only the period's days are read."""
    sql: str | None

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([(name, _ARROW[type_]) for name, type_ in self.columns.items()])

    @property
    def register_schema(self) -> pa.Schema:
        return pa.schema([*((name, _ARROW[type_]) for name, type_ in self.register.items()), (DAY_COLUMN, pa.date32())])


@cache
def evidence_tables() -> Mapping[str, EvidenceTable]:
    """All of them, by name."""
    return {name: _table(name, said) for name, said in read_yaml(catalogue_text("tables")).items()}


def _table(name: str, said: Mapping[str, Any]) -> EvidenceTable:
    sql = said.get("sql")
    has_register = sql is None or name in _REGISTER_NAME.findall(sql)
    return EvidenceTable(
        name=name,
        about=said["about"],
        columns=said["columns"],
        register=said.get("register", said["columns"]) if has_register else {},
        reads={table: tuple(names) for table, names in said.get("reads", {}).items()},
        of_period=said.get("of_period"),
        sql=sql,
    )


def lake_columns() -> Mapping[str, tuple[str, ...]]:
    """What is read of the lake: columns by table, each in the order first named."""
    wanted: dict[str, dict[str, None]] = {}
    for table in evidence_tables().values():
        for name, columns in table.reads.items():
            wanted.setdefault(name, {}).update(dict.fromkeys(columns))
    return {name: tuple(columns) for name, columns in wanted.items()}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a report is measured on, as read from sealed rows."""

    lake: Mapping[str, pa.Table]
    """By table, with at least the columns of `lake_columns`; of a table that does not exist, no rows."""
    registers: Mapping[str, pa.Table]
    """By table, of `register_schema`."""
    problems: Mapping[str, str]
    """By table: why what was supplied for it cannot be read."""
    registers_stream: str
    lake_days: Mapping[str, frozenset[date]]
    """By the lake's table: the days its rows are of."""


def open_database() -> duckdb.DuckDBPyConnection:
    """An empty database of evidence, which reaches no file and no network."""
    database = duckdb.connect(config={"enable_external_access": False, "autoinstall_known_extensions": False})
    database.execute("SET TimeZone = 'UTC'")
    return database


def create_tables(database: duckdb.DuckDBPyConnection, names: Iterable[str] | None = None) -> None:
    """All tables, or the named ones, empty."""
    for table in evidence_tables().values():
        if names is None or table.name in names:
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in table.columns.items())
            database.execute(f'CREATE TABLE "{table.name}" ({columns})')


def fill(database: duckdb.DuckDBPyConnection, evidence: Evidence) -> None:
    """Make every table from what was read. A table of the lake that is not there is an empty one."""
    large = {table.name for table in evidence_tables().values() if table.of_period}
    create_tables(database, evidence_tables().keys() - large)
    database.execute("CREATE SCHEMA lake; CREATE SCHEMA register")
    for name in lake_columns():
        _view(database, "lake", name, evidence.lake[name])
    for table in evidence_tables().values():
        if table.register:
            rows = evidence.registers.get(table.name)
            _view(database, "register", table.name, rows if rows is not None else table.register_schema.empty_table())
    for table in evidence_tables().values():
        columns = ", ".join(f'"{name}"' for name in table.columns)
        sql = table.sql or f'SELECT {columns} FROM register."{table.name}"'  # noqa: S608 - names of our own
        given = {"registers": evidence.registers_stream} if "$registers" in sql else {}
        if table.name in large:  # rows stay where they are, however many: each query streams them
            database.execute(f'CREATE VIEW "{table.name}" AS {sql}')
        else:
            database.execute(f'INSERT INTO "{table.name}" {sql}', given)


def _view(database: duckdb.DuckDBPyConnection, schema: str, name: str, rows: pa.Table) -> None:
    database.register(f"_{schema}_{name}", rows)
    database.execute(f'CREATE VIEW {schema}."{name}" AS FROM "_{schema}_{name}"')


def days_read(evidence: Evidence, table: EvidenceTable) -> frozenset[date]:
    """The days whose seals vouch for the rows of a table. Seals and verifications are the log's own."""
    days: set[date] = set()
    for name in table.reads.keys() - _OWN:
        days |= evidence.lake_days.get(name, frozenset())
    registers = set(_REGISTER_NAME.findall(table.sql)) if table.sql else {table.name}
    for name in registers & evidence.registers.keys():
        days.update(evidence.registers[name].column(DAY_COLUMN).to_pylist())
    return frozenset(days)
