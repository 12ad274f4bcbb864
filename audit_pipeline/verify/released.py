"""The privacy ledger and what was released under it: one chain, as long as the mark says, and nothing unpaid."""

from functools import partial

from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.reservations import read_reservations
from audit_pipeline.verify.findings import Findings


def check_released(lake: Lake, findings: Findings) -> None:
    """Each release was reserved, and the ledger has the reservation that the newest mark names."""
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
    paid = {(row.number, row.key) for row in reservations}
    if releases is not None:
        rows = findings.guard(
            RELEASES.name, lambda: releases.read(["reservation", "release_key", "release"]).to_pylist()
        )
        for row in rows or ():
            if (row["reservation"], row["release_key"]) not in paid:
                findings.add(RELEASES.name, f"{row['release']}: published under no reservation of the ledger")
