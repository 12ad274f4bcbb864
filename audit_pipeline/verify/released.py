"""The privacy ledger and what was released under it: one chain, as long as the mark says, and nothing unpaid."""

from functools import partial
from typing import Any

from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.published import release_fault
from audit_pipeline.lake.reservations import read_reservations
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.verify.findings import Findings


def check_released(lake: Lake, findings: Findings) -> None:
    """Each release was reserved, once, at its price; the ledger has the reservation that the newest mark names."""
    ledger = findings.guard(LEDGER.name, partial(lake.find, LEDGER))
    releases = findings.guard(RELEASES.name, partial(lake.find, RELEASES))
    reservations = findings.guard(LEDGER.name, partial(read_reservations, ledger)) if ledger else []
    if reservations is None:
        return
    found = findings.guard(LEDGER.name, lambda: newest_mark(lake.marks))
    mark = found[1] if found else None
    if mark is not None and mark.ledger is not None and mark.ledger not in {row.digest for row in reservations}:
        findings.add(
            LEDGER.name,
            f"has {len(reservations)} reservations, not the one that the newest mark names: restored or cut; "
            "see docs/recovery.md, `A ledger that forgot`",
        )
    by_number = {row.number: row for row in reservations}
    rows = findings.guard(RELEASES.name, partial(_rows, releases)) if releases is not None else ()
    seen = set[str]()
    for row in rows or ():
        fault = release_fault(row, by_number)
        if row["release_key"] in seen:
            fault = "published twice under one key"
        seen.add(row["release_key"])
        if fault:
            findings.add(RELEASES.name, f"{row['release']}: {fault}", row["day"])


def _rows(releases: OpenTable) -> list[dict[str, Any]]:
    columns = ["day", "last_day", "release", "revision", "release_key", "reservation", "manifest"]
    return list(releases.read(columns).to_pylist())
