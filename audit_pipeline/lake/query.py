"""DuckDB over the lake: one view for each Delta table, under the table's own name. Nothing is downloaded."""

from pathlib import Path

import duckdb
import duckdb_extension_delta

from audit_pipeline.errors import StorageError

_OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
AREAS = ("restricted", "audit", "released")


def connect(lake_root: Path) -> duckdb.DuckDBPyConnection:
    """A new in-memory database in which every table of the lake is a view. Views read the newest version at each query.

    Raises:
        StorageError: DuckDB cannot load its Delta extension, or a table cannot be read.
    """
    database = duckdb.connect(config=_OFFLINE)

    database.execute("SET TimeZone = 'UTC'")
    try:
        database.execute(f"LOAD {_quoted(_extension())}")
    except duckdb.Error as err:
        raise StorageError(
            f"{_extension()}: does not load; install duckdb-extension-delta {duckdb.__version__}"
        ) from err
    for table in list_tables(lake_root):
        try:
            # Neither a view's name nor the path in its definition can be a bound parameter.
            database.execute(f'CREATE VIEW "{table.name}" AS FROM delta_scan({_quoted(table)})')
        except duckdb.Error as err:
            raise StorageError(f"{table}: no readable Delta table: {' '.join(str(err).split())[:300]}") from err
    return database


def list_tables(lake_root: Path) -> list[Path]:
    """Folders of the Delta tables of a lake; their last parts are the tables' names, unique over all areas."""
    return sorted(log.parent for area in AREAS for log in (lake_root / area).glob("*/_delta_log"))


def _extension() -> Path:
    return Path(duckdb_extension_delta.__path__[0]) / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
