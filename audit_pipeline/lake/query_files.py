"""A bucket's data files for DuckDB, read through the store that everything else reads through.

DuckDB's own readers of object stores would want credentials of their own, and one extension for each cloud.
"""

from datetime import UTC, datetime
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from fsspec import AbstractFileSystem

from audit_pipeline.lake.declared import Table
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.logs_on_disk import log_on_disk
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.stores import Store, open_store

_PROTOCOL = "lake"


class _Files(AbstractFileSystem):  # type: ignore[misc]
    """The objects of a store as DuckDB asks for them: by the path `lake://<name>`, to read alone."""

    protocol = _PROTOCOL
    cachable = False

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(f"{path}: is only read here")
        return self._store.open(self._strip_protocol(path))

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        return {"name": name, "size": self._store.size(name), "type": "file"}

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self._strip_protocol(path)]

    def modified(self, path: str) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)  # data files stay as they are


def allow_files(database: duckdb.DuckDBPyConnection, lake: Bucket) -> str:
    """Let `database` read the objects of a lake; gives back where it is to find them."""
    database.register_filesystem(_Files(open_store(lake)))
    return f"{_PROTOCOL}://"


def create_view(database: duckdb.DuckDBPyConnection, lake: Bucket, table: Table) -> None:
    """A view of the newest version of a table.

    Raises:
        StorageError: its log cannot be read.
    """
    place = table.uri(lake)
    with decoding(place):
        delta = DeltaTable(str(log_on_disk(open_store(place))))
        names = sorted(pa.table(delta.get_add_actions(flatten=True)).column("path").to_pylist())
    if not names:
        database.register(table.name, table.schema.empty_table())
        return
    paths = ", ".join(f"'{_PROTOCOL}://{table.area}/{table.name}/{name}'" for name in names)
    database.execute(f'CREATE VIEW "{table.name}" AS FROM read_parquet([{paths}], hive_partitioning = false)')
