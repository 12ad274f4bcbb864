"""Columns from the values of many records, where all are of one plain type."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.records.events import MESSAGES

EXACT = 1 << 53
"""Up to here a double is any integer."""


def plain_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    """The column of these values; None where one needs to be fitted."""
    types = set(map(type, values))
    types.discard(type(None))
    if types and types != {_PLAIN_TYPES.get(kind)}:
        return None
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):  # a number too large; a lone surrogate
        return None


def full_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    """The column of these values; None where one is null, or needs to be fitted."""
    column = plain_column(values, kind)
    return column if column is not None and not column.null_count else None


def plain_doubles(values: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """These numbers as finite doubles; None where one is none, or is an integer that no double holds."""
    types = set(map(type, values))
    if not types <= {float, int} or (int in types and any(abs(v) > EXACT for v in values if type(v) is int)):
        return None
    numbers = np.array(values, np.float64)
    return numbers if np.isfinite(numbers).all() else None


_PLAIN_TYPES = {
    pa.string(): str,
    pa.int64(): int,
    pa.int32(): int,
    pa.float64(): float,
    pa.bool_(): bool,
    MESSAGES: list,  # made by `as_messages`, which gives nothing else
}
