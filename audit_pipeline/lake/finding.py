"""One event's row, found in the data file of its record's commit without reading the file.

An event's id begins with its source's, whose repetitions are written once, so that which row group has the source, and
which row the position, is read from two narrow columns. No index is kept: the files are the table's own.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.tables import OpenTable


def find_event(events: OpenTable, name: str, event_id: str, columns: Sequence[str]) -> pa.Table:
    """The row of the data file `name` with this id, the columns' types as declared; no row where there is none.

    Raises:
        StorageError: the file is missing or cannot be decoded.
    """
    source, _, _, position, _ = event_id.split("-")
    wanted = pa.schema([events.table.schema.field(column) for column in columns])
    with (
        decoding(events.files.path(name)),
        pq.ParquetFile(events.files.file(name), read_dictionary=["source_id"]) as file,
    ):
        for group in _groups_with(file.metadata, event_id):
            if source not in _texts(file.read_row_group(group, ["source_id"])["source_id"]):
                continue
            is_here = pc.equal(file.read_row_group(group, ["position"])["position"], int(position))
            if not pc.any(is_here).as_py():
                continue
            rows = file.read_row_group(group, list({*columns, "event_id"})).filter(is_here)
            rows = rows.filter(pc.equal(rows["event_id"], event_id))
            if rows.num_rows:
                return rows.select(list(columns)).cast(wanted)
    return wanted.empty_table()


def _groups_with(footer: pq.FileMetaData, event_id: str) -> list[int]:
    """The row groups that may have the id, by the file's own statistics."""
    column = footer.schema.names.index("event_id")
    found = []
    for group in range(footer.num_row_groups):
        said = footer.row_group(group).column(column).statistics
        if said is None or not said.has_min_max or said.min <= event_id <= said.max:
            found.append(group)
    return found


def _texts(column: pa.ChunkedArray) -> set[str]:
    """The values of a column, without one object for each of its rows."""
    return set(pc.unique(column.combine_chunks()).dictionary_decode().to_pylist()) if len(column) else set()
