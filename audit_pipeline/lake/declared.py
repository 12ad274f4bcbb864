"""The tables of a lake, as they are declared: where each lies, its columns, what it is pruned by."""

from dataclasses import dataclass

import pyarrow as pa

from audit_pipeline.lake.places import Place, Places
from audit_pipeline.records import releases, schemas
from audit_pipeline.records.events import EVENT_SCHEMAS


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake: where it lies, what its rows are, which columns get statistics."""

    name: str
    area: str
    """`restricted`, `audit` or `released`."""
    schema: pa.Schema
    indexed: tuple[str, ...]
    is_append_only: bool = True
    """Whether rows that are there stay in every later version. What is derived may be derived anew."""
    waits: bool = False
    """Of audit tables: whether new rows alone make no seal and no inventory, but wait for those that are due anyway."""

    def uri(self, places: Places) -> Place:
        return places.area(self.area) / self.name

    @property
    def folder(self) -> str:
        """Its folder as inventories write it, wherever the area lies."""
        return f"lake/{self.area}/{self.name}"


RECORDS = Table("records", "restricted", schemas.RECORDS, ("day", "source_id", "position"))
SOURCES = Table("sources", "restricted", schemas.SOURCES, ("day", "source_id", "position"))
SEALS = Table("seals", "audit", schemas.SEALS, ("day", "index"))
EVIDENCE_TABLES = (RECORDS, SOURCES, SEALS)
LEDGER = Table("privacy_ledger", "audit", releases.LEDGER, ("day", "number"))
RELEASES = Table("releases", "released", releases.RELEASES, ("day",))
EVENTS = {
    name: Table(name, "restricted", schema, ("day", "event_id", "run_id"), is_append_only=False)
    for name, schema in EVENT_SCHEMAS.items()
}
"""The event tables, by name."""

VERIFICATIONS = Table("verifications", "audit", schemas.VERIFICATIONS, ("day",), waits=True)
QUALITY_FINDINGS = Table("quality_findings", "audit", schemas.QUALITY_FINDINGS, ("day",))
CONTROL_FINDINGS = Table("control_findings", "audit", schemas.CONTROL_FINDINGS, ("day",), waits=True)
REPORTS = Table("reports", "audit", schemas.REPORTS, ("day",), waits=True)
ALERTS = Table("alerts", "audit", schemas.ALERTS, ("day",), waits=True)
AUDIT_TABLES = (VERIFICATIONS, LEDGER, RELEASES, QUALITY_FINDINGS, CONTROL_FINDINGS, REPORTS, ALERTS)
"""What the pipeline writes about itself; their rows become records of the stream `_audit`."""

TABLES = {table.name: table for table in (*EVIDENCE_TABLES, *EVENTS.values(), *AUDIT_TABLES)}
