"""Some records of a data file, with what joins them to the roots of their snapshots."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.forests import ProvedTree, prove_trees
from audit_pipeline.lake.hashing import hash_leaves, join_fixed
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.canonical import SALT_BYTES
from audit_pipeline.tlog.bundle import BundledRecord

_COLUMNS = ["record", "salt", "status", "reason"]
_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PickedRows:
    """Records of one snapshot, and their proof in the tree of all of it."""

    entry: tlog.SourceEntry
    path: str
    proved: ProvedTree
    """With the root that the rows give: it is for the caller to compare with the entry's."""
    exceptions: tuple[tuple[int, str, str], ...]
    """Of all of the snapshot."""
    records: tuple[BundledRecord, ...]


def pick_rows(records: OpenTable, name: str, wanted: Mapping[tlog.SourceEntry, Collection[int]]) -> list[PickedRows]:
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
    is_wanted = [entry in wanted for entry, _ in described]
    if not any(is_wanted):
        return []
    if not all(is_wanted):
        rows = rows.filter(pa.array(np.repeat(is_wanted, [entry.records for entry, _ in described])))
        described = [one for one in described if one[0] in wanted]
    with decoding(path):
        return _pick(described, rows, [sorted(wanted[entry]) for entry, _ in described])


def _pick(
    described: Sequence[tuple[tlog.SourceEntry, str]], rows: pa.Table, positions: Sequence[Sequence[int]]
) -> list[PickedRows]:
    """Of whole snapshots, whose rows follow each other."""
    entries = [entry for entry, _ in described]
    offsets = [np.array(some, np.int64) - entry.position for some, entry in zip(positions, entries, strict=True)]
    sizes = [entry.records for entry in entries]
    starts = np.cumsum([0, *sizes])
    leaves, picked = _read(rows, np.concatenate([some + at for some, at in zip(offsets, starts, strict=False)]))
    found = iter(picked)
    exceptions = _exceptions(rows, entries, starts)
    return [
        PickedRows(entry, path, tree, of_entry, tuple(BundledRecord(position, *next(found)) for position in some))
        for (entry, path), tree, of_entry, some in zip(
            described, prove_trees(leaves, sizes, offsets), exceptions, positions, strict=True
        )
    ]


def _read(rows: pa.Table, wanted: _Numbers) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The leaf hashes of all rows, and (salt, record) of the wanted ones."""
    leaves: list[bytes] = []
    picked: list[tuple[bytes, bytes]] = []
    first = 0
    for batch in rows.to_batches():
        salts, records = join_fixed(batch["salt"], SALT_BYTES), batch["record"].cast(pa.binary())
        leaves.append(hash_leaves(salts, records))
        here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + batch.num_rows)] - first
        of_each = [salts[SALT_BYTES * at : SALT_BYTES * (at + 1)] for at in here.tolist()]
        picked += zip(of_each, records.take(pa.array(here)).to_pylist(), strict=True)
        first += batch.num_rows
    return b"".join(leaves), picked


def _exceptions(
    rows: pa.Table, entries: Sequence[tlog.SourceEntry], starts: _Numbers
) -> list[tuple[tuple[int, str, str], ...]]:
    """(position, status, reason) of the records that are not ok, by snapshot."""
    is_odd = pc.or_(pc.not_equal(rows["status"], "ok"), pc.not_equal(rows["reason"], ""))
    odd_at = np.flatnonzero(is_odd.to_numpy())
    odd = rows.select(["status", "reason"]).filter(is_odd).to_pylist()
    bounds = np.searchsorted(odd_at, starts).tolist()
    positions = odd_at.tolist()
    return [
        tuple(
            (entry.position + positions[at] - start, odd[at]["status"], odd[at]["reason"])
            for at in range(bounds[number], bounds[number + 1])
        )
        for number, (entry, start) in enumerate(zip(entries, starts.tolist(), strict=False))
    ]
