"""Findings and reports as rows of audit tables, so that what was said is sealed too."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import CONTROL_FINDINGS, REPORTS, Table
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.canonical import NONCE_BYTES
from audit_pipeline.report.facts import Facts

Clock = Callable[[], datetime]
Entropy = Callable[[int], bytes]
_ATTEMPTS = 100
_SAME = ("control", "status", "reason", "examined", "coverage", "violations", "is_early", "catalogue_digest")
"""Where these are as they were, nothing was found that the table does not say already."""


def record_findings(lake: Lake, facts: Facts, day: date, *, now: Clock, entropy: Entropy) -> bool:
    """Append the findings of a period; False where the newest of the same period say the same."""
    judged_at = now()
    rows = [
        {
            "day": day,
            "first_day": facts.period.first,
            "last_day": facts.period.last,
            "control": finding.control.id,
            "status": finding.status,
            "reason": finding.reason,
            "detail": finding.detail,
            "examined": finding.n,
            "coverage": finding.coverage,
            "violations": finding.violations,
            "is_early": finding.is_early,
            "catalogue_digest": facts.catalogue.digest,
            "log_size": facts.log_size,
            "judged_at": judged_at,
        }
        for finding in facts.findings
    ]

    def is_said(newest: list[dict[str, Any]]) -> bool:
        return [[row[name] for name in _SAME] for row in newest] == [[row[name] for name in _SAME] for row in rows]

    return _append(lake, CONTROL_FINDINGS, rows, now, entropy, lambda table_rows: is_said(_newest(table_rows, facts)))


def record_report(lake: Lake, row: Mapping[str, Any], *, now: Clock, entropy: Entropy) -> bool:
    """Append that a report was made; False where the table has one of the same bytes."""
    return _append(
        lake, REPORTS, [dict(row)], now, entropy, lambda rows: any(one["sha256"] == row["sha256"] for one in rows)
    )


def _newest(rows: list[dict[str, Any]], facts: Facts) -> list[dict[str, Any]]:
    of_period = [row for row in rows if (row["first_day"], row["last_day"]) == (facts.period.first, facts.period.last)]
    latest = max((row["judged_at"] for row in of_period), default=None)
    order = {finding.control.id: at for at, finding in enumerate(facts.findings)}
    newest = [row for row in of_period if row["judged_at"] == latest]
    return sorted(newest, key=lambda row: order.get(row["control"], len(order)))


def _append(
    lake: Lake,
    declared: Table,
    rows: list[dict[str, Any]],
    now: Clock,
    entropy: Entropy,
    is_said: Callable[[list[dict[str, Any]]], bool],
) -> bool:
    app, day = declared.name, rows[0]["day"]
    for _ in range(_ATTEMPTS):
        table = lake.open(declared)
        if is_said(table.read(declared.schema.names, day).to_pylist()):
            return False
        new = pa.Table.from_pylist(rows, schema=declared.schema)
        if append_rows(table, app, table.transaction(app), new, now(), entropy(NONCE_BYTES)):
            return True
    raise StorageError(f"{lake.places.lake}: {app} could not be written in {_ATTEMPTS} attempts; run again")
