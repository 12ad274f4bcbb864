"""Events as Arrow tables: common columns, event names, and what does not fit its column moved to `extra_json`."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from audit_pipeline.formats.adapter import EventRef, SourceContext
from audit_pipeline.records import canonical
from audit_pipeline.records.events import COMMON_COLUMNS, EVENT_COLUMNS, EVENT_SCHEMAS, MESSAGES, event_id

_MISFIT = object()


class EventRows:
    """Rows of the event tables of one snapshot, added in order of position."""

    def __init__(self, source: SourceContext, source_format: str, adapter_version: str) -> None:
        self._source = source
        self._position = -1
        self._ordinals: dict[str, int] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._common = {
            "day": source.day,
            "source_id": source.source_id,
            "generation": source.generation,
            "snapshot": source.snapshot,
            "source_format": source_format,
            "adapter_version": adapter_version,
            "event_time": source.mtime,
            "event_time_quality": "none" if source.mtime is None else "file_mtime",
        }

    def add(self, position: int, table: str, values: dict[str, Any]) -> None:
        """Add an event of the record at `position`. Never raises on a value, whatever its type."""
        if position != self._position:
            self._position, self._ordinals = position, {}
        ordinal = self._ordinals.get(table, 0)
        self._ordinals[table] = ordinal + 1
        row: dict[str, Any] = {"position": position, "event_id": self._event_id(table, ordinal)}
        extra = dict(values.get("extra") or {})
        fits = _FITS[table]
        for name, value in values.items():
            if value is None or name == "extra":
                continue
            fitted = self._event_id(value.table, value.ordinal) if isinstance(value, EventRef) else fits[name](value)
            if fitted is _MISFIT:
                extra[name] = value
            else:
                row[name] = fitted
        if extra:
            row["extra_json"] = canonical.dump_canonical(extra).decode()
        self._rows.setdefault(table, []).append(row)

    def tables(self) -> dict[str, pa.Table]:
        """The rows by table; a table without rows is not there."""
        return {table: self._table(EVENT_SCHEMAS[table], rows) for table, rows in self._rows.items()}

    def _table(self, schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
        columns = {}
        for name in schema.names:
            otherwise = self._common.get(name)
            columns[name] = [row.get(name, otherwise) for row in rows]
        return pa.Table.from_pydict(columns, schema=schema)

    def _event_id(self, table: str, ordinal: int) -> str:
        source = self._source
        return event_id(source.source_id, source.generation, source.snapshot, self._position, table, ordinal)


def _text(value: Any) -> Any:
    if type(value) is str and value.isascii():  # nearly always
        return value
    if not isinstance(value, str) or isinstance(value, canonical.OutOfRange):
        return _MISFIT
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which Arrow refuses
        return _MISFIT
    return value


def _integer(bits: int) -> Callable[[Any], Any]:
    limit = 1 << (bits - 1)

    def fit(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return value if is_integer and -limit <= value < limit else _MISFIT

    return fit


def _double(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return _MISFIT
    try:
        number = float(value)
    except OverflowError:
        return _MISFIT
    # A decimal is rounded as every reader of a double expects; an integer whose last digits would go is not.
    return _MISFIT if isinstance(value, int) and number != value else number


def _list_of(fit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fit_list(value: Any) -> Any:
        if not isinstance(value, list) or isinstance(value, canonical.RepeatedKeys):
            return _MISFIT
        fitted = [None if element is None else fit(element) for element in value]
        return _MISFIT if any(element is _MISFIT for element in fitted) else fitted

    return fit_list


def _instance_of(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else _MISFIT


def _fit_of(kind: pa.DataType) -> Callable[[Any], Any]:
    if kind == MESSAGES:
        return lambda value: value  # made by `as_messages`, which gives nothing else
    if pa.types.is_list(kind):
        return _list_of(_fit_of(kind.value_type))
    if pa.types.is_string(kind):
        return _text
    if pa.types.is_integer(kind):
        return _integer(kind.bit_width)
    if pa.types.is_floating(kind):
        return _double
    return _instance_of(bool if pa.types.is_boolean(kind) else datetime)


_FITS = {
    table: {column.name: _fit_of(column.type) for column in COMMON_COLUMNS + columns}
    for table, columns in EVENT_COLUMNS.items()
}
