"""Some records of a data file, with what joins them to the roots of their snapshots."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.hashing import hash_leaves
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.tlog.bundle import BundledRecord

_COLUMNS = ["record", "salt", "status", "reason"]


@dataclass(frozen=True, slots=True)
class PickedRows:
    """Records of one snapshot, and the leaf hashes of all of it, in order of position."""

    entry: tlog.SourceEntry
    path: str
    leaves: bytes
    exceptions: tuple[tuple[int, str, str], ...]
    records: tuple[BundledRecord, ...]


def pick_rows(
    records: OpenTable, name: str, wanted: Mapping[tlog.SourceEntry, Collection[int]]
) -> Iterator[PickedRows]:
    """The records at the wanted positions of each snapshot that the data file `name` has, in the file's order.

    A file's rows are whole snapshots in the order of its entries (docs/evidence-format.md section 4), so an entry says
    where its rows are, and its root is what shows that these are they. That is for the caller to check.

    Raises:
        StorageError: the file is missing or cannot be decoded.
        ProofError: it has other rows than its entries say.
    """
    batch, path = read_batch(records, name), records.files.path(name)
    with decoding(path):
        described = [(tlog.parse_source(one["entry"].encode()), str(one["path"])) for one in batch.snapshots]
        # The whole file at once: a batch ends near SNAPSHOT_BYTES.
        rows = pq.read_table(records.files.file(name), columns=_COLUMNS, partitioning=None)
    expected = sum(entry.records for entry, _ in described)
    if rows.num_rows != expected:
        raise ProofError(
            f"{path}: its entries say {expected} rows, it has {rows.num_rows}; run `audit-pipeline verify`"
        )
    at = 0
    for entry, source_path in described:
        if entry in wanted:
            with decoding(path):
                picked = _pick(entry, source_path, rows.slice(at, entry.records), sorted(wanted[entry]))
            yield picked
        at += entry.records


def _pick(entry: tlog.SourceEntry, path: str, rows: pa.Table, positions: list[int]) -> PickedRows:
    rows = rows.combine_chunks()
    contents = pa.concat_arrays(rows["record"].chunks).cast(pa.binary())
    salts = pa.concat_arrays(rows["salt"].chunks).to_pylist()
    is_odd = pc.or_(pc.not_equal(rows["status"], "ok"), pc.not_equal(rows["reason"], ""))
    odd = rows.select(["status", "reason"]).filter(is_odd).to_pylist()
    odd_at = np.flatnonzero(is_odd.to_numpy()).tolist()
    picked = [(position, position - entry.position) for position in positions]
    return PickedRows(
        entry=entry,
        path=path,
        leaves=hash_leaves(b"".join(salts), contents),
        exceptions=tuple(
            (entry.position + at, row["status"], row["reason"]) for at, row in zip(odd_at, odd, strict=True)
        ),
        records=tuple(BundledRecord(position, salts[at], contents[at].as_py()) for position, at in picked),
    )
