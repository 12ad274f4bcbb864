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


def as_text(value: Any) -> str:
    """One line of text, with nothing in it that a terminal would obey: logs hold whatever somebody wrote."""
    if value is None:
        return "-"
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode(errors="backslashreplace")
    if isinstance(value, float):
        value = f"{value:g}"
    if isinstance(value, list | dict):
        value = json.dumps(as_json(value), ensure_ascii=False)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


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
