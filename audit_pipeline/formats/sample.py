"""Items sampled from the start of a file, so that adapters can say whether it is theirs."""

import contextlib
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.containers.csv_items import find_delimiter, raise_field_limit
from audit_pipeline.containers.json_items import split_object
from audit_pipeline.containers.json_text import nests_too_deep
from audit_pipeline.containers.tfrecord_items import iter_tfrecord
from audit_pipeline.formats.record import parse_objects, parse_record
from audit_pipeline.records import canonical

_MOST_ITEMS = 60  # a third each from the start, the middle and the end of the head
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_LONGEST_NAME = 1024  # characters of a column's name in a plausible header
_IMPLAUSIBLE = re.compile("[\n\0\ufffd]")  # in a column's name; U+FFFD stands for bytes that are not UTF-8
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class LineSample:
    """Sampled lines that are not blank, and the values of those that are a JSON object or array."""

    lines: Sequence[bytes]
    values: Sequence[Any]


def whole_lines(head: bytes, is_whole: bool) -> list[bytes]:
    """The lines of `head` that are not blank. The last one counts without its newline if `head` is the whole file."""
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not is_whole:
        lines.pop()
    return [line for line in lines if line.strip()]


def sample_lines(lines: Sequence[bytes]) -> LineSample:
    """Lines from the start, the middle and the end, read as JSON."""
    chosen = _thirds(lines)
    if (objects := parse_objects(chosen)) is not None:
        return LineSample(chosen, objects)
    values = [value for line in chosen if isinstance(value := _json_value(line), dict | list)]
    return LineSample(chosen, values)


def read_document(head: bytes, is_whole: bool) -> Any:
    """The value of the one JSON document that `head` is, or of as much of it as `head` holds.

    Raises:
        ValueError: it is neither a document nor the start of one, or nested too deep.
    """
    if nests_too_deep(head):
        raise ValueError("nested too deep")
    text = head.decode("utf-8-sig", "replace")
    return canonical.load_json(text if is_whole else _closed(text))


def sample_document(value: Any) -> list[Any]:
    """Items of a JSON document."""
    if isinstance(value, dict | canonical.RepeatedKeys):
        return _thirds(list(split_object(value)))
    return _thirds(value) if isinstance(value, list) else [value]


def sample_csv(head: bytes) -> list[Any] | None:
    """Rows of a CSV as objects; None where the first line is no plausible header."""
    text = head.decode("utf-8-sig", "replace").lstrip("\r\n")
    first_line = text.split("\n", 1)[0]
    raise_field_limit()
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):  # further rows may be as bad as they like
        rows.extend(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=find_delimiter(first_line))))
    header = rows[0] if rows else []
    if not any(header) or any(len(name) > _LONGEST_NAME or _IMPLAUSIBLE.search(name) for name in header):
        return None
    return _thirds([dict(zip(header, row, strict=True)) for row in rows[1:] if len(row) == len(header)])


def sample_parquet(tail: bytes) -> list[Any]:
    """One item of example values made from the schema in the footer; none where `tail` does not hold all of it."""
    footer_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    try:
        schema = pq.read_schema(io.BytesIO(_PARQUET_MAGIC + tail[-footer_bytes:]))
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        return []
    return [{field.name: _example(field.type) for field in schema}]


def sample_tfrecord(head: bytes) -> list[Any]:
    """The first records."""
    items = islice(iter_tfrecord(io.BytesIO(head)), _MOST_ITEMS)
    return [parse_record(record) for record, status, _ in items if status == "ok"]


def sample_text(lines: Sequence[bytes]) -> list[Any]:
    """Lines as text."""
    return [line.decode("utf-8", "replace") for line in _thirds(lines)]


def _thirds(items: Sequence[Any]) -> list[Any]:
    third = _MOST_ITEMS // 3
    if len(items) <= _MOST_ITEMS:
        return list(items)
    middle = (len(items) - third) // 2
    return [*items[:third], *items[middle : middle + third], *items[-third:]]


def _json_value(line: bytes) -> Any:
    if nests_too_deep(line):
        return None
    try:
        return parse_record(line)
    except ValueError:
        return None


def _closed(start: str) -> str:
    """The start of a JSON document cut back to a whole value and closed, so that it can be read."""
    closers: list[str] = []
    cut, closing = 0, ""
    for token in _TOKEN.finditer(start):
        char = token[0]
        if char in "[{":
            closers.append("]" if char == "[" else "}")
            cut, closing = token.end(), "".join(reversed(closers))
        elif char in "]}":
            if not closers or closers.pop() != char:
                return start  # no document, as its reader will say
            cut, closing = token.end(), "".join(reversed(closers))
            if not closers:
                return start  # whole, or with more behind it
        elif char == ",":
            cut, closing = token.start(), "".join(reversed(closers))
    return start[:cut] + closing


def _example(kind: pa.DataType) -> Any:
    """A value of an Arrow type as its record would show it."""
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _example(kind.field(i).type) for i in range(kind.num_fields)}
    if pa.types.is_map(kind):
        return []
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_example(kind.value_type)]
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_floating(kind):
        return 0.0
    return None if pa.types.is_null(kind) else ""
