"""Arrow schemas of the evidence tables. Only types that every Delta reader knows: no unsigned, no fixed-size binary."""

import pyarrow as pa

SCHEMA_VERSION = 1
"""Written into each table's description and checked when the table is opened."""


def _required(name: str, of: pa.DataType) -> pa.Field:
    return pa.field(name, of, nullable=False)


RECORDS = pa.schema(
    [
        _required("day", pa.date32()),
        _required("source_id", pa.string()),
        _required("generation", pa.int64()),
        _required("snapshot", pa.int64()),
        _required("position", pa.int64()),
        _required("record", pa.binary()),
        _required("salt", pa.binary()),
        _required("status", pa.string()),
        _required("reason", pa.string()),
    ]
)
"""One row per record."""

SOURCES = pa.schema(
    [
        _required("day", pa.date32()),
        _required("stream", pa.string()),
        _required("source_id", pa.string()),
        _required("path", pa.string()),
        _required("generation", pa.int64()),
        _required("snapshot", pa.int64()),
        _required("position", pa.int64()),
        _required("records", pa.int64()),
        _required("start", pa.int64()),
        _required("end", pa.int64()),
        _required("container", pa.string()),
        _required("compression", pa.string()),
        _required("growth", pa.string()),
        _required("quarantined", pa.int64()),
        _required("partial_tails", pa.int64()),
        _required("format", pa.string()),
        _required("format_evidence", pa.string()),
        _required("size_bytes", pa.int64()),
        _required("mtime_ns", pa.int64()),
        _required("is_complete", pa.bool_()),
        _required("resume_at", pa.int64()),
        _required("resume_position", pa.int64()),
        pa.field("tail_start", pa.int64()),
        pa.field("tail_nonce", pa.binary()),
        pa.field("tail_digest", pa.string()),
        pa.field("object", pa.string()),
        _required("nonce", pa.binary()),
        _required("entry", pa.string()),
        _required("data_file", pa.string()),
        _required("ingested_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""One row per snapshot: a projection of the commits of `records`, with what the next run needs to go on."""

SEALS = pa.schema(
    [
        _required("index", pa.int64()),
        _required("day", pa.date32()),
        _required("kind", pa.string()),
        _required("segment", pa.int64()),
        _required("sources", pa.int64()),
        _required("records", pa.int64()),
        _required("root", pa.string()),
        _required("sealed_at", pa.timestamp("us", tz="UTC")),
        _required("entry", pa.string()),
    ]
)
"""One row per entry of the log, in the log's order; `entry` is the leaf's exact text."""
