"""Items of a CSV file with a header: one object from header to text per row, streamed.

The delimiter is the comma, tab or semicolon that the first line has most of, outside quotes. Quotes are read strictly;
a row that breaks their rules is kept as the fields a lenient reading gives, quarantined. Blank lines are no items.
"""

import csv
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from audit_pipeline.containers.item import Item, rest
from audit_pipeline.containers.json_text import dump_plain
from audit_pipeline.records import canonical

MAX_FIELD = 64 << 20
"""Characters of one field, and bytes of one line: beyond it nobody means one field, a quote was left open."""

_DELIMITERS = ",\t;"
_QUOTED = re.compile(r'"[^"]*"?')
_UNDECODED = re.compile("[\udc80-\udcff]")


def iter_csv(file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """Items of the CSV in `file`, without the first `skip`."""
    raise_field_limit()
    lines = _Lines(file)
    rows = _rows(lines, find_delimiter(lines.first_line()))
    header = next(rows, None)
    if header is None:
        return
    if isinstance(header, str) or header[1]:
        yield from [] if skip else [rest(header if isinstance(header, str) else header[1])]
        return
    names = header[0]
    for position, row in enumerate(rows):
        if position >= skip:
            yield rest(row) if isinstance(row, str) else _item(names, *row)


def raise_field_limit() -> None:
    """Let `csv` read fields of MAX_FIELD. Its limit is the whole process's, so it is never lowered."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))


def find_delimiter(line: str) -> str:
    """The delimiter of a CSV whose first line this is; the comma where nothing tells."""
    plain = _QUOTED.sub("", line)
    return max(_DELIMITERS, key=plain.count)


class _Lines:
    """The lines of a file as text, bytes that are not UTF-8 as lone surrogates, and the lines of the row in hand."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ahead: list[str] = []
        self.row: list[str] = []
        self.is_done = False
        self.is_oversize = False

    def first_line(self) -> str:
        """The first line that is not blank, left to be read again."""
        for line in self:
            if line.strip():
                self._ahead = [line.removeprefix("\ufeff")]
                break
        self.row = []
        self.is_done = False
        return self._ahead[0] if self._ahead else ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else self._read()
        self.row.append(line)
        return line

    def _read(self) -> str:
        line = self._file.readline(MAX_FIELD)
        self.is_oversize = len(line) == MAX_FIELD and not line.endswith(b"\n")
        self.is_done = not line or self.is_oversize
        if self.is_done:
            raise StopIteration
        return line.decode("utf-8", "surrogateescape")


_Row = tuple[list[str], str] | str
"""(fields, why it cannot be read as a row or empty), or the reason why there are no more."""


def _rows(lines: _Lines, delimiter: str) -> Iterator[_Row]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.row.clear()
        try:
            fields = next(reader, None)
        except csv.Error:
            if lines.is_done:  # inside quotes that are never closed
                yield "oversize" if lines.is_oversize else "csv_syntax"
                return
            if sum(map(len, lines.row)) > MAX_FIELD:
                yield "oversize"
                return
            for loose in _read_loosely(lines.row, delimiter):
                yield loose, "csv_syntax"
            continue
        if fields is None:
            if lines.is_oversize:
                yield "oversize"
            return
        if fields:
            has_undecoded = any(not line.isascii() and _UNDECODED.search(line) for line in lines.row)
            yield fields, "invalid_utf8" if has_undecoded else ""


def _read_loosely(lines: list[str], delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(list(lines), delimiter=delimiter))
    except csv.Error:  # a carriage return inside an unquoted field
        return [["".join(lines)]]


def _item(names: list[str], fields: list[str], reason: str) -> Item:
    if reason or len(fields) != len(names):
        record = canonical.dump_canonical({"$fields": [_bytes_if_undecoded(field) for field in fields]})
        return record, "quarantined", reason or "csv_fields"
    row: dict[str, Any] = dict(zip(names, fields, strict=True))
    if len(row) != len(names):
        pairs = canonical.RepeatedKeys(zip(names, fields, strict=True))
        return canonical.dump_canonical(pairs), "ok", ""
    return dump_plain(row), "ok", ""


def _bytes_if_undecoded(field: str) -> str | bytes:
    return field.encode("utf-8", "surrogateescape") if _UNDECODED.search(field) else field
