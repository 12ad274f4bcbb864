"""Items of a Parquet file: one object from column to value per row, read by batches.

JSON has no times: they become ISO 8601 text, exact to the unit of the column; an instant is written in UTC with `Z`.
A map becomes a list of [key, value] pairs, a duration `PT1.5S`, bytes and decimals what canonical JSON has for them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline.containers.item import Item, rest
from audit_pipeline.containers.json_text import dump_plain
from audit_pipeline.records import canonical

_BATCH_ROWS = 1024
_BATCH_BYTES = 32 << 20
_BUFFER_BYTES = 1 << 20
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_DAY_S = 86_400


class UndecodedText(bytes):
    """A text column's value that is not UTF-8: written as bytes are, and its row is quarantined."""


def iter_parquet(file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """Items of the Parquet file in `file`, without the first `skip`."""
    rows = _rows(file)
    while True:
        try:
            item = next(rows, None)
        # What pyarrow 26 raises on damaged files; a failing disk is an OSError too, but has an errno.
        except (pa.ArrowException, UnicodeDecodeError, OverflowError, OSError) as err:
            if isinstance(err, OSError) and err.errno is not None:
                raise
            item, rows = rest("unreadable"), iter(())
        if item is None:
            return
        if skip:
            skip -= 1
        else:
            yield item


def _rows(file: BinaryIO) -> Iterator[Item]:
    # Without pre_buffer, and with a buffer, a column is streamed: else a whole row group is held.
    parquet = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    names = parquet.schema_arrow.names
    are_unique = len(set(names)) == len(names) and not any(map(_repeats_fields, parquet.schema_arrow.types))
    count = 0
    for batch in parquet.iter_batches(batch_size=_batch_rows(parquet.metadata)):
        columns = [to_values(column) for column in batch.columns]
        count += batch.num_rows
        for row in _across(columns, batch.num_rows):
            yield _item(names, row, are_unique)
    if count != parquet.metadata.num_rows:
        yield rest("unreadable")


def _batch_rows(footer: pq.FileMetaData) -> int:
    """Rows to read at once: fewer where rows are large."""
    groups = map(footer.row_group, range(footer.num_row_groups))
    row_bytes = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))


def _item(names: list[str], row: tuple[Any, ...], are_unique: bool) -> Item:
    if are_unique:
        record = dump_plain(dict(zip(names, row, strict=True)))
    else:
        record = canonical.dump_canonical(_object(list(zip(names, row, strict=True))))
    is_text = not (b'{"$base64":' in record and _has_undecoded(row))
    return (record, "ok", "") if is_text else (record, "quarantined", "invalid_utf8")


def to_values(column: pa.Array) -> list[Any]:
    """The values of an Arrow array as canonical JSON takes them, None for null."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return to_values(column.storage)
    if pa.types.is_dictionary(kind):
        column.validate(full=True)  # of a damaged file, an index may be outside the dictionary
        values = to_values(column.dictionary)  # each once, however many rows have it
        return [None if index is None else values[index] for index in column.indices.to_pylist()]
    if (of_integer := _time_text(kind)) is not None:
        integers = column.view(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist()
        return [None if value is None else of_integer(value) for value in integers]
    if pa.types.is_struct(kind):
        return _struct_values(column)
    if pa.types.is_nested(kind):
        return _list_values(column)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [None if value is None else _text(value) for value in column.cast(pa.binary()).to_pylist()]


def _struct_values(column: pa.Array) -> list[Any]:
    names = [column.type.field(i).name for i in range(column.type.num_fields)]
    members = [to_values(member) for member in column.flatten()]
    objects = (_object(list(zip(names, row, strict=True))) for row in _across(members, len(column)))
    return [value if is_there else None for value, is_there in zip(objects, column.is_valid().to_pylist(), strict=True)]


def _list_values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_map(kind):  # which has no kernels of its own
        entry = pa.struct([pa.field("key", kind.key_type, nullable=False), pa.field("value", kind.item_type)])
        entries = column.cast(pa.list_(entry))
        elements, lengths = iter(_pairs(entries.flatten())), pc.list_value_length(entries)
    else:
        elements, lengths = iter(to_values(column.flatten())), pc.list_value_length(column)
    return [
        list(islice(elements, length)) if is_there else None
        for length, is_there in zip(lengths.to_pylist(), column.is_valid().to_pylist(), strict=True)
    ]


def _across(columns: list[list[Any]], count: int) -> Iterator[tuple[Any, ...]]:
    return zip(*columns, strict=True) if columns else repeat((), count)


def _pairs(entries: pa.Array) -> list[list[Any]]:
    return [list(pair) for pair in zip(*map(to_values, entries.flatten()), strict=True)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | canonical.RepeatedKeys:
    members = dict(pairs)
    return members if len(members) == len(pairs) else canonical.RepeatedKeys(pairs)


def _text(value: bytes) -> str | UndecodedText:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return UndecodedText(value)


def _has_undecoded(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_undecoded, value.values()))
    return isinstance(value, UndecodedText) or (isinstance(value, list | tuple) and any(map(_has_undecoded, value)))


def _repeats_fields(kind: pa.DataType) -> bool:
    fields = [kind.field(i) for i in range(kind.num_fields)]
    repeats = pa.types.is_struct(kind) and max(Counter(field.name for field in fields).values(), default=0) > 1
    return repeats or any(_repeats_fields(field.type) for field in fields)


def _time_text(kind: pa.DataType) -> Callable[[int], str] | None:
    """How an integer of this type is written as ISO 8601; None for a type that is not a time."""
    if pa.types.is_date32(kind):
        return _date
    if pa.types.is_date64(kind):
        return lambda value: _date(value // (_DAY_S * 1000))
    if pa.types.is_time(kind):
        return lambda value: _clock(value, kind.unit)
    if pa.types.is_timestamp(kind):
        suffix = "" if kind.tz is None else "Z"
        return lambda value: _instant(value, kind.unit) + suffix
    if pa.types.is_duration(kind):
        return lambda value: ("-" if value < 0 else "") + f"PT{_seconds(abs(value), kind.unit)}S"
    return None


def _instant(value: int, unit: str) -> str:
    days, rest_of_day = divmod(value, _DAY_S * _PER_SECOND[unit])
    return f"{_date(days)}T{_clock(rest_of_day, unit)}"


def _clock(value: int, unit: str) -> str:
    minutes, in_minute = divmod(value, 60 * _PER_SECOND[unit])
    seconds = _seconds(in_minute, unit)
    return f"{minutes // 60:02}:{minutes % 60:02}:{'0' if in_minute < 10 * _PER_SECOND[unit] else ''}{seconds}"


def _seconds(value: int, unit: str) -> str:
    whole, fraction = divmod(value, _PER_SECOND[unit])
    return f"{whole}.{fraction:0{_DIGITS[unit]}}" if _DIGITS[unit] else str(whole)


def _date(days: int) -> str:
    """A day counted from 1970-01-01 as ISO 8601 text; years outside 0 to 9999 have a sign, as section 4.1.2.4 says.

    Own arithmetic, because `datetime` ends at the year 9999 and Parquet does not: 400 years are 146,097 days, and a
    year that starts in March has its leap day at the end.
    """
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year += 400 * era + (month <= 2)
    year_text = f"{year:04}" if 0 <= year <= 9999 else f"{year:+05}"
    return f"{year_text}-{month:02}-{day_of_month:02}"
