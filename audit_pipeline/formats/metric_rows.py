"""Rows of `training_metrics` from whole log entries at once: a column for all of them, not a row for each."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from audit_pipeline.formats.adapter import Metrics
from audit_pipeline.formats.metrics import canonical_of, metric_value

Columns = dict[str, pa.Array]

_EXACT = float(1 << 53)  # up to here a double is any integer


def expand(entry: Metrics) -> list[dict[str, Any]]:
    """The rows of one entry, each alone."""
    rows = []
    for name, value in entry.values.items():
        of = {"metric": name, "metric_canonical": canonical_of(name), "split": entry.split(name), "attempt": 0}
        rows.append({**entry.common, **of, **metric_value(value)})
    return rows


def metric_columns(
    entries: Sequence[Metrics], columns_of: Callable[[Sequence[Mapping[str, Any]]], Columns]
) -> Columns | None:
    """The columns of all entries' rows; None where a name or a value is text that may not fit, so that each row
    must be looked at.

    `columns_of` makes the columns that all rows of an entry have.
    """
    names = list(chain.from_iterable(entry.values for entry in entries))
    try:
        metric = pa.array(names, pa.string()).dictionary_encode()
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None
    entry_of_row = np.repeat(np.arange(len(entries)), [len(entry.values) for entry in entries])
    common = columns_of([entry.common for entry in entries])
    columns = {name: array.take(pa.array(entry_of_row)) for name, array in common.items()}
    known = metric.dictionary.to_pylist()
    columns["metric"] = metric.cast(pa.string())
    columns["metric_canonical"] = _by_name(metric, list(map(canonical_of, known)))
    columns["split"] = _splits(metric, known, entries, entry_of_row)
    columns["attempt"] = pa.array(np.zeros(len(names), np.int32))
    values = _values(list(chain.from_iterable(entry.values.values() for entry in entries)))
    return None if values is None else columns | values


def _by_name(metric: pa.DictionaryArray, texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.string()).take(metric.indices)


def _splits(metric: pa.DictionaryArray, known: list[str], entries: Sequence[Metrics], entry_of_row: Any) -> pa.Array:
    kinds = list(dict.fromkeys(entry.split for entry in entries))
    if len(kinds) == 1:
        return _by_name(metric, list(map(kinds[0], known)))
    # All names under each kind in turn, and of these the one that the entry is of.
    texts = pa.array([split(name) for split in kinds for name in known], pa.string())
    kind_of_entry = np.array([kinds.index(entry.split) for entry in entries])
    return texts.take(pa.array(kind_of_entry[entry_of_row] * len(known) + metric.indices.to_numpy()))


def _values(values: list[Any]) -> Columns | None:
    """What `metric_value` gives of each; None where a text is one that no column holds."""
    is_float = set(map(type, values)) == {float}
    odd = [] if is_float else [at for at, value in enumerate(values) if type(value) is not float]
    numbers = np.array(values if is_float else [v if type(v) is float else 0.0 for v in values], np.float64)
    state = np.zeros(len(values), np.int8)
    raw: dict[int, str] = {}
    for at in np.flatnonzero(~np.isfinite(numbers)).tolist():
        found = metric_value(values[at])
        state[at], raw[at] = _STATES.index(found["value_state"]), found["value_raw"]
    is_null = state > 0
    for at in odd:
        value = values[at]
        if type(value) is int and -_EXACT <= value <= _EXACT:
            numbers[at] = value
            continue
        if isinstance(value, str) and not (type(value) is str and value.isascii()):
            return None
        found = metric_value(value)
        numbers[at] = 0.0 if found["value"] is None else found["value"]
        is_null[at] = found["value"] is None
        state[at] = _STATES.index(found["value_state"])
        if found["value_raw"] is not None:
            raw[at] = found["value_raw"]
    texts: list[str | None] = [None] * len(values)
    for at, text in raw.items():
        texts[at] = text
    return {
        "value": pa.array(numbers, mask=is_null),
        "value_state": pa.array(_STATES, pa.string()).take(pa.array(state)),
        "value_raw": pa.array(texts, pa.string()),
    }


_STATES = ["finite", "nan", "+inf", "-inf", "null", "text"]
