"""Rows of `records` read back and hashed again, a data file at a time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.lake import hashing
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.places import Place
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.records.canonical import SALT_BYTES

_BATCH_ROWS = 1 << 15  # to hash fewer at once costs more a row
_MOST_BYTES = 512 << 20  # of a batch or a row group: a few stored bytes can stand for very many
_PLAIN_ENCODINGS = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_PLAIN_ENCODINGS |= {"DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}
_SHOWN = 5
_WORD = re.compile(r"[a-z0-9_]*")

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


def count_rows(records: OpenTable, name: str) -> int:
    """How many rows a data file says it has."""
    with decoding(records.files.path(name)):
        return int(pq.read_metadata(records.files.file(name)).num_rows)


def rows_of_file(records: OpenTable, name: str) -> dict[SnapshotName, FoundRows]:
    """All rows of a data file, hashed, by snapshot.

    Raises:
        StorageError: the file is missing or cannot be decoded.
        ProofError: its columns are not those of `records`, or a salt is not 16 bytes.
    """
    path = records.files.path(name)
    found: dict[SnapshotName, FoundRows] = {}
    with decoding(path):
        repeated = _repeated_columns(pq.read_metadata(records.files.file(name)), path)
        with pq.ParquetFile(records.files.file(name), read_dictionary=["source_id", *repeated]) as file:
            declared = [(field.name, field.type) for field in records.table.schema]
            if [(field.name, _plain(field.type)) for field in file.schema_arrow] != declared:
                raise ProofError(f"{path}: its columns are not those of `records`")
            for batch in file.iter_batches(_BATCH_ROWS):
                if any(column.null_count for column in batch.columns):
                    raise ProofError(f"{path}: has rows without a value where `records` allows none")
                for snapshot, rows in _runs(_expanded(batch, path), path):
                    found.setdefault(snapshot, FoundRows()).merge(rows)
    return found


def _repeated_columns(footer: pq.FileMetaData, path: Place) -> list[str]:
    """The columns of bytes or text whose values are written once and repeated by number.

    Raises:
        ProofError: a column is written in a way that none of ours is, or unpacks to more than a row group holds.
    """
    repeated = set()
    for group in range(footer.num_row_groups):
        for at in range(footer.num_columns):
            column = footer.row_group(group).column(at)
            encodings = set(column.encodings)
            if not encodings <= _PLAIN_ENCODINGS or column.total_uncompressed_size > _MOST_BYTES:
                raise ProofError(f"{path}: column {column.path_in_schema} is not written as ours are")
            if column.physical_type == "BYTE_ARRAY" and any("DICTIONARY" in encoding for encoding in encodings):
                repeated.add(column.path_in_schema)
    return sorted(repeated)


def _expanded(batch: pa.RecordBatch, path: Place) -> pa.RecordBatch:
    """The batch with its repeated values written out, but for `source_id`."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type) and name != "source_id":
            size_bytes = pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
            if size_bytes > _MOST_BYTES:
                raise ProofError(f"{path}: column {name} unpacks to {size_bytes} bytes in {batch.num_rows} rows")
            column = column.dictionary_decode()
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def check_statistics(open_: OpenTable, name: str) -> None:
    """Check that a data file's own statistics are those of its values: engines skip what they say is not there.

    Raises:
        ProofError: they are not, or there are some where we write none.
        StorageError: the file cannot be read.
    """
    path, indexed = open_.files.path(name), list(open_.table.indexed)
    with decoding(path), pq.ParquetFile(open_.files.file(name)) as file:
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group, columns=indexed)
            for at in range(file.metadata.num_columns):
                column = file.metadata.row_group(group).column(at)
                is_indexed, said = column.path_in_schema in indexed, column.statistics
                bounds = None if said is None or not said.has_min_max else (said.min, said.max)
                least = pc.min_max(rows[column.path_in_schema]).as_py() if is_indexed else {}
                if bounds != ((least["min"], least["max"]) if is_indexed else None) or column.has_column_index:
                    raise ProofError(f"{path}: its statistics of {column.path_in_schema} are not those of its rows")


def snapshot_fault(entry: tlog.SourceEntry, rows: FoundRows) -> str | None:
    """Why these rows are not the records that `entry` commits to; None where they are."""
    if rows.count != entry.records:
        return _position_fault(entry, rows)
    positions, leaves, exceptions = rows.in_order()
    if not np.array_equal(positions, np.arange(entry.position, entry.position + entry.records)):
        return _position_fault(entry, rows)
    if other_days := rows.days - {entry.day}:
        return f"rows say day {min(other_days)}"
    if canonical.exceptions_digest(exceptions) != entry.exceptions:
        return "a status or reason was changed"
    if tlog.tree_root(leaves, hashing.hash_nodes).hex() != entry.root:
        return "a record or a salt was changed: the rows do not give the sealed root"
    return None


def _position_fault(entry: tlog.SourceEntry, rows: FoundRows) -> str:
    found = rows.in_order()[0]
    last = entry.position + entry.records - 1
    window = np.arange(entry.position, min(last, entry.position + len(found) + _SHOWN) + 1)
    faults = (
        ("missing", np.setdiff1d(window, found)),
        ("not sealed", found[(found < entry.position) | (found > last)]),
        ("twice", found[1:][found[1:] == found[:-1]]),
    )
    named = "; ".join(f"{fault} {', '.join(map(str, which[:_SHOWN]))}" for fault, which in faults if len(which))
    return f"expected {entry.records} rows, found {len(found)}: position {named}"


def _plain(of: pa.DataType) -> pa.DataType:
    """A column's type, whatever way of holding it in memory the file was written from."""
    if pa.types.is_dictionary(of):
        return _plain(of.value_type)
    if pa.types.is_large_string(of) or pa.types.is_string_view(of):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(of) or pa.types.is_binary_view(of) else of


def runs_of(batch: pa.RecordBatch) -> Iterator[tuple[SnapshotName, int, int]]:
    """(snapshot, first row, row after the last) of each run of rows; `source_id` is a dictionary."""
    sources = batch["source_id"]
    codes, generations, snapshots = (
        sources.indices.to_numpy(zero_copy_only=False),
        batch["generation"].to_numpy(),
        batch["snapshot"].to_numpy(),
    )
    is_new = np.ones(batch.num_rows, bool)
    is_new[1:] = (codes[1:] != codes[:-1]) | (generations[1:] != generations[:-1]) | (snapshots[1:] != snapshots[:-1])
    starts = np.append(np.flatnonzero(is_new), batch.num_rows)
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield (sources[begin].as_py(), int(generations[begin]), int(snapshots[begin])), begin, end


def _runs(batch: pa.RecordBatch, path: Place) -> Iterator[tuple[SnapshotName, FoundRows]]:
    """The batch's rows cut where the snapshot changes."""
    try:
        salts = hashing.join_fixed(batch["salt"], SALT_BYTES)
    except ValueError as err:
        raise ProofError(f"{path}: a salt is not {SALT_BYTES} bytes") from err
    leaves = hashing.hash_leaves(salts, batch["record"].cast(pa.binary()))
    positions, is_odd, days = batch["position"].to_numpy(), _is_odd(batch), pc.unique(batch["day"]).to_pylist()
    for name, begin, end in runs_of(batch):
        yield (
            name,
            FoundRows(
                set(days if len(days) == 1 else pc.unique(batch["day"][begin:end]).to_pylist()),
                [positions[begin:end].copy()],
                [leaves[32 * begin : 32 * end]],
                _exceptions(batch, begin + np.flatnonzero(is_odd[begin:end])),
            ),
        )


def _is_odd(rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which rows have another status than `ok`, or a reason."""
    said = {*pc.unique(rows["status"]).to_pylist(), *pc.unique(rows["reason"]).to_pylist()}
    if not all(map(_WORD.fullmatch, said)):
        raise ProofError("a status or reason is not a word of ours")  # a newline in one would read as another line
    is_odd = pc.or_(pc.not_equal(rows["status"], "ok"), pc.not_equal(rows["reason"], ""))
    return np.asarray(is_odd.to_numpy(zero_copy_only=False), bool)


def _exceptions(rows: pa.RecordBatch, odd: npt.NDArray[np.int64]) -> list[tuple[int, str, str]]:
    if not len(odd):
        return []
    found = rows.select(["position", "status", "reason"]).take(pa.array(odd))
    return [(row["position"], row["status"], row["reason"]) for row in found.to_pylist()]
