"""What an adapter is: how one tool's log is recognised, and which events its records are.

A tool is one file with a tuple `ADAPTERS`, named in `adapters.py`. An adapter guesses nothing: what it has no column
for goes under the key `extra`, and a record it does not understand gives no event.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.formats.record import parse_record
from audit_pipeline.records import canonical

_MARKER = re.compile(r"\n(?:\n(?:Human|Assistant):|(?:user|assistant)\n)|<extra_id_1>|<\|im_start\|>")


@dataclass(frozen=True, slots=True)
class Metrics:
    """All numbers of a log entry, in place of an event of `training_metrics` for each; `metric_events` makes it."""

    values: Mapping[str, Any]
    """By the name that the source gives them."""
    common: Mapping[str, Any]
    """The columns that all have."""
    split: Callable[[str], str]
    """The split that a metric is of, by its name."""


Fields = Mapping[str, Sequence[Any]]
"""The values of many records that have the same keys, by key: plain JSON, without repeated keys or NaN."""

Event = tuple[int, str, dict[str, Any] | Metrics]
"""(position of its record, table, values by column). A value that does not fit its column moves to `extra_json`. Beside
the table's own columns the keys `run_id`, `event_time`, `event_time_quality` and `extra` (a dict) may be given.
`bounding_hash` is not the adapter's to give."""

Items = Iterable[tuple[int, Any]]
"""(position, value) of the records that can be read, in order."""


@dataclass(frozen=True, slots=True)
class EventRef:
    """Stands for the event_id of the same record's event number `ordinal` in `table`."""

    table: str
    ordinal: int


Block = tuple[str, npt.NDArray[np.int64], Mapping[str, Any]]
"""(table, position of the record of each row, values by column) of many events: an array of a column's type, or one
text, number, EventRef or None for all rows."""


@dataclass(frozen=True, slots=True)
class Person:
    """Stands for the keyed pseudonym of whom a source names so: an annotator, judge, user or host."""

    raw: str


@dataclass(frozen=True, slots=True)
class SourceContext:
    """The snapshot that records come from."""

    stream: str
    path: str
    """Relative to the stream's fixed folder, with `/`."""
    source_id: str
    generation: int
    snapshot: int
    day: date
    mtime: datetime | None
    """Aware, UTC."""
    mapping: str | None = None
    """What the policy says of the columns, as canonical JSON, where the format needs it said."""


def _no_events(source: SourceContext, items: Items) -> Iterator[Event]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Adapter:
    """How the logs of one tool are recognised and read."""

    name: str
    """The format, as policies and the `sources` table name it."""
    version: int
    """Counts up whenever the same record gives other events: then all are derived again."""
    containers: tuple[str, ...]
    """Containers it reads; the first is taken where a policy declares the format and content does not tell."""
    score: Callable[[str, Sequence[Any]], float] = lambda path, items: 0.0
    """How surely a file is this tool's, 0 to 1, by its path and a sample of its items. A Parquet sample is one item of
    example values, made from the schema. Text samples are lines."""
    events: Callable[[SourceContext, Items], Iterator[Event]] = _no_events
    """The events of each record, in order."""
    parse: Callable[[bytes], Any] = parse_record
    """The value of a record; ValueError where it has none."""
    reads: str = ""
    """Which files these are, in a sentence. docs/formats.md is made from this and `fields`."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where each column comes from: `table.column` to the source's own field, in words. Every column the adapter gives
    is here, and no other."""

    needs_newline: Callable[[str], bool] = lambda path: False
    """Whether half a line of a file of this path may read as a whole one: then a last line waits for its newline."""

    columns: Callable[[SourceContext, npt.NDArray[np.int64], Fields], Sequence[Block] | None] | None = None
    """What `events` gives of many records at these positions, by column; None where it does not know how. For formats
    of which there is so much that a row in Python for each takes too long; tests hold it equal to `events`."""

    @property
    def has_events(self) -> bool:
        """Whether it is a tool's; the others only keep."""
        return self.events is not _no_events


def share(items: Sequence[Any], is_one: Callable[[dict[str, Any]], bool]) -> float:
    """Share of sampled items that are objects and `is_one`."""
    found = 0
    for item in items:  # of every file by every adapter: a generator takes twice the time
        if isinstance(item, dict) and is_one(item):
            found += 1
    return found / len(items) if items else 0.0


def is_number(value: Any) -> bool:
    """Whether it is a number, infinite or NaN included; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_person(value: Any) -> Person | None:
    """Whom a source's id names; None where it names nobody. Argilla writes a missing id as the text `None`."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", "None"):
        return None
    return Person(str(value))


def as_messages(value: Any) -> list[dict[str, Any]] | None:
    """A conversation for a column of type MESSAGES; None where `value` is none."""
    if not is_messages(value):
        return None
    return [_message(message) for message in value]


def is_messages(value: Any) -> bool:
    """Whether it is a list of messages with roles."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and "role" in one for one in value)


def marked_roles(text: str) -> str:
    """`role_boundaries` of a text: whether words that stand for roles are left in it."""
    return "marker_text" if _MARKER.search(text) else "lost"


def marked_roles_of(texts: pa.Array) -> pa.Array:
    """`marked_roles` of each text."""
    return pc.if_else(pc.match_substring_regex(texts, _MARKER.pattern), "marker_text", "lost")


def _message(message: dict[str, Any]) -> dict[str, Any]:
    shown = {key: message[key] for key in ("role", "content") if _is_utf8_text(message.get(key))}
    extra = {key: value for key, value in message.items() if key not in shown and value is not None}
    extra_json = canonical.dump_canonical(extra).decode() if extra else None
    return {"role": shown.get("role"), "content": shown.get("content"), "extra_json": extra_json}


def _is_utf8_text(value: Any) -> bool:
    if not isinstance(value, str) or isinstance(value, canonical.OutOfRange):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which Arrow refuses
        return False
    return True
