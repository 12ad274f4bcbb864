"""The data files of tables: written once under a name of their own, and described to the commit that brings them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.lake.commits import DataFile
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.stores import NewObject
from audit_pipeline.lake.tables import OpenTable

NONCE_KEY = "audit.nonce"
"""In a data file's footer: random bytes, as hex, that hide what the file's hash would tell of its rows."""


def write_parquet(
    file: BinaryIO | pa.NativeFile, schema: pa.Schema, indexed: Sequence[str], metadata: Mapping[str, str] | None = None
) -> pq.ParquetWriter:
    """A Parquet writer as our tables want it: zstd, statistics on indexed columns only, since a minimum is content."""
    is_records = "salt" in schema.names
    writer = pq.ParquetWriter(
        file if isinstance(file, pa.NativeFile) else pa.PythonFile(file, "w"),
        schema,
        compression={name: "none" if name == "salt" else "zstd" for name in schema.names} if is_records else "zstd",
        compression_level={name: 1 for name in schema.names if name != "salt"} if is_records else 1,
        column_encoding=_ENCODINGS if is_records else None,
        use_dictionary=[f.name for f in schema if f.name in _DICTIONARY],
        write_statistics=list(indexed),
        store_schema=False,
        data_page_size=1 << 20,
    )
    if metadata:
        writer.add_key_value_metadata(dict(metadata))
    return writer


_ENCODINGS = {"position": "DELTA_BINARY_PACKED", "salt": "DELTA_LENGTH_BYTE_ARRAY"}
"""Of `records`: counted numbers take no room, and random bytes, which do not compress, none beside their own."""

_DICTIONARY = frozenset(
    "day stream source_id generation snapshot status reason table run_id source_format adapter_version split metric "
    "event_time_quality kind container compression growth format format_evidence scorer scorer_kind value_state "
    "annotator_id annotator_kind question outcome score_state".split()
)


def put_rows(open_: OpenTable, name: str, rows: pa.Table) -> DataFile:
    """Write `rows` as the data file `name`.

    Raises:
        ProofError: a file of that name is there, and is not of these rows.
    """
    with _new_file(open_, name, rows) as new:
        new.publish_alike()
    return describe_file(open_, name)


def offer_rows(open_: OpenTable, name: str, rows: pa.Table, metadata: Mapping[str, str] | None = None) -> bool:
    """Write `rows` as the data file `name`, unless there is one: False, whatever it holds."""
    with _new_file(open_, name, rows, metadata) as new:
        return new.publish()


def _new_file(open_: OpenTable, name: str, rows: pa.Table, metadata: Mapping[str, str] | None = None) -> NewObject:
    new = open_.files.create(name)
    writer = write_parquet(new.file, open_.table.schema, open_.table.indexed, metadata)
    writer.write_table(rows.cast(open_.table.schema))
    writer.close()
    return new


def describe_file(open_: OpenTable, name: str) -> DataFile:
    """What a commit says of the data file `name`, from its own footer."""
    lowest: dict[str, Any] = {}
    highest: dict[str, Any] = {}
    with decoding(open_.files.path(name)):
        footer = pq.read_metadata(open_.files.file(name))
        for column in open_.table.indexed:
            if (bounds := _column_bounds(footer, column)) is not None:
                lowest[column], highest[column] = map(_as_json, bounds)
        ranges = {"minValues": lowest, "maxValues": highest} if lowest else {}
        stats = json.dumps({"numRecords": footer.num_rows, **ranges})
        return DataFile(name, open_.files.size(name), stats)


def _column_bounds(footer: pq.FileMetaData, column: str) -> tuple[Any, Any] | None:
    """Lowest and highest value of a column by a file's own statistics; None where a row group has none."""
    at = footer.schema.to_arrow_schema().names.index(column)
    found = [footer.row_group(group).column(at).statistics for group in range(footer.num_row_groups)]
    if not found or any(s is None or not s.has_min_max for s in found):
        return None
    return min(s.min for s in found), max(s.max for s in found)


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
