"""Pages of docs/ that are made from the code: tables.md, formats.md, registers.md. A test fails while one is old."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import MARGIN, THRESHOLD
from audit_pipeline.lake.declared import (
    ALERTS,
    CONTROL_FINDINGS,
    EVENTS,
    LEDGER,
    QUALITY_FINDINGS,
    RECORDS,
    RELEASES,
    REPORTS,
    SEALS,
    SOURCES,
    VERIFICATIONS,
)
from audit_pipeline.records.events import COMMON_COLUMNS, EVENT_COLUMNS, Column
from audit_pipeline.records.releases import LEDGER_COLUMNS, RELEASE_COLUMNS
from audit_pipeline.records.schemas import (
    ALERT_COLUMNS,
    CONTROL_FINDING_COLUMNS,
    QUALITY_FINDING_COLUMNS,
    RECORD_COLUMNS,
    REPORT_COLUMNS,
    SEAL_COLUMNS,
    SOURCE_COLUMNS,
    VERIFICATION_COLUMNS,
)
from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.evidence import evidence_tables

HERE = Path(__file__).resolve().parent
GRAIN = {
    "records": "One row per record.",
    "sources": "One row per snapshot: a projection of the commits of `records`, with what the next run needs.",
    "seals": "One row per entry of the log, in the log's order; `entry` is the leaf's exact text.",
    "alerts": "One row per event of an alert: found, told to whom, acknowledged, over.",
    "verifications": "One row per verification by a run; none where the newest row of the same days says the same.",
    "privacy_ledger": "One row per reservation of privacy loss, made before its draw and never taken back.",
    "releases": "One row per published release of a window. All of it is public.",
    "control_findings": "One row per control and judgement of a period; none where the newest of it says the same.",
    "reports": "One row per report that was made.",
    "quality_findings": "One row per expectation and judgement of a day; the newest judgement of a day counts.",
}

TABLES_AND_COLUMNS = (
    (RECORDS, RECORD_COLUMNS),
    (SOURCES, SOURCE_COLUMNS),
    (SEALS, SEAL_COLUMNS),
    (VERIFICATIONS, VERIFICATION_COLUMNS),
    (LEDGER, LEDGER_COLUMNS),
    (RELEASES, RELEASE_COLUMNS),
    (CONTROL_FINDINGS, CONTROL_FINDING_COLUMNS),
    (REPORTS, REPORT_COLUMNS),
    (QUALITY_FINDINGS, QUALITY_FINDING_COLUMNS),
    (ALERTS, ALERT_COLUMNS),
)

_FORMATS_HEAD = """# Formats

Made from the adapters' own words by `make docs`; do not edit. Which logs become events, and of which of their fields.
[tables.md](tables.md) says what the columns are, [your-own-format.md](your-own-format.md) how to add a format.

A file is found to be of a format by its content: marks that no other file has, then its container, then the keys and
values of sampled items. Each adapter scores the sample from 0 to 1, its path counts for at most 0.1 of it; the highest
wins with at least {threshold} and {margin} over the next. Else the file is generic: kept, sealed and proved like any
other, without events. `format:` beside a stream in `assets/run_logs/defs.yaml` wins over all that. Which it was, and
why, is in the columns `format` and `format_evidence` of `sources` and on the asset `sources` in the UI.

Fields without a column of their own are in `extra_json`. People are keyed pseudonyms; secrets, e-mail and IP addresses
are withheld from every table. A readable record of a tool's log that gives no event is a row of `log_findings`."""


_REGISTERS_HEAD = """# What controls are measured on

Made from `audit_pipeline/report/catalogue/tables.yaml` by `make docs`; do not edit. [compliance.md](compliance.md) says
how to supply a register.
Each table that a control's query reads is filled from the lake, from a register of yours, or from both. A table that
nothing fills is empty, and an empty table evidences nothing: the controls beside it are NOT_EVIDENCED."""


def registers_page() -> str:
    """docs/registers.md."""
    readers: dict[str, list[str]] = {}
    for control in load_catalogue().controls:
        for table in control.tables:
            readers.setdefault(table, []).append(control.id)
    lines = [*_REGISTERS_HEAD.splitlines(), "", "| table | what it has | filled from | read by |", "|---|---|---|---|"]
    for table in evidence_tables().values():
        lake = f"the lake: {', '.join(f'`{name}`' for name in table.reads)}" if table.reads else ""
        register = f"[register](#{table.name})" if table.register else ""
        origin = " and ".join(filter(None, (lake, register)))
        used = ", ".join(readers.get(table.name, [])) or "other tables, or the heartbeat rule"
        lines.append(f"| `{table.name}` | {table.about} | {origin} | {used} |")
    lines += [
        "",
        "## Registers",
        "",
        "Columns of each, with their types as DuckDB calls them. None is required; what is missing is null.",
    ]
    for table in evidence_tables().values():
        if table.register:
            lines += ["", f"### {table.name}", "", f"{table.about[0].upper()}{table.about[1:]}.", ""]
            lines += [", ".join(f"`{name}` {type_}" for name, type_ in table.register.items())]
    return "\n".join(lines) + "\n"


def tables_page() -> str:
    """docs/tables.md."""
    lines = [
        "# Tables",
        "",
        "Made from the code by `make docs`; do not edit. All are Delta tables below `lake/`. Rows stay as they "
        "are; those of event tables are replaced "
        "by a newer version of the adapter that read them, and stay in the table's earlier version.",
    ]
    for table, columns in TABLES_AND_COLUMNS:
        lines += ["", f"## {table.name}", "", f"`{table.area}/{table.name}`. {GRAIN[table.name]}", ""]
        lines += _meanings(columns)
    lines += ["", "## Event tables", "", "Every event table begins with these columns:", ""]
    lines += _meanings(COMMON_COLUMNS)
    for name in EVENTS:
        lines += ["", f"### {name}", "", f"`restricted/{name}`.", ""]
        lines += _meanings([column for column in EVENT_COLUMNS[name] if column not in COMMON_COLUMNS])
    return "\n".join(lines) + "\n"


def formats_page() -> str:
    """docs/formats.md."""
    tools = sorted((adapter for adapter in ADAPTERS.values() if adapter.has_events), key=lambda one: one.name)
    lines = [
        *_FORMATS_HEAD.format(threshold=THRESHOLD, margin=MARGIN).splitlines(),
        "",
        "| format | container | reads |",
        "|---|---|---|",
        *(f"| [{one.name}](#{one.name}) | {', '.join(one.containers)} | {one.reads} |" for one in tools),
    ]
    for one in tools:
        lines += ["", f"## {one.name}", "", f"Version {one.version}. {one.reads}", ""]
        lines += ["| column | comes from |", "|---|---|"]
        lines += [f"| {column} | {_cell(origin)} |" for column, origin in sorted(one.fields.items())]
    lines += ["", "## Without events", "", f"{', '.join(sorted(ADAPTERS.keys() - {one.name for one in tools}))}."]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _meanings(columns: Sequence[Column]) -> list[str]:
    rows = [f"| {c.name} | {_type(pa.field(c.name, c.type, not c.is_required))} | {c.meaning} |" for c in columns]
    return ["| column | type | meaning |", "|---|---|---|", *rows]


def _type(field: pa.Field) -> str:
    return f"{field.type}{', may be null' if field.nullable else ''}".replace("|", "\\|")


if __name__ == "__main__":
    (HERE / "tables.md").write_text(tables_page())
    (HERE / "formats.md").write_text(formats_page())
    (HERE / "registers.md").write_text(registers_page())
