"""What SQLAlchemy, and so Great Expectations, must know to ask DuckDB.

Great Expectations fetches a result after it has given its connection back. Most drivers keep the rows; DuckDB's results
belong to the connection, whose next statement, or rollback, ends them (great_expectations #10738, #11579). Here each
cursor is a connection of its own to the same database, and nothing is rolled back: the database is only read.
"""

from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

URL = "duckdb+day://"
sa.dialects.registry.register("duckdb.day", __name__, "DuckDBDialect")


class DuckDBDialect(DefaultDialect):
    """SQL as the standard has it, and what tables have which columns; enough to read."""

    name = "duckdb"
    driver = "day"
    default_paramstyle = "qmark"
    supports_native_boolean = True
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return duckdb

    def has_table(self, connection: sa.Connection, table_name: str, schema: str | None = None, **_: Any) -> bool:
        return table_name in self.get_table_names(connection, schema)

    def get_table_names(self, connection: sa.Connection, schema: str | None = None, **_: Any) -> list[str]:
        return list(connection.scalars(sa.text("SELECT table_name FROM duckdb_tables()")))

    def get_columns(self, connection: sa.Connection, table_name: str, schema: str | None = None, **_: Any) -> Any:
        sql = "SELECT column_name, data_type, is_nullable FROM duckdb_columns() WHERE table_name = :name ORDER BY ALL"
        found = connection.execute(sa.text(sql), {"name": table_name})
        return [{"name": name, "type": _type(said), "nullable": null, "default": None} for name, said, null in found]

    def do_begin(self, dbapi_connection: Any) -> None:
        """Nothing is written, so that no statement needs a transaction."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """As do_begin."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """As do_begin."""


def _type(said: str) -> sa.types.TypeEngine[Any]:
    """The type by which a column's values are compared; those of nested columns are left as they are."""
    return _TYPES.get(said, sa.types.NullType)()


_TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "VARCHAR": sa.types.VARCHAR,
    "BOOLEAN": sa.types.BOOLEAN,
    "INTEGER": sa.types.INTEGER,
    "BIGINT": sa.types.BIGINT,
    "DOUBLE": sa.types.DOUBLE,
    "DATE": sa.types.DATE,
}
