"""The table `sources`: one row per snapshot, copied from the commits of `records` and the footers of their files.

The commits are the truth; this table is what a run reads instead of them. Each commit of `records` gives one file here,
of the same bytes whoever writes it, so two workers that complete the projection at once leave nothing behind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.lake import batches
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.data_files import put_rows
from audit_pipeline.lake.declared import RECORDS, SOURCES
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.tlog import entries

SOURCES_APP = "sources"
_COMMITS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class SourceState:
    """The newest snapshot of a source: where the next one starts."""

    source_id: str
    path: str
    day: date
    generation: int
    snapshot: int
    start: int
    end: int
    container: str
    compression: str
    format: str
    format_evidence: str
    mapping: str | None
    size_bytes: int
    mtime_ns: int
    is_complete: bool
    resume_at: int
    resume_position: int
    object: str | None
    parts: tuple[tuple[str, bytes], ...]
    """(entry, nonce) of each snapshot of this generation that took in bytes of the source."""

    @property
    def has_partial_tail(self) -> bool:
        return self.resume_at < self.end


def complete_sources(lake: Lake) -> OpenTable:
    """Bring `sources` up to the newest commit of `records`; gives back the open table."""
    records, sources = lake.open(RECORDS), lake.open(SOURCES)
    while (done := sources.transaction(SOURCES_APP)) < records.version:
        last = min(records.version, done + _COMMITS_AT_ONCE)
        made, newest_ms = [], 0
        for version, commit in records.commits(done + 1, last):
            made.append(put_rows(sources, f"{version}.parquet", source_rows(records, commit)))
            newest_ms = max(newest_ms, commit.time_ms)
        sources.commit(Commit(newest_ms, SOURCES_APP, last, tuple(made)), done)
    return sources


class SourceStates(Mapping[str, SourceState]):
    """The newest snapshot of each source of a stream, by source_id. What a lookup does not ask for is not unpacked."""

    def __init__(self, rows: pa.Table) -> None:
        keys = [("source_id", "ascending"), ("generation", "ascending"), ("snapshot", "ascending")]
        self._rows = rows.sort_by(keys).combine_chunks()
        ids = self._rows["source_id"].combine_chunks().dictionary_encode()
        ends = np.flatnonzero(np.diff(ids.indices.to_numpy(), append=-1)) + 1
        self._ranges = dict(zip(ids.dictionary.to_pylist(), pairwise([0, *ends.tolist()]), strict=True))
        newest = self._rows.take(pa.array(ends - 1))
        looks = (newest[name].to_pylist() for name in ("is_complete", "size_bytes", "mtime_ns"))
        self._looks = dict(zip(self._ranges, zip(*looks, strict=True), strict=True))

    def __getitem__(self, source_id: str) -> SourceState:
        begin, end = self._ranges[source_id]
        rows = self._rows.slice(begin, end - begin).to_pylist()
        parts = [(row.pop("entry"), row.pop("nonce")) for row in rows]
        newest = rows[-1]
        of_generation = [
            part for row, part in zip(rows, parts, strict=True) if row["generation"] == newest["generation"]
        ]
        return SourceState(**newest, parts=tuple(of_generation))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def is_unchanged(self, source_id: str, size_bytes: int, mtime_ns: int) -> bool:
        """Whether the source was taken in to its end and looks, by size and time, as it did then."""
        return self._looks.get(source_id) == (True, size_bytes, mtime_ns)


def newest_states(sources: OpenTable, stream: str) -> SourceStates:
    """The newest snapshot of each source of a stream, by source_id."""
    columns = [name for name in SourceState.__dataclass_fields__ if name != "parts"]
    rows = sources.read(["stream", "entry", "nonce", *columns])
    return SourceStates(rows.filter(pc.equal(rows["stream"], stream)).drop_columns("stream"))


def source_rows(records: OpenTable, commit: Commit) -> pa.Table:
    """The rows of `sources` that a commit of `records` gives."""
    rows: list[dict[str, Any]] = []
    for name in (file.name for file in commit.files):
        batch = batches.read_batch(records, name)
        with decoding(records.files.path(name)):
            rows += [_source_row(snapshot, name, batch.time) for snapshot in batch.snapshots]
    with decoding(f"{records.path}: the batch footer of {commit.app} {commit.number}"):
        return pa.Table.from_pylist(rows, schema=SOURCES.schema)


def _source_row(snapshot: dict[str, Any], name: str, ingested_at: datetime) -> dict[str, Any]:
    entry = entries.parse_source(snapshot["entry"].encode())
    from_entry = {
        "source_id": entry.source,
        **{field: getattr(entry, field) for field in _FROM_ENTRY},
    }
    nonce = bytes.fromhex(snapshot["nonce"])
    return {**snapshot, **from_entry, "nonce": nonce, "data_file": name, "ingested_at": ingested_at}


_FROM_ENTRY = "day stream generation snapshot position records start end container compression growth".split()
