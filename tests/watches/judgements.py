"""Rows of `control_findings` such as the closing job writes, without its seventy-five controls."""

import os
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import CONTROL_FINDINGS
from audit_pipeline.lake.opened import Lake

CONTROL = "LOG-1"
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
TODAY = NOW.date()
_FILLED = {
    pa.date32(): NOW.date(), pa.string(): "", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False,
    pa.timestamp("us", tz="UTC"): NOW,
}  # fmt: skip


def append_judgements(lake: Lake, *statuses: str, first: date = TODAY, last: date = TODAY) -> None:
    """Judgements of one control of these days, each a commit and a minute later than the one before."""
    table = lake.open(CONTROL_FINDINGS)
    for number, status in enumerate(statuses, table.transaction("test") + 1):
        row = {field.name: _FILLED[field.type] for field in CONTROL_FINDINGS.schema}
        row |= {"control": CONTROL, "status": status, "judged_at": NOW + timedelta(minutes=number)}
        row |= {"first_day": first, "last_day": last}
        rows = pa.Table.from_pylist([row], schema=CONTROL_FINDINGS.schema)
        assert append_rows(table, "test", number - 1, rows, NOW, os.urandom(32))
