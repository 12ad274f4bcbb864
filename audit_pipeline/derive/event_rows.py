"""The event rows of records, read back from their data files: the same rows, whoever derives them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import SOURCES
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.pseudonyms import PersonKeys

_BATCH_ROWS = 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def derived_rows(
    lake: Lake, records: OpenTable, commit: Commit, people: PersonKeys
) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """(format, event rows by table) that a commit of `records` gives, a bounded number at a time and in order."""
    for data_file in (file.name for file in commit.files):
        for format_name, context, rows in _snapshots(lake, records, data_file):
            yield format_name, derive_rows(format_name, context, rows, people)


def _snapshots(
    lake: Lake, records: OpenTable, name: str
) -> Iterator[tuple[str, SourceContext, list[tuple[int, bytes, str]]]]:
    """(format, snapshot, rows) of a data file in the order they were written, a bounded run of rows at a time."""
    contexts = {}
    taken_again = {}
    for snapshot in read_batch(records, name).snapshots:
        entry = tlog.parse_source(snapshot["entry"].encode())
        key = entry.source, entry.generation, entry.snapshot
        context = SourceContext(
            stream=entry.stream,
            path=snapshot["path"],
            source_id=entry.source,
            generation=entry.generation,
            snapshot=entry.snapshot,
            day=entry.day,
            mtime=_EPOCH + timedelta(microseconds=snapshot["mtime_ns"] // 1000),
            mapping=snapshot["mapping"],
        )
        contexts[key] = snapshot["format"], context
        if entry.supersedes is not None and not ADAPTERS[snapshot["format"]].needs_newline(snapshot["path"]):
            taken_again[key] = _readable_tail(lake, records, entry)
    columns = ["source_id", "generation", "snapshot", "position", "record", "status"]
    with decoding(records.files.path(name)), pq.ParquetFile(records.files.path(name)) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            for key, rows in _runs(batch):
                before = taken_again.pop(key, None)
                is_event_already = before is not None and rows[0][1].strip() == before.strip()
                yield *contexts[key], rows[1:] if is_event_already else rows


def _readable_tail(lake: Lake, records: OpenTable, entry: tlog.SourceEntry) -> bytes | None:
    """The unfinished last line that `entry` takes again, if it could be read: then its event is there already."""
    sources = lake.open(SOURCES).read(["source_id", "generation", "snapshot", "data_file"])
    snapshot, position = entry.supersedes or (0, 0)
    name = {"source_id": entry.source, "generation": entry.generation, "snapshot": snapshot}
    for row in sources.to_pylist():
        data_file = row.pop("data_file")
        if row == name:
            filters = [*((column, "=", value) for column, value in name.items()), ("position", "=", position)]
            found = pq.read_table(
                records.files.path(data_file), filters=filters, columns=["record", "reason"]
            ).to_pylist()
            return found[0]["record"] if found and found[0]["reason"] == "" else None
    return None


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, int, int], list[tuple[int, bytes, str]]]]:
    key: tuple[str, int, int] | None = None
    rows: list[tuple[int, bytes, str]] = []
    for source_id, generation, snapshot, position, record, status in zip(
        *(batch[name].to_pylist() for name in batch.schema.names), strict=True
    ):
        if key != (source_id, generation, snapshot):
            if key is not None:
                yield key, rows
            key, rows = (source_id, generation, snapshot), []
        rows.append((position, record, status))
    if key is not None:
        yield key, rows
