"""Re-derive the evidence from what is stored, and say what holds.

Needs no Dagster and no private key. Every check adds problems; none stops the others unless it leaves them nothing to
check. What a verification can show is its set of levels; without problems it says no more than these.
"""

from collections.abc import Sequence
from datetime import date

from audit_pipeline.lake.opened import EVIDENCE_TABLES, Lake
from audit_pipeline.lake.tables import table_exists
from audit_pipeline.tlog import parse_vkey
from audit_pipeline.verify.findings import CheckedLog, DayRange, Findings, Problem, Verification
from audit_pipeline.verify.log import check_log, check_seals
from audit_pipeline.verify.rows import Committed, check_projection, check_rows, read_commits

__all__ = ["Problem", "Verification", "verify"]


def verify(
    lake: Lake, *, first: date | None = None, last: date | None = None, vkeys: Sequence[str] = ()
) -> Verification:
    """Check the log whole, and the rows of the days `first` to `last`, or of all days.

    `vkeys` are the keys you trust; without them the key beside the lake is used, which shows less.

    Raises:
        InputError: a vkey is damaged. That says nothing of the evidence.
    """
    verifiers = [parse_vkey(vkey) for vkey in vkeys]
    findings, days = Findings(), DayRange(first, last)
    for table in EVIDENCE_TABLES:
        if not table_exists(table, lake.places.lake):
            place = table.uri(lake.places.lake)
            findings.add(table.name, f"{place}: there is no such table; nothing was run here, or it was removed")
            return findings.verification(CheckedLog((), 0), {}, set(), days)
    log = findings.guard("seals", lambda: check_log(lake, verifiers, findings)) or CheckedLog((), 0)
    committed: Committed = findings.guard("records", lambda: read_commits(lake, findings)) or {}
    sealed = check_seals(lake, log, committed, findings)
    findings.guard("sources", lambda: check_projection(lake, committed, sealed, days, findings))
    findings.guard("records", lambda: check_rows(lake, committed, days, findings))
    return findings.verification(log, committed, sealed, days)
