"""Rows of `records` read back and hashed again, a data file at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline.errors import ProofError
from audit_pipeline.lake import hashing
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.canonical import SALT_BYTES

_BATCH_ROWS = 8192

SnapshotName = tuple[str, int, int]
"""(source_id, generation, snapshot)."""


@dataclass(slots=True)
class FoundRows:
    """Rows of one snapshot, in the order they were found: positions, leaf hashes, and what is odd about them."""

    days: set[date] = field(default_factory=set)
    positions: list[npt.NDArray[np.int64]] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    exceptions: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(map(len, self.positions))

    def merge(self, other: "FoundRows") -> None:
        self.days |= other.days
        self.positions += other.positions
        self.leaves += other.leaves
        self.exceptions += other.exceptions

    def in_order(self) -> tuple[npt.NDArray[np.int64], bytes, list[tuple[int, str, str]]]:
        """(positions, leaf hashes, exceptions), sorted by position: a table's rows have no order of their own."""
        positions = np.concatenate(self.positions) if self.positions else np.empty(0, np.int64)
        leaves = b"".join(self.leaves)
        if len(positions) > 1 and not (positions[1:] > positions[:-1]).all():
            order = np.argsort(positions, kind="stable")
            positions = positions[order]
            leaves = np.frombuffer(leaves, np.uint8).reshape(-1, 32)[order].tobytes()
        return positions, leaves, sorted(self.exceptions)


def days_of_file(records: OpenTable, name: str) -> set[date]:
    """The days of a data file's rows, from the rows: its statistics could be forged to hide them.

    Looking at statistics also ends the process, not the call, where a forged footer makes Parquet's C++ throw there.
    """
    path = records.files.path(name)
    with decoding(path), pq.ParquetFile(path) as file:
        return {day for batch in file.iter_batches(columns=["day"]) for day in pc.unique(batch["day"]).to_pylist()}


def rows_of_file(records: OpenTable, name: str) -> dict[SnapshotName, FoundRows]:
    """All rows of a data file, hashed, by snapshot.

    Raises:
        StorageError: the file is missing or cannot be decoded.
        ProofError: its columns are not those of `records`, or a salt is not 16 bytes.
    """
    path = records.files.path(name)
    found: dict[SnapshotName, FoundRows] = {}
    with decoding(path), pq.ParquetFile(path, read_dictionary=["source_id"]) as file:
        if file.schema_arrow.names != records.table.schema.names:
            raise ProofError(f"{path}: its columns are not those of `records`")
        for batch in file.iter_batches(_BATCH_ROWS):
            for snapshot, rows in _runs(batch, path.name):
                found.setdefault(snapshot, FoundRows()).merge(rows)
    return found


def _runs(batch: pa.RecordBatch, file: str) -> Iterator[tuple[SnapshotName, FoundRows]]:
    """The batch's rows cut where the snapshot changes."""
    salts = batch["salt"]
    if batch.num_rows and (salts.null_count or pc.min_max(pc.binary_length(salts)) != _SALT_LENGTHS):
        raise ProofError(f"{file}: a salt is not {SALT_BYTES} bytes")
    leaves = hashing.hash_leaves(b"".join(salts.to_pylist()), batch["record"].cast(pa.binary()))
    sources = batch["source_id"]
    codes, generations, snapshots = (
        sources.indices.to_numpy(zero_copy_only=False),
        batch["generation"].to_numpy(),
        batch["snapshot"].to_numpy(),
    )
    is_new = np.ones(batch.num_rows, bool)
    is_new[1:] = (codes[1:] != codes[:-1]) | (generations[1:] != generations[:-1]) | (snapshots[1:] != snapshots[:-1])
    starts = np.append(np.flatnonzero(is_new), batch.num_rows)
    positions = batch["position"].to_numpy()
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        part = batch.slice(begin, end - begin)
        name = (sources[begin].as_py(), int(generations[begin]), int(snapshots[begin]))
        yield (
            name,
            FoundRows(
                set(pc.unique(part["day"]).to_pylist()),
                [positions[begin:end].copy()],
                [leaves[32 * begin : 32 * end]],
                _exceptions(part),
            ),
        )


def _exceptions(rows: pa.RecordBatch) -> list[tuple[int, str, str]]:
    is_odd = pc.or_(pc.not_equal(rows["status"], "ok"), pc.not_equal(rows["reason"], ""))
    odd = rows.select(["position", "status", "reason"]).filter(is_odd)
    return [(row["position"], row["status"], row["reason"]) for row in odd.to_pylist()]


_SALT_LENGTHS = pa.scalar({"min": SALT_BYTES, "max": SALT_BYTES}, pa.struct([("min", pa.int32()), ("max", pa.int32())]))
