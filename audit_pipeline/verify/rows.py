"""Rows, their commits and the kept sources against the source entries."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from audit_pipeline import tlog
from audit_pipeline.errors import AuditError, ProofError, UnreachableError
from audit_pipeline.lake.adoption import check_object
from audit_pipeline.lake.ahead import map_ahead
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.declared import SOURCES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import SOURCES_APP, source_rows
from audit_pipeline.lake.rows import FoundRows, SnapshotName, check_statistics, count_rows, rows_of_file, snapshot_fault
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.verify.findings import DayRange, Findings, Problem
from audit_pipeline.verify.tables import Replay

_MORE_ROWS = 1_000_000  # than its commit says a file may have and still be read, to name those that do not belong
_KEPT_CONTAINERS = ("json", "csv", "parquet", "tfrecord", "sqlite", "whole")


@dataclass(frozen=True, slots=True)
class Entries:
    """The source entries that commits of `records` made."""

    by_name: dict[SnapshotName, tlog.SourceEntry]
    by_version: dict[int, list[tlog.SourceEntry]]

    def versions(self, days: DayRange) -> list[int]:
        """The commits that have something of these days."""
        return [
            version
            for version, made in self.by_version.items()
            if days.is_open or any(entry.day in days for entry in made)
        ]


def read_entries(lake: Lake, records: Replay, findings: Findings) -> Entries:
    """The source entries of all commits, each once and in a batch of its own stream and day."""
    found = Entries({}, {})
    for version, commit in records.commits.items():
        of_commit = found.by_version.setdefault(version, [])
        for text in commit.entries or ():
            entry = findings.guard("records", lambda text=text: tlog.parse_source(text.encode()))  # type: ignore[misc]
            if entry is None:
                continue
            name = (entry.source, entry.generation, entry.snapshot)
            batch_day = commit.app.rpartition("/")[2]
            is_its = commit.app == f"ingest/{entry.stream}/{batch_day}" and batch_day in {"-", entry.day.isoformat()}
            if entry.lake != lake.lake_id or name in found.by_name or not is_its:
                findings.add_of("records", entry, f"commit {version}: of another lake or batch, or committed twice")
            found.by_name[name] = entry
            of_commit.append(entry)
    return found


def check_projection(
    lake: Lake,
    records: Replay,
    sources: OpenTable,
    entries: Entries,
    sealed: Collection[SnapshotName],
    days: DayRange,
    findings: Findings,
) -> set[str]:
    """`sources` is what the data files' footers and the commits give, and each kept source has the bytes taken in.

    Gives back the names of all objects that snapshots point at.
    """
    behind = records.table.version - sources.transaction(SOURCES_APP)
    there, objects = set(sources.active_files()), set[str]()
    # Of each commit of `records` a file; a commit at a time, for a day may have very many sources.
    files = {f"{version}.parquet": records.commits[version] for version in entries.versions(days)}
    for file in sorted(there | files.keys()):
        rows = sources.read_file(file if file in there else None, SOURCES.schema.names).to_pylist()
        found = {_name(row): row for row in rows if row["day"] in days}
        expected: dict[SnapshotName, dict[str, Any]] = {}
        if (commit := files.get(file)) is not None:
            given = findings.guard("records", lambda commit=commit: _footer_rows(records.table, commit)) or []  # type: ignore[misc]
            expected = {_name(row): row for row in given}
        for name in sorted(found.keys() | expected.keys()):
            if name not in found and behind > 0 and name not in sealed:
                continue  # a run that ended before it came to the projection
            if found.get(name) != expected.get(name) and (name in found or expected[name]["day"] in days):
                day = str((found.get(name) or expected[name])["day"])
                message = "the row is not what the commit and the data file say"
                findings.problem(Problem("sources", day, name[0], "-", message))
        for name, row in expected.items():
            if name in entries.by_name and entries.by_name[name].day in days:
                _check_kept(lake, entries.by_name[name], row, findings)
        objects.update(row[column] for row in expected.values() for column in ("object", "line_object") if row[column])
    if behind:
        findings.notes.append(f"`sources` is {behind} commits behind `records`; the next run completes it")
    return objects


def _footer_rows(records: OpenTable, commit: Commit) -> list[dict[str, Any]]:
    """The rows of `sources` that a commit gives, once its data file says of itself what the commit says."""
    if len(commit.files) != 1:
        raise ProofError(f"{commit.app} {commit.number}: has {len(commit.files)} data files, a batch has one")
    (file,) = commit.files
    batch = read_batch(records, file.name)
    said = (f"ingest/{batch.stream}/{batch.day}", batch.number, milliseconds(batch.time), tuple(batch.entry_texts()))
    if said != (commit.app, commit.number, commit.time_ms, commit.entries):
        raise ProofError(f"{records.files.path(file.name)}: its footer does not say what its commit says")
    rows: list[dict[str, Any]] = source_rows(records, commit).to_pylist()
    return rows


def check_rows(records: Replay, entries: Entries, days: DayRange, findings: Findings) -> None:
    """Every row hashes into its snapshot's root; no row is outside a snapshot, none is missing, none is there twice."""
    versions = [version for version in entries.versions(days) if len(records.commits[version].files) == 1]

    def check(version: int) -> Findings:
        found = Findings()
        (file,) = records.commits[version].files
        made = entries.by_version[version]
        rows = found.guard("records", lambda: _read_file(records.table, file.name, made))
        if rows is not None:
            _check_file(made, rows, found)
            found.guard("records", lambda: check_statistics(records.table, file.name))
        return found

    for found in map_ahead(check, versions):
        findings.merge(found)


def _read_file(records: OpenTable, name: str, entries: Iterable[tlog.SourceEntry]) -> dict[SnapshotName, FoundRows]:
    """The rows of a data file by snapshot.

    Raises:
        AuditError: it cannot be read, or has far more rows than the entries of its commit.
    """
    # Before anything is decoded: few bytes can stand for very many rows.
    expected = sum(entry.records for entry in entries)
    if (rows := count_rows(records, name)) > 2 * expected + _MORE_ROWS:
        path = records.files.path(name)
        raise ProofError(f"{path}: its footer says {rows} rows, its commit's entries {expected}")
    return rows_of_file(records, name)


def _check_file(entries: Iterable[tlog.SourceEntry], found: dict[SnapshotName, FoundRows], findings: Findings) -> None:
    for entry in entries:
        rows = found.pop((entry.source, entry.generation, entry.snapshot), FoundRows())
        findings.sources += 1
        findings.records += rows.count
        if (fault := snapshot_fault(entry, rows)) is not None:
            findings.add_of("records", entry, fault)
    for name, rows in sorted(found.items(), key=itemgetter(0)):
        positions = rows.in_order()[0]
        day, where = ", ".join(sorted(map(str, rows.days))), f"{positions[0]}-{positions[-1]}"
        message = f"{rows.count} rows outside the snapshots of their file's commit"
        findings.problem(Problem("records", day, name[0], where, message))


def _check_kept(lake: Lake, entry: tlog.SourceEntry, row: dict[str, Any], findings: Findings) -> None:
    if canonical.source_id(entry.stream, row["path"]) != entry.source:
        findings.add_of("sources", entry, f"path {row['path']!r} is not the source's: its id is of another path")
    is_kept = entry.container in _KEPT_CONTAINERS or entry.compression != "none"
    if is_kept and not row["object"]:
        findings.add_of("sources", entry, "names no kept source, but one was kept")
    for column, compression, start in (("object", entry.compression, entry.start), ("line_object", "none", 0)):
        if row[column]:
            try:
                check_object(lake.evidence, row[column], entry, row["nonce"], compression, start)
            except UnreachableError:
                raise
            except AuditError as err:
                findings.add_of("evidence", entry, str(err))


def _name(row: dict[str, object]) -> SnapshotName:
    return str(row["source_id"]), int(str(row["generation"])), int(str(row["snapshot"]))
