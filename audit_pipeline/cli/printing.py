"""What commands print: tables for people on a terminal, tab-separated text elsewhere, JSON for programs."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Any

import click


def waiting(text: str) -> AbstractContextManager[object]:
    """Shows on a terminal that work goes on."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table with rules on a terminal; elsewhere a line of column names, then a line a row, fields between tabs."""
    texts = [[as_text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in ([*columns], *texts):
            click.echo("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for line in texts:
        table.add_row(*[Text(text) for text in line])
    Console().print(table)


def print_json(value: Any) -> None:
    click.echo(json.dumps(as_json(value), ensure_ascii=False, allow_nan=False))


def csv_line(values: Iterable[Any], *, is_terminal: bool) -> str:
    """A line of CSV (RFC 4180) without its end: NULL is empty, an empty text `""`.

    Values are as they are; bytes that are not UTF-8 as in JSON. A terminal gets them escaped.
    """
    return ",".join("" if value is None else _csv_field(value, is_terminal) for value in values)


def _csv_field(value: Any, is_terminal: bool) -> str:
    text = as_text(value) if is_terminal else _as_whole_text(value)
    # Not by the module csv, which leaves a lone carriage return bare, so that readers end the row there.
    return '"' + text.replace('"', '""') + '"' if not text or set(text) & set(',"\r\n') else text


def _as_whole_text(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        value = as_json(value)
    if isinstance(value, list | dict):
        return json.dumps(as_json(value), ensure_ascii=False, separators=(",", ":"))
    return str(value)


def as_text(value: Any) -> str:
    """One line of text, with nothing in it that a terminal would obey: logs hold whatever somebody wrote.

    Different texts stay different: a backslash is doubled, since it begins what stands for another character. Inside
    lists and objects the escapes are JSON's.
    """
    if value is None:
        return "-"
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode(errors="surrogateescape")
    if isinstance(value, list | dict):
        text = json.dumps(as_json(value), ensure_ascii=False)
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in str(value))


def _escape(char: str) -> str:
    r"""As Python writes it, but `\x80` to `\xff` are bytes that are no UTF-8, and a character up there is `\u0080`."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0x80 <= code <= 0xFF else char.encode("unicode_escape").decode()


def as_json(value: Any) -> Any:
    """`value` in types that JSON has. Bytes are text where they are UTF-8, else base64; see records/canonical.py."""
    if isinstance(value, bytes | bytearray):
        return _bytes_as_json(bytes(value))
    if isinstance(value, float) and not math.isfinite(value):
        return {"$nonfinite": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, dict):
        return {str(key): as_json(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def _bytes_as_json(value: bytes) -> Any:
    import base64

    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"$base64": base64.b64encode(value).decode()}
