"""The typed view made again from the records, and compared row by row with what is stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.derive import DERIVE_APP
from audit_pipeline.derive.attempts import Attempts
from audit_pipeline.derive.event_files import event_file, version_of
from audit_pipeline.derive.event_rows import derived_rows
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake.audit_rows import AUDIT_APP
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit, adapter_app
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.pseudonyms import PersonKeys
from audit_pipeline.verify.findings import Findings
from audit_pipeline.verify.tables import Replay


def check_derived(
    lake: Lake,
    replays: Mapping[str, Replay],
    versions: Collection[int],
    people: PersonKeys,
    findings: Findings,
) -> None:
    """Each event table has the rows that these commits of `records` give, and no others."""
    records = replays["records"]
    tables = {name: replays[name] for name in EVENTS if name in replays}
    done = min((replay.numbers.get(DERIVE_APP, 0) for replay in tables.values()), default=0)
    files = {name: _Stored.of(replay) for name, replay in tables.items()}
    others = {adapter for replay in tables.values() for adapter in _other_versions(replay)}
    waiting = 0
    # Counted from the first commit on: without all of them there is nothing to compare the numbers with.
    attempts = Attempts() if set(versions) >= set(range(1, done + 1)) and not others else None
    for version in sorted(versions):
        commit = records.commits.get(version)
        if commit is None:
            continue  # told already
        if version > done:
            waiting += commit.app != AUDIT_APP
        elif not findings.guard("records", partial(_has_format_of, others, records, commit)):
            findings.guard(
                "records", partial(_check_commit, lake, records, commit, version, files, people, attempts, findings)
            )
    if waiting:
        findings.notes.append(f"{waiting} commits of `records` are not in the event tables yet: run the day again")
    if others:
        findings.notes.append(
            f"not derived again, for other versions made them: {', '.join(sorted(others))}: "
            "the next run replaces what older ones made"
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """The data files of an event table by the commit of `records` they have the rows of."""

    table: OpenTable
    names: Mapping[int, str]

    @classmethod
    def of(cls, replay: Replay) -> "_Stored":
        return cls(replay.table, {version_of(name): name for name in replay.active()})


def _other_versions(replay: Replay) -> set[str]:
    """The adapters that were of another version when the rows of this table were derived."""
    made = {name: replay.numbers.get(adapter_app(name), 0) for name in ADAPTERS}
    return {name for name, version in made.items() if version not in (0, ADAPTERS[name].version)}


def _has_format_of(adapters: Collection[str], records: Replay, commit: Commit) -> bool:
    snapshots = (snapshot for file in commit.files for snapshot in read_batch(records.table, file.name).snapshots)
    return bool(adapters) and any(snapshot["format"] in adapters for snapshot in snapshots)


def _check_commit(
    lake: Lake,
    records: Replay,
    commit: Commit,
    version: int,
    files: Mapping[str, _Stored],
    people: PersonKeys,
    attempts: Attempts | None,
    findings: Findings,
) -> None:
    made: dict[str, list[pa.Table]] = {name: [] for name in files}
    for _, events in derived_rows(lake, records.table, commit, people):
        for name, rows in events.items():
            made.setdefault(name, []).append(rows if attempts is None else attempts.number(name, rows))
    for name, parts in made.items():
        stored = files[name].names.get(version) if name in files else None
        if stored is None and parts:
            findings.add(name, f"{event_file(version)}: not there, though commit {version} of `records` gives events")
        elif stored is not None:
            findings.guard(name, partial(_compare, files[name].table, stored, parts, attempts is not None, findings))


def _compare(open_: OpenTable, name: str, parts: list[pa.Table], is_numbered: bool, findings: Findings) -> None:
    files, table = open_.files, open_.table
    path = files.path(name)
    expected = pa.concat_tables([table.schema.empty_table(), *parts])
    with decoding(path):
        found = pq.read_table(files.file(name), partitioning=None)
        rows = found.cast(table.schema)
    if not is_numbered and "attempt" in table.schema.names:
        rows, expected = rows.drop_columns("attempt"), expected.drop_columns("attempt")
    # Arrow calls no NaN equal to another; texts of them are.
    same = rows.equals(expected) or repr(rows.to_pylist()) == repr(expected.to_pylist())
    if not same:
        findings.add(table.name, f"{path}: its rows are not those that the records give")
