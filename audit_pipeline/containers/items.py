"""What a landed file falls into: the items of a container, and the status of a line.

Containers `json`, `csv`, `parquet`, `tfrecord` and `sqlite` are read item by item in bounded memory, each item as
canonical JSON (docs/evidence-format.md sections 1 and 2). Nothing but OSError escapes: a container that cannot be read
to its end gives the items so far and one last quarantined record that says that the rest is in `evidence/`.
"""

from collections.abc import Iterator
from typing import BinaryIO

from audit_pipeline.containers.csv_items import iter_csv
from audit_pipeline.containers.item import Item
from audit_pipeline.containers.json_items import iter_json
from audit_pipeline.containers.json_text import check_syntax, nests_too_deep
from audit_pipeline.containers.parquet_items import iter_parquet
from audit_pipeline.containers.sqlite_items import iter_sqlite
from audit_pipeline.containers.tfrecord_items import iter_tfrecord

_READERS = {
    "json": iter_json,
    "csv": iter_csv,
    "parquet": iter_parquet,
    "tfrecord": iter_tfrecord,
    "sqlite": iter_sqlite,
}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def iter_items(container: str, file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """The items of a container in order, without the first `skip`. `file` is seekable and at its start."""
    return _READERS[container](file, skip)


def json_line_status(line: bytes, is_first: bool) -> tuple[str, str]:
    """(status, reason) of one line of a `jsonl` source, without its newline; exact, whatever it costs.

    A blank line is `ok`: it is a record like any other, and gives no event. `is_first`: a byte order mark may open it.
    """
    body = line.removeprefix(_BYTE_ORDER_MARK) if is_first else line
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "quarantined", "invalid_utf8"
    if not text.strip(" \t\r\n"):
        return "ok", ""
    # Before the parser looks: how deep it goes depends on who calls it, and what it says first on the Python.
    if nests_too_deep(body):
        return "quarantined", "depth"
    try:
        check_syntax(text)
    except RecursionError:
        return "quarantined", "depth"
    except ValueError:
        return "quarantined", "invalid_json"
    return "ok", ""
