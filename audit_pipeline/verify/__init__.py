"""Compare what is stored with what was signed, bytes first, then rows, and say what holds.

Needs no Dagster and no private key. Every check adds problems; none stops the others unless it leaves them nothing to
check. What a verification can show is its set of levels; without problems it says no more than these.
"""

from collections.abc import Callable
from datetime import date

from audit_pipeline.derive.event_files import version_of
from audit_pipeline.lake.declared import EVIDENCE_TABLES, RECORDS, SEALS, SOURCES
from audit_pipeline.lake.logbook import read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.pseudonyms import PersonKeys
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify.audited import check_audited
from audit_pipeline.verify.derived import check_derived
from audit_pipeline.verify.findings import CheckedLog, DayRange, Findings, Problem, Verification
from audit_pipeline.verify.guarded import check_guards
from audit_pipeline.verify.log import check_keys, check_log, check_seals
from audit_pipeline.verify.released import check_released
from audit_pipeline.verify.rows import Entries, check_projection, check_rows, read_entries
from audit_pipeline.verify.stored import Listed, check_bytes, check_names, read_inventories
from audit_pipeline.verify.tables import Replay, check_files, replay_tables

__all__ = ["Problem", "Verification", "verify"]


def verify(
    lake: Lake,
    *,
    first: date | None = None,
    last: date | None = None,
    trust: Trust | None = None,
    people: PersonKeys | None = None,
    tell: Callable[[Problem], None] = lambda problem: None,
) -> Verification:
    """Check the log whole, and bytes and rows of the days `first` to `last`, or of all days.

    `trust` is what you believe; without it the key beside the lake is believed, which shows less. With the keys of
    `people` the event tables are made again and compared. `tell` hears of each problem when it is found.

    Raises:
        UnreachableError: a store cannot be asked, so that nothing can be told.
    """
    findings, days = Findings(tell), DayRange(first, last)
    replays = replay_tables(lake, findings)
    if any(table.name not in replays for table in EVIDENCE_TABLES):
        return findings.verification(CheckedLog((), 0), {}, set(), days)
    records, sources, seals = (replays[table.name] for table in (RECORDS, SOURCES, SEALS))
    entries = read_entries(lake, records, findings)
    log_entries = tuple(findings.guard("seals", lambda: read_log(seals.table)) or ())
    keys = findings.guard("log", lambda: check_keys(lake, log_entries, trust, findings))
    inventories = findings.guard("inventory", lambda: read_inventories(lake, keys, findings)) if keys else None
    listed = inventories or Listed()
    is_wanted = _wanted(replays, entries, days)
    check_bytes(lake, listed, is_wanted, findings)
    for replay in replays.values():
        check_files(replay, is_wanted, findings)
    log = CheckedLog((), 0)
    if keys is not None:
        log = (
            findings.guard(
                "seals", lambda: check_log(lake, seals.table, log_entries, keys, trust, listed.log_size, findings)
            )
            or log
        )
    sealed = check_seals(lake, log, entries.by_name, findings)
    objects = findings.guard(
        "sources", lambda: check_projection(lake, records, sources.table, entries, sealed, days, findings)
    )
    check_rows(records, entries, days, findings)
    check_audited(replays, findings)
    check_released(lake, findings)
    if people is not None:
        check_derived(lake, replays, entries.versions(days), people, findings)
    if days.is_open:
        if inventories is not None:  # else every inventory would look like a stranger's
            check_names(lake, listed, replays, objects or set(), log, findings)
        check_guards(lake, findings)
    return findings.verification(log, entries.by_name, sealed, days)


def _wanted(replays: dict[str, Replay], entries: Entries, days: DayRange) -> Callable[[str], bool]:
    """Whether a stored file is compared: all are that do not belong to other days alone."""
    if days.is_open:
        return lambda path: True
    others = entries.by_version.keys() - set(entries.versions(days))
    left_out = set[str]()
    for name, replay in replays.items():
        for version, commit in replay.commits.items():
            for file in commit.files:
                of = version if name == RECORDS.name else version_of(file.name)
                if of in others and name not in {SOURCES.name, SEALS.name}:
                    left_out.add(f"{replay.folder}/{file.name}")
    near = {f"evidence/{entry.stream}/{entry.source}" for entry in entries.by_name.values() if entry.day in days}
    far = {f"evidence/{entry.stream}/{entry.source}" for entry in entries.by_name.values()} - near
    return lambda path: path not in left_out and path.rpartition("/")[0] not in far
