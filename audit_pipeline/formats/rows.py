"""Events as Arrow tables: common columns, event names, pseudonyms, what does not fit moved, what must not be, out.

Tables are built a column at a time. A column whose values are all of its own type is taken as it is; any other is
fitted value by value.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.formats.adapter import EventRef, Metrics, Person, SourceContext
from audit_pipeline.formats.columns import plain_column
from audit_pipeline.formats.metric_rows import Columns, expand, metric_columns
from audit_pipeline.formats.withheld import withhold
from audit_pipeline.records import canonical
from audit_pipeline.records.events import COMMON_COLUMNS, EVENT_COLUMNS, EVENT_SCHEMAS, MESSAGES, event_id
from audit_pipeline.records.pseudonyms import PersonKeys

_MISFIT = object()
FINDINGS = "log_findings"
METRICS = "training_metrics"


class EventRows:
    """Rows of the event tables of some snapshots, added in order; what is withheld of them becomes findings."""

    def __init__(self, source_format: str, adapter_version: int, people: PersonKeys) -> None:
        self._format = {"source_format": source_format, "adapter_version": str(adapter_version)}
        self._people = people
        self._sources: list[SourceContext] = []
        self._events: dict[str, _Events] = {}
        self._blocks: dict[str, list[tuple[int, npt.NDArray[np.int64], Mapping[str, Any]]]] = {}
        """By table: (which source, positions, columns) of events that were added by column."""

    def begin(self, source: SourceContext) -> None:
        """What is added from here on is of this snapshot."""
        self._sources.append(source)

    def add(self, position: int, table: str, values: dict[str, Any] | Metrics) -> None:
        """Add an event of the record at `position`, or all of its metrics. Never raises on a value of whatever type."""
        if type(values) is not Metrics or values.values:
            self._add(len(self._sources) - 1, position, table, values)

    def add_columns(self, table: str, positions: npt.NDArray[np.int64], columns: Mapping[str, Any]) -> None:
        """Add many events at once, of the record at each of `positions`; `Block` says what columns are."""
        self._blocks.setdefault(table, []).append((len(self._sources) - 1, positions, columns))

    def add_no_event(self, position: int, why: str) -> None:
        """Say why the record at `position` gives no event, unless it gave one."""
        self.add(position, FINDINGS, {"kind": "no_event", "found": why})

    def _add(self, source: int, position: int, table: str, values: dict[str, Any] | Metrics) -> None:
        if table not in self._events:
            self._events[table] = _Events()
        events = self._events[table]
        events.sources.append(source)
        events.positions.append(position)
        events.values.append(values)

    def tables(self) -> dict[str, pa.Table]:
        """The rows by table; a table without rows is not there. Once only: what is withheld becomes findings."""
        tables = {}
        for name in [name for name in {**self._events, **self._blocks} if name != FINDINGS]:
            made, of_source = self._all_rows(name)
            tables[name], withheld = withhold(made)
            for at, column, kind in withheld:
                where = {"in_table": name, "in_column": column, "of_event": made["event_id"][at].as_py()}
                finding = {"kind": "withheld", "found": kind, **where}
                self._add(int(of_source[at]), made["position"][at].as_py(), FINDINGS, finding)
        if FINDINGS in self._events:
            tables[FINDINGS], _ = self._rows(FINDINGS, self._events[FINDINGS])
        return tables

    def _all_rows(self, name: str) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The rows of a table in the order of their records, and of which snapshot each is."""
        made = [self._rows(name, self._events[name])] if name in self._events else []
        made += [self._block(name, *block) for block in self._blocks.get(name, ())]
        if len(made) == 1:
            return made[0]
        rows, of_source = pa.concat_tables([table for table, _ in made]), np.concatenate([of for _, of in made])
        order = np.lexsort((rows["position"].to_numpy(), of_source))  # of a record, as they were added
        if (np.diff(order) == 1).all():
            return rows, of_source
        return rows.take(pa.array(order)), of_source[order]

    def _rows(self, name: str, events: "_Events") -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The rows of events that were added one by one."""
        positions, of_source = np.array(events.positions, np.int64), np.array(events.sources, np.int64)
        if name == METRICS:
            widths = [len(of.values) if type(of) is Metrics else 1 for of in events.values]
            positions, of_source = np.repeat(positions, widths), np.repeat(of_source, widths)
        ids = self._event_ids(of_source, positions)
        columns = None
        if name == METRICS and all(type(event) is Metrics for event in events.values):
            columns = metric_columns(events.values, lambda common: self._columns(name, common, []))
        if columns is None:
            rows = chain.from_iterable(expand(event) if type(event) is Metrics else [event] for event in events.values)
            columns = self._columns(name, list(rows), ids.to_pylist())
        if name == "annotations":
            columns["bounding_hash"] = pa.array(map(self._people.bounding_hash, ids.to_pylist()), pa.string())
        return self._assembled(name, columns, ids, of_source, positions), of_source

    def _block(
        self, name: str, source: int, positions: npt.NDArray[np.int64], given: Mapping[str, Any]
    ) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """The rows of events that were added by column."""
        of_source = np.full(len(positions), source, np.int64)
        columns: Columns = {}
        for column, values in given.items():
            if isinstance(values, EventRef):
                columns[column] = self._ids_with(of_source, positions, np.full(len(positions), values.ordinal))
            elif isinstance(values, pa.Array):
                columns[column] = values
            else:
                columns[column] = pa.repeat(pa.scalar(values, EVENT_SCHEMAS[name].field(column).type), len(positions))
        ids = self._event_ids(of_source, positions)
        return self._assembled(name, columns, ids, of_source, positions), of_source

    def _assembled(
        self,
        name: str,
        columns: Columns,
        ids: pa.Array,
        of_source: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
    ) -> pa.Table:
        """The rows with the columns that all tables have."""
        columns = {**columns, "position": pa.array(positions), "event_id": ids}
        schema = EVENT_SCHEMAS[name]
        for column, values in self._of_sources().items():
            otherwise = pa.array(values, schema.field(column).type).take(pa.array(of_source))
            columns[column] = pc.coalesce(columns[column], otherwise) if column in columns else otherwise
        arrays = [
            columns[column.name]
            if column.name in columns
            else pa.repeat(pa.scalar(self._format.get(column.name), column.type), len(positions))
            for column in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def _of_sources(self) -> dict[str, list[Any]]:
        """Values of columns that an event's source says, unless the event does."""
        sources = self._sources
        return {
            "day": [source.day for source in sources],
            "source_id": [source.source_id for source in sources],
            "generation": [source.generation for source in sources],
            "snapshot": [source.snapshot for source in sources],
            "event_time": [source.mtime for source in sources],
            "event_time_quality": ["none" if source.mtime is None else "file_mtime" for source in sources],
        }

    def _columns(self, table: str, events: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Columns:
        """The columns that the events give. `ids` are theirs, in whose record what an EventRef names is, too."""
        columns: Columns = {}
        extras: dict[int, dict[str, Any]] = {}
        for name in sorted(set().union(*events) - {"extra"}):
            values = [event.get(name) for event in events]
            kind = EVENT_SCHEMAS[table].field(name).type
            array = plain_column(values, kind)
            if array is None:
                array = pa.array(self._fitted(table, name, values, ids, extras), kind)
            columns[name] = array
        for at, event in enumerate(events):
            if extra := event.get("extra"):
                extras[at] = {**extra, **extras.get(at, {})}
        if extras:
            texts = {at: canonical.dump_canonical(extra).decode() for at, extra in extras.items()}
            columns["extra_json"] = pa.array(map(texts.get, range(len(events))), pa.string())
        return columns

    def _fitted(
        self, table: str, name: str, values: Sequence[Any], ids: Sequence[str], extras: dict[int, dict[str, Any]]
    ) -> list[Any]:
        """The values that fit the column; the others go to `extras`, by row."""
        fit, fitted = _FITS[table][name], []
        for at, value in enumerate(values):
            found = None
            if isinstance(value, EventRef):
                found = f"{ids[at].rpartition('-')[0]}-{value.ordinal}"
            elif isinstance(value, Person):
                found = self._people.pseudonym(value.raw)
            elif value is not None and (found := fit(value)) is _MISFIT:
                found = None
                extras.setdefault(at, {})[name] = value
            fitted.append(found)
        return fitted

    def _event_ids(self, of_source: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]) -> pa.Array:
        return self._ids_with(of_source, positions, _ordinals(of_source, positions))

    def _ids_with(
        self,
        of_source: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        ordinals: npt.NDArray[np.int64],
    ) -> pa.Array:
        snapshots = [
            event_id(source.source_id, source.generation, source.snapshot, 0, 0).removesuffix("-0-0")
            for source in self._sources
        ]
        numbers = (pa.array(of).cast(pa.string()) for of in (positions, ordinals))
        return pc.binary_join_element_wise(pa.array(snapshots).take(pa.array(of_source)), *numbers, "-")


@dataclass(slots=True)
class _Events:
    """What was added to one table."""

    sources: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


def _ordinals(of_source: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many rows of the same record stand before each."""
    count = len(positions)
    is_next_source, same_source = of_source[1:] > of_source[:-1], of_source[1:] == of_source[:-1]
    if (is_next_source | (same_source & (positions[1:] >= positions[:-1]))).all():
        first = np.concatenate([[True], is_next_source | (positions[1:] != positions[:-1])])
        return np.arange(count) - np.maximum.accumulate(np.where(first, np.arange(count), 0))
    seen: Counter[tuple[int, int]] = Counter()
    ordinals = []
    for record in zip(of_source.tolist(), positions.tolist(), strict=True):
        ordinals.append(seen[record])
        seen[record] += 1
    return np.array(ordinals, np.int64)


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
