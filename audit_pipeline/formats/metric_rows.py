"""Rows of `training_metrics` from whole log entries at once: a column for all of them, not a row for each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.formats.adapter import Block, Metrics
from audit_pipeline.formats.columns import EXACT, plain_column, plain_doubles
from audit_pipeline.formats.metrics import canonical_of, metric_value, split_of

Columns = dict[str, pa.Array]


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


def metric_blocks(
    positions: npt.NDArray[np.int64], entries: Sequence[Mapping[str, Any]], common: Mapping[str, pa.Array]
) -> list[Block] | None:
    """What `metric_events` gives of log entries at these positions; None where a value is no finite number.

    `common`: the columns that all rows of an entry have, a value for each entry.
    """
    kinds: dict[tuple[str, ...], list[int]] = {}
    for at, entry in enumerate(entries):
        kinds.setdefault(tuple(entry), []).append(at)
    blocks: list[Block] = []
    for names, of in kinds.items():
        values = plain_doubles(list(chain.from_iterable(entries[at].values() for at in of)))
        metric = plain_column(names, pa.string())
        if values is None or metric is None:
            return None
        if names:
            shared = {name: array.take(pa.array(of)) for name, array in common.items()}
            blocks += _blocks_of(positions[of], names, metric, values.reshape(len(of), len(names)), shared)
    return blocks


def _blocks_of(
    positions: npt.NDArray[np.int64],
    names: Sequence[str],
    metric: pa.Array,
    values: npt.NDArray[np.float64],
    common: Mapping[str, pa.Array],
) -> Iterator[Block]:
    count, width = values.shape
    of_row = pa.array(np.repeat(np.arange(count), width))
    of_name = pa.array(np.tile(np.arange(width), count))
    rows = {name: array.take(of_row) for name, array in common.items()}
    texts = {"metric_canonical": list(map(canonical_of, names)), "split": list(map(split_of, names))}
    rows |= {column: pa.array(of, pa.string()).take(of_name) for column, of in texts.items()}
    fixed = {"metric": metric.take(of_name), "value": pa.array(values.ravel()), "value_state": "finite", "attempt": 0}
    yield "training_metrics", np.repeat(positions, width), rows | fixed
    updates: dict[str, Any] = {}
    for at, (canonical_name, split) in enumerate(zip(*texts.values(), strict=True)):
        if canonical_name is not None and split == "train":
            updates.setdefault(canonical_name, pa.array(values[:, at]))
    if updates:
        yield "policy_updates", positions, {**common, **updates, "attempt": 0}


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
        if type(value) is int and -EXACT <= value <= EXACT:
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
