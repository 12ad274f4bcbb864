"""Pages of docs/ that are made from the code: tables.md. A test fails while one is out of date."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from audit_pipeline.lake.declared import EVENTS, RECORDS, SEALS, SOURCES
from audit_pipeline.records.events import COMMON_COLUMNS, EVENT_COLUMNS, Column
from audit_pipeline.records.schemas import RECORD_COLUMNS, SEAL_COLUMNS, SOURCE_COLUMNS

HERE = Path(__file__).resolve().parent
GRAIN = {
    "records": "One row per record.",
    "sources": "One row per snapshot: a projection of the commits of `records`, with what the next run needs.",
    "seals": "One row per entry of the log, in the log's order; `entry` is the leaf's exact text.",
}


def tables_page() -> str:
    """docs/tables.md."""
    lines = [
        "# Tables",
        "",
        "Made from the code by `make docs`; do not edit. All are Delta tables, append-only, below `lake/`.",
    ]
    for table, columns in ((RECORDS, RECORD_COLUMNS), (SOURCES, SOURCE_COLUMNS), (SEALS, SEAL_COLUMNS)):
        lines += ["", f"## {table.name}", "", f"`{table.area}/{table.name}`. {GRAIN[table.name]}", ""]
        lines += _meanings(columns)
    lines += ["", "## Event tables", "", "Every event table begins with these columns:", ""]
    lines += _meanings(COMMON_COLUMNS)
    for name in EVENTS:
        lines += ["", f"### {name}", "", f"`restricted/{name}`.", ""]
        lines += _meanings([column for column in EVENT_COLUMNS[name] if column not in COMMON_COLUMNS])
    return "\n".join(lines) + "\n"


def _meanings(columns: Sequence[Column]) -> list[str]:
    rows = [f"| {c.name} | {_type(pa.field(c.name, c.type, not c.is_required))} | {c.meaning} |" for c in columns]
    return ["| column | type | meaning |", "|---|---|---|", *rows]


def _type(field: pa.Field) -> str:
    return f"{field.type}{', may be null' if field.nullable else ''}".replace("|", "\\|")


if __name__ == "__main__":
    (HERE / "tables.md").write_text(tables_page())
