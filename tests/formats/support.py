"""Small sources for the tests of formats."""

import io
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.containers.items import iter_items
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.records.pseudonyms import PersonKeys

REST = b'{"$evidence":"rest"}'
PEOPLE = PersonKeys(b"p" * 32, b"b" * 32)
MTIME = datetime(2026, 3, 1, 12, tzinfo=UTC)


def items(container: str, content: bytes, skip: int = 0) -> list[tuple[bytes, str, str]]:
    return list(iter_items(container, io.BytesIO(content), skip))


def reasons(container: str, content: bytes) -> list[str]:
    return [reason for _, _, reason in items(container, content)]


def to_parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def json_lines(values: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def source(path: str, mtime: datetime | None = MTIME) -> SourceContext:
    return SourceContext("runs", path, "5" * 64, 0, 0, date(2026, 3, 1), mtime)


def derive(format: str, path: str, values: Iterable[Any], status: str = "ok") -> dict[str, list[dict[str, Any]]]:
    """Rows by table of one record per value."""
    records = [(at, json.dumps(value).encode(), status) for at, value in enumerate(values)]
    return {table: rows.to_pylist() for table, rows in derive_rows(format, source(path), records, PEOPLE).items()}
