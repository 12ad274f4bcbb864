"""What must hold of one table: the values that a native Great Expectations suite is read into.

A suite is judged on one day's rows, in a database that has a table for each table of that day, under its own name. The
suite's own table is `{batch}` in its queries, which may join the others.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["critical", "warning", "info"]
"""As Great Expectations has it."""

REFERENCE = "event_id"
"""The column that names a row of an event table, and so its record."""

_COLUMN_KEYS = ("column", "column_A", "column_B", "column_list")
_WHOLE_TABLE = ("expect_table_column", "expect_column_to_exist")
_WORD = re.compile(r"\w+")
_CONDITION_COLUMN = re.compile(r"""col\(\s*["']([^"']*)["']""")
PARAMETER = "$PARAMETER"


@dataclass(frozen=True, slots=True)
class Past:
    """What an expectation is compared with: its own observed values of earlier days."""

    days: int = 28
    at_least: int = 7
    """Days on which it must have been observed, before the comparison says anything."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation of a suite."""

    name: str
    """Unique in the suite, and stable: the check's name in Dagster."""
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity = "critical"
    description: str = ""
    is_blocking: bool = False
    """Whether reports wait while it fails. Evidence and seals never do."""
    past: Past | None = None
    """Set where its bounds are made of `usual_<name>`."""

    @property
    def is_of_table(self) -> bool:
        """Whether it says something of a day without rows."""
        return self.type.startswith("expect_table_")

    @property
    def usual(self) -> str:
        """The parameter that holds the median, or all the texts, of what was observed on the days before."""
        return f"usual_{self.name}"

    @property
    def query(self) -> str | None:
        return self.kwargs.get("query") or self.kwargs.get("unexpected_rows_query")

    def columns(self) -> list[str]:
        """The columns of the suite's table that it names, but for those in a query."""
        named = [self.kwargs[key] for key in _COLUMN_KEYS if key in self.kwargs]
        flat = [name for value in named for name in (value if isinstance(value, list) else [value])]
        return flat + _CONDITION_COLUMN.findall(str(self.kwargs.get("row_condition", "")))

    def native(self) -> dict[str, Any]:
        """The expectation as Great Expectations reads it; `meta` holds its name."""
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "meta": {"name": self.name},
        }


@dataclass(frozen=True, slots=True)
class Suite:
    """The expectations of one table, in the order of their file."""

    table: str
    expectations: tuple[Expectation, ...]
    file: str
    digest: str
    """SHA-256 of the file, hex."""

    @property
    def names(self) -> tuple[str, ...]:
        """What it checks: the table, then its expectations in order."""
        return self.table, *(one.name for one in self.expectations)


def needed_columns(
    suites: Iterable[Suite], schemas: Mapping[str, Sequence[str]], reference: str = REFERENCE
) -> dict[str, list[str]]:
    """The columns of each table that these suites read, in the table's order. `schemas`: all columns by table.

    A query needs each column whose name is a word of it, of its own table and of each table that it names: too many
    now and then, too few never.
    """
    needed: dict[str, set[str]] = {}
    for suite in suites:
        mine = needed.setdefault(suite.table, {reference})
        for expectation in suite.expectations:
            mine.update(expectation.columns())
            if expectation.type.startswith(_WHOLE_TABLE):
                mine.update(schemas[suite.table])
            if expectation.query is not None:
                words = set(_WORD.findall(expectation.query))
                mine.update(words)
                for table in words & schemas.keys():
                    needed.setdefault(table, {reference}).update(words)
    return {table: [name for name in schemas[table] if name in names] for table, names in needed.items()}
