"""The event rows of records, read back from their data files: the same rows, whoever derives them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import ADAPTERS, Part, derive_parts
from audit_pipeline.lake import hashing
from audit_pipeline.lake.ahead import map_ahead
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import SOURCES
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.rows import SnapshotName, runs_of
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.pseudonyms import PersonKeys

_READ_ROWS = 1 << 15
_BATCH_ROWS, _BATCH_BYTES = 1 << 13, 4 << 20  # a record may be a hundred metrics
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def derived_rows(
    lake: Lake, records: OpenTable, commit: Commit, people: PersonKeys
) -> Iterator[tuple[str, dict[str, pa.Table]]]:
    """(format, event rows by table) that a commit of `records` gives, a bounded number at a time and in order."""

    def derive(group: tuple[str, list[Part]]) -> tuple[str, dict[str, pa.Table]]:
        return group[0], derive_parts(*group, people)

    for file in commit.files:
        yield from map_ahead(derive, _grouped(_parts(lake, records, file.name)))


def _grouped(parts: Iterable[tuple[str, Part]]) -> Iterator[tuple[str, list[Part]]]:
    """Parts of one format that follow each other, until there is enough: many sources may be of a few records each."""
    format_name, group, records, size_bytes = "", list[Part](), 0, 0
    for name, part in parts:
        if group and (name != format_name or records >= _BATCH_ROWS or size_bytes >= _BATCH_BYTES):
            yield format_name, group
            group, records, size_bytes = [], 0, 0
        format_name = name
        group.append(part)
        records += len(part.records)
        size_bytes += sum(map(len, part.records))
    if group:
        yield format_name, group


def _parts(lake: Lake, records: OpenTable, name: str) -> Iterator[tuple[str, Part]]:
    """(format, records) of a data file in the order they were written, a bounded run of rows at a time."""
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
    path = records.files.path(name)
    with decoding(path), pq.ParquetFile(records.files.file(name), read_dictionary=["source_id", "status"]) as file:
        for batch in file.iter_batches(_READ_ROWS, columns=columns):
            sizes = pc.binary_length(batch["record"]).to_numpy()
            for key, begin, end in runs_of(batch):
                format_name, context = contexts[key]
                for first, last in _cut(sizes, begin, end):
                    part = _part(context, batch.slice(first, last - first))
                    before = taken_before.pop(key, None)
                    if before is not None and part.records[0].strip() == before.strip():  # it is an event already
                        part = part.of(range(1, len(part.records)))
                    yield format_name, part


def _cut(sizes: npt.NDArray[np.int32], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of runs of at most _BATCH_ROWS and _BATCH_BYTES, or of one row."""
    ends = np.cumsum(sizes, dtype=np.int64)
    while begin < end:
        most = ends[begin] - sizes[begin] + _BATCH_BYTES
        last = max(begin + 1, min(end, begin + _BATCH_ROWS, int(np.searchsorted(ends, most, "right"))))
        yield begin, last
        begin = last


def _part(context: SourceContext, rows: pa.RecordBatch) -> Part:
    is_ok = pc.all(pc.equal(rows["status"], "ok")).as_py()
    statuses = ["ok"] * rows.num_rows if is_ok else rows["status"].to_pylist()
    return Part(context, rows["position"].to_numpy().tolist(), hashing.values_of(rows["record"]), statuses)


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
            rows = pq.read_table(records.files.file(data_file), filters=filters, columns=columns, partitioning=None)
        for row in rows.to_pylist():
            record = row.pop("record")
            if (key_again := wanted.get(tuple(row.values()))) is not None:
                found[key_again] = record
    return found
