"""Events as Arrow tables: common columns, event names, pseudonyms, what does not fit moved, what must not be, out."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from audit_pipeline.formats.adapter import EventRef, Person, SourceContext
from audit_pipeline.formats.withheld import withhold
from audit_pipeline.records import canonical
from audit_pipeline.records.events import COMMON_COLUMNS, EVENT_COLUMNS, EVENT_SCHEMAS, MESSAGES, event_id
from audit_pipeline.records.pseudonyms import PersonKeys

_MISFIT = object()
FINDINGS = "log_findings"


class EventRows:
    """Rows of the event tables of one snapshot, added in order of position."""

    def __init__(self, source: SourceContext, source_format: str, adapter_version: int, people: PersonKeys) -> None:
        self._source = source
        self._people = people
        self._position = -1
        self._ordinals: Counter[str] = Counter()
        self._findings: Counter[int] = Counter()
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._common = {
            "day": source.day,
            "source_id": source.source_id,
            "generation": source.generation,
            "snapshot": source.snapshot,
            "source_format": source_format,
            "adapter_version": str(adapter_version),
            "event_time": source.mtime,
            "event_time_quality": "none" if source.mtime is None else "file_mtime",
        }

    def add(self, position: int, table: str, values: dict[str, Any]) -> None:
        """Add an event of the record at `position`. Never raises on a value, whatever its type."""
        if table == FINDINGS:  # which are also added when all other events are there
            ordinal, self._findings[position] = self._findings[position], self._findings[position] + 1
        else:
            if position != self._position:
                self._position, self._ordinals = position, Counter()
            ordinal, self._ordinals[table] = self._ordinals[table], self._ordinals[table] + 1
        row: dict[str, Any] = {"position": position, "event_id": self._event_id(position, ordinal)}
        if table == "annotations":
            row["bounding_hash"] = self._people.bounding_hash(row["event_id"])
        extra = dict(values.get("extra") or {})
        fits = _FITS[table]
        for name, value in values.items():
            if value is None or name == "extra":
                continue
            if isinstance(value, EventRef):
                row[name] = self._event_id(position, value.ordinal)
            elif isinstance(value, Person):
                row[name] = self._people.pseudonym(value.raw)
            elif (fitted := fits[name](value)) is _MISFIT:
                extra[name] = value
            else:
                row[name] = fitted
        if extra:
            row["extra_json"] = canonical.dump_canonical(extra).decode()
        self._rows.setdefault(table, []).append(row)

    def add_no_event(self, position: int, why: str) -> None:
        """Say why the record at `position` gives no event, unless it gave one."""
        self.add(position, FINDINGS, {"kind": "no_event", "found": why})

    def positions(self) -> set[int]:
        """Records that gave an event or a finding."""
        return {row["position"] for rows in self._rows.values() for row in rows}

    def tables(self) -> dict[str, pa.Table]:
        """The rows by table; a table without rows is not there. Once only: what is withheld becomes findings."""
        tables = {}
        for table in [name for name in self._rows if name != FINDINGS]:
            tables[table], withheld = withhold(self._table(EVENT_SCHEMAS[table], self._rows[table]))
            for at, column, kind in withheld:
                row = self._rows[table][at]
                where = {"in_table": table, "in_column": column, "of_event": row["event_id"]}
                self.add(row["position"], FINDINGS, {"kind": "withheld", "found": kind, **where})
        if FINDINGS in self._rows:
            tables[FINDINGS] = self._table(EVENT_SCHEMAS[FINDINGS], self._rows[FINDINGS])
        return tables

    def _table(self, schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
        columns = {}
        for name in schema.names:
            otherwise = self._common.get(name)
            columns[name] = [row.get(name, otherwise) for row in rows]
        return pa.Table.from_pydict(columns, schema=schema)

    def _event_id(self, position: int, ordinal: int) -> str:
        source = self._source
        return event_id(source.source_id, source.generation, source.snapshot, position, ordinal)


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
