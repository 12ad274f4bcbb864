"""SHA-256 of many short inputs at once, on Arrow, without holding the interpreter's lock.

hashlib takes about 0.7 us a call and holds the lock below 2 KiB; DataFusion hashes a batch in one call.
"""

import hashlib
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.records.canonical import RECORD_LEAF_PREFIX, SALT_BYTES
from audit_pipeline.tlog import hash_pairs

_FEW = 1024  # below this many inputs a plan costs more than hashlib
_thread = threading.local()


def hash_nodes(children: bytes) -> bytes:
    """Parents of adjacent pairs: 64 bytes in, 32 bytes out, SHA-256(0x01 || left || right) as in RFC 6962."""
    pairs = len(children) // 64
    if pairs < _FEW:
        return hash_pairs(children)
    rows = np.empty((pairs, 65), np.uint8)
    rows[:, 0] = 1
    rows[:, 1:] = np.frombuffer(children, np.uint8).reshape(pairs, 64)
    return _sha256(fixed_width(rows.reshape(-1), 65))


def hash_leaves(salts: bytes, records: pa.Array) -> bytes:
    """Leaf hashes of records: 16 bytes of salt and one binary value or view each; 32 bytes out each."""
    count = len(records)
    if len(salts) != SALT_BYTES * count:
        raise ValueError(f"{count} records need {SALT_BYTES * count} bytes of salt, got {len(salts)}")
    prefix = len(RECORD_LEAF_PREFIX)
    heads = np.empty((count, prefix + SALT_BYTES), np.uint8)
    heads[:, :prefix] = np.frombuffer(RECORD_LEAF_PREFIX, np.uint8)
    heads[:, prefix:] = np.frombuffer(salts, np.uint8).reshape(count, SALT_BYTES)
    if count < _FEW:
        sha256, rows = hashlib.sha256, heads.tobytes()
        width = prefix + SALT_BYTES
        return b"".join(
            [sha256(rows[width * i : width * (i + 1)] + record.as_py()).digest() for i, record in enumerate(records)]
        )
    return _sha256(fixed_width(heads.reshape(-1), prefix + SALT_BYTES), records)


def fixed_width(values: bytes | npt.NDArray[np.uint8], width: int) -> pa.Array:
    """A binary array over the bytes of values of one width, without a copy."""
    offsets = np.arange(0, len(values) + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(values) // width, [None, pa.py_buffer(offsets), pa.py_buffer(values)])


def join_fixed(values: pa.Array, width: int) -> bytes:
    """The values of a binary array, one after another.

    Raises:
        ValueError: one is not of this width.
    """
    joined, ends = _joined(values)
    if values.null_count or (np.diff(ends) != width).any():
        raise ValueError(f"a value does not have {width} bytes")
    return joined


def values_of(array: pa.Array) -> list[bytes]:
    """The values of a binary array without nulls, several times as fast as `to_pylist`."""
    joined, ends = _joined(array)
    return [joined[begin:end] for begin, end in pairwise(ends.tolist())]


def _joined(array: pa.Array) -> tuple[bytes, npt.NDArray[np.int32]]:
    """(the values one after another, where each begins and the last ends)."""
    values = array.cast(pa.binary())
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return b"", np.zeros(len(values) + 1, np.int32)
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    return bytes(memoryview(content)[ends[0] : ends[-1]]), ends - ends[0]


def _sha256(*columns: pa.Array) -> bytes:
    from datafusion import col, functions

    context = _context()
    names = [f"c{number}" for number in range(len(columns))]
    frame = context.create_dataframe([[pa.RecordBatch.from_arrays(list(columns), names)]], name="hashed")
    joined = functions.concat(*[col(name) for name in names]) if len(names) > 1 else col(names[0])
    batches = frame.select(functions.sha256(joined).alias("hash")).collect()
    context.deregister_table("hashed")
    return b"".join([join_fixed(batch.column(0), 32) for batch in batches])


def _context() -> Any:
    # One context a thread; one partition, because more would give the rows back in another order.
    if not hasattr(_thread, "context"):
        from datafusion import SessionConfig, SessionContext

        _thread.context = SessionContext(SessionConfig().with_target_partitions(1))
    return _thread.context
