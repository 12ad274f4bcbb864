"""The typed view made again from the records, and compared row by row with what is stored."""

from collections.abc import Collection, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.derive import DERIVE_APP, Attempts, derived_rows, event_file
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.pseudonyms import PersonKeys
from audit_pipeline.verify.findings import CheckedLog, Findings
from audit_pipeline.verify.tables import Replay


def check_derived(
    lake: Lake,
    replays: Mapping[str, Replay],
    versions: Collection[int],
    log: CheckedLog,
    people: PersonKeys,
    findings: Findings,
) -> None:
    """Each event table has the rows that these commits of `records` give, and no others."""
    records = replays["records"]
    tables = {name: replays[name] for name in EVENTS if name in replays}
    done = min((replay.numbers.get(DERIVE_APP, 0) for replay in tables.values()), default=0)
    files = {name: _files(replay) for name, replay in tables.items()}
    waiting, other = 0, set[str]()
    # Counted from the first commit on: without all of them there is nothing to compare the numbers with.
    attempts = Attempts() if set(versions) >= set(range(1, done + 1)) else None
    for version in sorted(versions):
        commit = records.commits.get(version)
        if commit is None:
            continue  # told already
        if version > done:
            waiting += 1
        elif changed := findings.guard("records", partial(_changed_adapters, records, commit, log)):
            other |= changed
            attempts = None
        else:
            findings.guard(
                "records", partial(_check_commit, lake, records, commit, version, files, people, attempts, findings)
            )
    if waiting:
        findings.notes.append(f"{waiting} commits of `records` are not in the event tables yet: run the day again")
    if other:
        findings.notes.append(f"not derived again, for the seals name other versions: {', '.join(sorted(other))}")


def _files(replay: Replay) -> dict[str, Replay]:
    return {file.name: replay for commit in replay.commits.values() for file in commit.files}


def _changed_adapters(records: Replay, commit: Commit, log: CheckedLog) -> set[str]:
    """Adapters that made the events of this commit, by the seals of its days, and are of another version here."""
    days, formats = set(), set()
    for file in commit.files:
        for snapshot in read_batch(records.table, file.name).snapshots:
            days.add(tlog.parse_source(snapshot["entry"].encode()).day)
            formats.add(snapshot["format"])
    sealed = {adapter for seal in log.signed if seal.day in days for adapter in seal.adapters}
    here = {f"{adapter.name}@{adapter.version}" for adapter in ADAPTERS.values()}
    return {adapter for adapter in sealed - here if adapter.partition("@")[0] in formats}


def _check_commit(
    lake: Lake,
    records: Replay,
    commit: Commit,
    version: int,
    files: Mapping[str, Mapping[str, Replay]],
    people: PersonKeys,
    attempts: Attempts | None,
    findings: Findings,
) -> None:
    made: dict[str, list[pa.Table]] = {name: [] for name in files}
    for events in derived_rows(lake, records.table, commit, people):
        for name, rows in events.items():
            made.setdefault(name, []).append(rows if attempts is None else attempts.number(name, rows))
    for name, parts in made.items():
        stored = files.get(name, {}).get(event_file(version))
        if stored is None and parts:
            findings.add(name, f"{event_file(version)}: not there, though commit {version} of `records` gives events")
        elif stored is not None:
            findings.guard(name, partial(_compare, stored, version, parts, attempts is not None, findings))


def _compare(stored: Replay, version: int, parts: list[pa.Table], is_numbered: bool, findings: Findings) -> None:
    files, table = stored.table.files, stored.table.table
    path = files.path(event_file(version))
    expected = pa.concat_tables([table.schema.empty_table(), *parts])
    with decoding(path):
        found = pq.read_table(files.file(event_file(version)), partitioning=None)
        rows = found.cast(table.schema)
    if not is_numbered and "attempt" in table.schema.names:
        rows, expected = rows.drop_columns("attempt"), expected.drop_columns("attempt")
    # Arrow calls no NaN equal to another; texts of them are.
    same = rows.equals(expected) or repr(rows.to_pylist()) == repr(expected.to_pylist())
    if not same:
        findings.add(table.name, f"{path}: its rows are not those that the records give")
