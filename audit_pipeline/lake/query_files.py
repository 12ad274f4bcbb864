"""A bucket's data files for DuckDB, read through the store that everything else reads through.

DuckDB's own readers of object stores would want credentials of their own, and one extension for each cloud.
"""

import re
from datetime import UTC, datetime
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from fsspec import AbstractFileSystem

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.declared import Table
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.logs_on_disk import log_on_disk
from audit_pipeline.lake.places import Places
from audit_pipeline.lake.stores import Store, open_store

_PROTOCOL = "lake"
_OURS = re.compile(r"[a-z0-9_/-]+\.parquet")


class _Files(AbstractFileSystem):  # type: ignore[misc]
    """Data files as DuckDB asks for them: by the path `lake://<area>/<table>/<name>`, to read alone."""

    protocol = _PROTOCOL
    cachable = False

    def __init__(self, places: Places) -> None:
        super().__init__()
        self._places = places

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(f"{path}: is only read here")
        store, name = self._at(path)
        return store.open(name)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        store, name = self._at(path)
        return {"name": self._strip_protocol(path), "size": store.size(name), "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self._strip_protocol(path)]

    def modified(self, path: str) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)  # data files stay as they are

    def _at(self, path: str) -> tuple[Store, str]:
        area, _, name = self._strip_protocol(path).partition("/")
        return open_store(self._places.area(area)), name


def create_view(database: duckdb.DuckDBPyConnection, places: Places, table: Table) -> str:
    """A view of the newest version of a table; gives back where the database must be let to read.

    Raises:
        StorageError: its log cannot be read.
    """
    if not database.filesystem_is_registered(_PROTOCOL):
        database.register_filesystem(_Files(places))
    place = table.uri(places)
    with decoding(place):
        delta = DeltaTable(str(log_on_disk(open_store(place))))
        names = sorted(pa.table(delta.get_add_actions(flatten=True)).column("path").to_pylist())
    if not names:
        database.register(table.name, table.schema.empty_table())
        return f"{_PROTOCOL}://"
    if strange := [name for name in names if not _OURS.fullmatch(name)]:
        # These names become part of a statement, and whoever can write the bucket's Delta log chooses them.
        raise StorageError(f"{place}: its log names {strange[0]!r}, which nothing of ours writes; run `verify`")
    paths = ", ".join(f"'{_PROTOCOL}://{table.area}/{table.name}/{name}'" for name in names)
    database.execute(f'CREATE VIEW "{table.name}" AS FROM read_parquet([{paths}], hive_partitioning = false)')
    return f"{_PROTOCOL}://"
