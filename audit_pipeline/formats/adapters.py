"""The registry of adapters, and the event rows of records. A new tool is one file and one word in `_TOOLS`."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import PolicyError
from audit_pipeline.formats import generic, preference, trl, verl
from audit_pipeline.formats.adapter import Adapter, SourceContext
from audit_pipeline.formats.json_text import nests_too_deep
from audit_pipeline.formats.rows import EventRows

_TOOLS = (trl, verl, preference, generic)
_READABLE = frozenset({"ok", "partial_tail"})

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for tool in _TOOLS for adapter in tool.ADAPTERS}
"""Every format by name."""


def adapter_named(name: str) -> Adapter:
    """The adapter of a format.

    Raises:
        PolicyError: there is none of this name.
    """
    if name not in ADAPTERS:
        raise PolicyError(f"format {name!r} is not known; give one of {', '.join(sorted(ADAPTERS))}")
    return ADAPTERS[name]


def derive_rows(format: str, source: SourceContext, records: Iterable[tuple[int, bytes, str]]) -> dict[str, pa.Table]:
    """The event rows of (position, record, status) of one snapshot, by table; a table without rows is not there.

    The same records give the same rows, however they are cut into calls. A record that cannot be read, or that the
    adapter does not understand, gives none.

    Raises:
        PolicyError: the format is not known.
    """
    adapter = adapter_named(format)
    rows = EventRows(source, adapter.name, adapter.version)
    for position, table, values in adapter.events(source, _values(adapter, records)):
        rows.add(position, table, values)
    return rows.tables()


def _values(adapter: Adapter, records: Iterable[tuple[int, bytes, str]]) -> Iterator[tuple[int, Any]]:
    for position, record, status in records:
        if status not in _READABLE or nests_too_deep(record):
            continue
        try:
            value = adapter.parse(record)
        except ValueError:  # blank, or an unfinished last line
            continue
        yield position, value
