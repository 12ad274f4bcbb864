"""What `run` says at its end of what came in, so that bad or unexpected input does not go by unseen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from audit_pipeline.cli.here import utc_now
from audit_pipeline.cli.printing import as_text

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.policy import Policy

_SHOWN = 10
_COUNTED = ("records", "quarantined", "partial_tails")
_TOLD = ("stream", "path", "format", "growth", "generation", "ingested_at")
_NAME_COLUMNS = "kept and sealed, without events; a CSV's columns can be named: docs/your-own-format.md"


def print_taken_in(policy: "Policy", lake: "Lake", days: Sequence[date], since: datetime) -> None:
    """What the evidence has of these days, and what of it a reader of a run since then wants to know."""
    from audit_pipeline.formats.adapters import ADAPTERS
    from audit_pipeline.lake.declared import EVENTS, SOURCES
    from audit_pipeline.policy.components import REPORT_TYPE, only_component
    from audit_pipeline.policy.models import ComplianceReportAttributes

    streams = {stream.name: stream for stream in policy.streams}
    sources, findings = lake.open(SOURCES), lake.find(EVENTS["log_findings"])
    rows = [row for day in days for row in sources.read([*_TOLD, *_COUNTED], day).to_pylist()]
    rows = [row for row in rows if row["stream"] in streams]  # `_audit` is what the pipeline wrote itself
    totals = {name: sum(row[name] for row in rows) for name in _COUNTED}
    click.echo(
        f"these days have {len(rows)} snapshots with {totals['records']} records, of which {totals['quarantined']} "
        f"quarantined and {totals['partial_tails']} last lines without a newline"
    )
    report = only_component(policy.root, REPORT_TYPE, ComplianceReportAttributes)
    registers = None if report is None else report.registers  # the report reads these as they are
    formats = Counter(row["format"] for row in rows if row["stream"] != registers)
    unknown = {name: count for name, count in formats.items() if name in ADAPTERS and not ADAPTERS[name].has_events}
    if unknown:
        named = ", ".join(f"{count} {name}" for name, count in sorted(unknown.items()))
        click.echo(f"  of no tool's format: {named} snapshots; {_NAME_COLUMNS}")
    kinds = Counter(kind for day in days if findings for kind in findings.read(["kind"], day)["kind"].to_pylist())
    if kinds:
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        click.echo(f"  log_findings has {named}: records without an event, and what was withheld")
    new = [row for row in rows if row["ingested_at"] >= since]
    _print_some("rewritten, and the bytes before are kept", [row for row in new if row["growth"] == "rewritten"])
    other = [row for row in rows if streams[row["stream"]].format not in (None, row["format"])]
    _print_some("of another format than the policy says since; land them under a new name", other)


def _print_some(what: str, rows: Sequence[Mapping[str, Any]]) -> None:
    found = sorted({(row["stream"], row["path"], row["generation"]) for row in rows})
    if found:
        shown = ", ".join(f"{stream}: {as_text(path)} (generation {number})" for stream, path, number in found[:_SHOWN])
        click.echo(f"  {what}: {shown}{f' and {len(found) - _SHOWN} more' if len(found) > _SHOWN else ''}")


def print_untaken(policy: "Policy") -> None:
    """Landed files that no run takes in."""
    from audit_pipeline.sources.landing import list_untaken

    untaken = list_untaken(policy.places.landing, policy.streams, policy.start, utc_now().date())
    if untaken:
        click.echo(f"audit-pipeline: {len(untaken)} landed files are NOT taken in:", err=True)
        for path, reason in untaken[:_SHOWN]:
            click.echo(f"  {as_text(path)}: {reason}", err=True)
