"""What a look gives and keeps, and rows that came since the one before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit_pipeline.alerts import Fault
from audit_pipeline.lake.tables import OpenTable

Memory = Mapping[str, Any]
"""What a look keeps for the next one: JSON."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The faults of one look, and what the next one wants to know."""

    faults: Sequence[Fault] = ()
    memory: Memory = field(default_factory=dict)


def new_rows(table: OpenTable, memory: Memory, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of the commits since the version that is remembered; without a memory, all rows."""
    known = memory.get("version")
    if not isinstance(known, int) or known > table.version:
        yield from table.read(columns).to_pylist()
        return
    for _, commit in table.commits(known + 1, table.version):
        for file in commit.files:
            yield from table.read_file(file.name, columns).to_pylist()
