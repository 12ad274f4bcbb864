"""The event rows of records, read back from their data files: the same rows, whoever derives them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import ADAPTERS, derive_parts
from audit_pipeline.lake.ahead import map_ahead
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import SOURCES
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.pseudonyms import PersonKeys

_BATCH_ROWS = 2048  # a record may be a hundred metrics
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Rows = list[tuple[int, bytes, str]]
"""(position, record, status)."""
Part = tuple[SourceContext, Rows]
"""Rows of one snapshot."""


def derived_rows(
    lake: Lake, records: OpenTable, commit: Commit, people: PersonKeys
) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """(format, event rows by table) that a commit of `records` gives, a bounded number at a time and in order."""

    def derive(group: tuple[str, list[Part]]) -> tuple[str, dict[str, pa.Table]]:
        return group[0], derive_parts(*group, people)

    for file in commit.files:
        yield from map_ahead(derive, _grouped(_snapshots(lake, records, file.name)))


def _grouped(snapshots: Iterable[tuple[str, SourceContext, Rows]]) -> Iterator[tuple[str, list[Part]]]:
    """Parts of one format that follow each other, until there are rows enough: many sources may be of a few each."""
    format_name, parts, count = "", list[Part](), 0
    for name, context, rows in snapshots:
        if parts and (name != format_name or count >= _BATCH_ROWS):
            yield format_name, parts
            parts, count = [], 0
        format_name = name
        parts.append((context, rows))
        count += len(rows)
    if parts:
        yield format_name, parts


def _snapshots(lake: Lake, records: OpenTable, name: str) -> Iterator[tuple[str, SourceContext, Rows]]:
    """(format, snapshot, rows) of a data file in the order they were written, a bounded run of rows at a time."""
    contexts = {}
    again: dict[SnapshotName, tlog.SourceEntry] = {}
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
            again[key] = entry
    taken_before = _readable_tails(lake, records, again)
    columns = ["source_id", "generation", "snapshot", "position", "record", "status"]
    with decoding(records.files.path(name)), pq.ParquetFile(records.files.path(name)) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            for key, rows in _runs(batch):
                before = taken_before.pop(key, None)
                is_event_already = before is not None and rows[0][1].strip() == before.strip()
                yield *contexts[key], rows[1:] if is_event_already else rows


def _readable_tails(
    lake: Lake, records: OpenTable, again: Mapping[SnapshotName, tlog.SourceEntry]
) -> dict[SnapshotName, bytes]:
    """The unfinished last line that each of these takes again, if it could be read: then its event is there already."""
    if not again:
        return {}
    wanted = {}
    for key, entry in again.items():
        snapshot, position = entry.supersedes or (0, 0)
        wanted[entry.source, entry.generation, snapshot, position] = key
    sources = lake.open(SOURCES).read(["source_id", "generation", "snapshot", "data_file"])
    snapshots = {name[:3] for name in wanted}
    ids = pa.array(sorted({source for source, _, _ in snapshots}))
    files = {
        row["data_file"]
        for row in sources.filter(pc.is_in(sources["source_id"], ids)).to_pylist()
        if (row["source_id"], row["generation"], row["snapshot"]) in snapshots
    }
    found = {}
    columns = ["source_id", "generation", "snapshot", "position", "record"]
    for data_file in sorted(files):
        unfinished = (pc.field("status") == "partial_tail") & (pc.field("reason") == "")
        filters = unfinished & pc.field("source_id").isin(ids)
        with decoding(records.files.path(data_file)):
            rows = pq.read_table(records.files.path(data_file), filters=filters, columns=columns, partitioning=None)
        for row in rows.to_pylist():
            record = row.pop("record")
            if (key_again := wanted.get(tuple(row.values()))) is not None:
                found[key_again] = record
    return found


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[SnapshotName, Rows]]:
    key: SnapshotName | None = None
    rows: Rows = []
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
