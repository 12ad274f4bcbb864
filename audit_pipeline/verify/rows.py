"""Rows, their commits and the kept sources against the source entries."""

import json
import posixpath
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from operator import itemgetter
from typing import Any, TypeVar

from audit_pipeline import tlog
from audit_pipeline.errors import AuditError, StorageError
from audit_pipeline.lake import evidence
from audit_pipeline.lake.compression import decompressed
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.opened import RECORDS, SOURCES, Lake
from audit_pipeline.lake.projection import ENTRIES_KEY, expected_rows
from audit_pipeline.lake.rows import FoundRows, SnapshotName, days_of_file, rows_of_file, snapshot_fault
from audit_pipeline.lake.slices import skip
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.verify.findings import DayRange, Findings, Problem

_WORKERS = 2
_KEPT_CONTAINERS = ("json", "csv", "parquet", "whole")

_Read = TypeVar("_Read")

Committed = dict[SnapshotName, tlog.SourceEntry]


def read_commits(lake: Lake, findings: Findings) -> Committed:
    """The source entries that the commits of `records` made, each once."""
    records = lake.open(RECORDS)
    committed: Committed = {}
    for version, actions in records.commits(1, records.version):
        with decoding(f"{records.path}: commit {version}"):
            texts = list(_entry_texts(actions))
        for text in texts:
            entry = tlog.parse_source(text)
            name = (entry.source, entry.generation, entry.snapshot)
            if entry.lake != lake.lake_id or name in committed:
                findings.add_of("records", entry, f"commit {version}: of another lake, or committed twice")
            committed[name] = entry
    return committed


def check_projection(
    lake: Lake, committed: Committed, sealed: Collection[SnapshotName], days: DayRange, findings: Findings
) -> None:
    """`sources` is what the data files' footers and the commits give, and each kept source has the bytes taken in."""
    records, sources = lake.open(RECORDS), lake.open(SOURCES)
    behind = records.version - sources.transaction("sources")
    found = {_name(row): row for row in sources.read(SOURCES.schema.names).to_pylist()}
    expected = {_name(row): row for row in expected_rows(records, records.version)}
    for name in sorted(found.keys() | expected.keys()):
        if name not in found and behind > 0 and name not in sealed:
            continue  # a run that ended before it came to the projection
        if found.get(name) != expected.get(name):
            day = str((found.get(name) or expected[name])["day"])
            message = "the row is not what the commit and the data file say"
            findings.problems.append(Problem("sources", day, name[0], "-", message))
    if behind:
        findings.notes.append(f"`sources` is {behind} commits behind `records`; the next run completes it")
    for name, row in expected.items():
        if name in committed and committed[name].day in days:
            _check_kept(lake, committed[name], row, findings)


def check_rows(lake: Lake, committed: Committed, days: DayRange, findings: Findings) -> None:
    """Every row hashes into its snapshot's root; no row is outside a snapshot, none is missing, none is there twice."""
    records = lake.open(RECORDS)
    unseen = {name for name, entry in committed.items() if entry.day in days}
    rest: dict[SnapshotName, FoundRows] = {}
    whole: set[SnapshotName] = set()
    files = [name for name in records.active_files() if _is_plain_path(name, findings)]
    for found in _read_ahead(lambda name: _read_file(records, name, days, findings), files):
        for name, rows in found.items():
            if name in whole:
                findings.add_of("records", committed[name], "its rows are there twice, in two data files")
            elif name in committed and name not in rest and rows.count == committed[name].records:
                _check_snapshot(committed[name], rows, findings)
                whole.add(name)
            else:  # rows of one snapshot in several files, as after a compaction, or a fault
                rest.setdefault(name, FoundRows()).merge(rows)
    for name, rows in sorted(rest.items(), key=itemgetter(0)):
        unseen.discard(name)
        if name not in committed:
            positions = rows.in_order()[0]
            day, where = ", ".join(sorted(map(str, rows.days))), f"{positions[0]}-{positions[-1]}"
            message = f"{rows.count} rows outside any commit of ours"
            findings.problems.append(Problem("records", day, name[0], where, message))
        elif committed[name].day in days:
            _check_snapshot(committed[name], rows, findings)
    for name in sorted(unseen - whole):
        if committed[name].records:
            findings.add_of("records", committed[name], "all its rows are missing")
        else:
            _check_snapshot(committed[name], FoundRows(), findings)


def _read_ahead(read: Callable[[str], _Read], names: Iterable[str]) -> Iterator[_Read]:
    """What `read` gives for each name, in order; a few are read ahead, not all: what waits takes memory."""
    waiting: deque[Future[_Read]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for name in names:
            waiting.append(pool.submit(read, name))
            if len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_plain_path(name: str, findings: Findings) -> bool:
    """Engines differ in what they make of an escaped or winding path, so they could read another file than we do."""
    if "%" in name or name != posixpath.normpath(name) or name.startswith(("/", "..")) or ":" in name:
        findings.add("records", f"data file {name!r}: not a plain path below the table")
        return False
    return True


def _check_kept(lake: Lake, entry: tlog.SourceEntry, row: dict[str, Any], findings: Findings) -> None:
    if canonical.source_id(entry.stream, row["path"]) != entry.source:
        findings.add_of("sources", entry, f"path {row['path']!r} is not the source's: its id is of another path")
    is_kept = entry.container in _KEPT_CONTAINERS or entry.compression != "none"
    if is_kept and not row["object"]:
        findings.add_of("sources", entry, "names no kept source, but one was kept")
    for column, compression, start in (("object", entry.compression, entry.start), ("line_object", "none", 0)):
        if row[column]:
            try:
                _check_object(lake.evidence, row[column], entry, row["nonce"], compression, start)
            except AuditError as err:
                findings.add_of("evidence", entry, str(err))


def _read_file(records: OpenTable, name: str, days: DayRange, findings: Findings) -> dict[SnapshotName, FoundRows]:
    try:
        is_wanted = days.is_open or any(day in days for day in days_of_file(records, name))
        return rows_of_file(records, name) if is_wanted else {}
    except AuditError as err:
        findings.add("records", str(err))
        return {}


def _check_snapshot(entry: tlog.SourceEntry, rows: FoundRows, findings: Findings) -> None:
    findings.sources += 1
    findings.records += rows.count
    if (fault := snapshot_fault(entry, rows)) is not None:
        findings.add_of("records", entry, fault)


def _check_object(
    objects: Folder, name: str, entry: tlog.SourceEntry, nonce: bytes, compression: str, start: int
) -> None:
    size_bytes = entry.end - entry.start
    with evidence.open_object(objects, name) as kept, decompressed(kept, compression) as stream:
        skip(stream, start)
        found = evidence.digest_stream(stream, nonce, size_bytes)
    if found != (entry.content, size_bytes):
        raise StorageError(f"{objects.path(name)}: not the bytes that were taken in; restore it from a backup")


def _entry_texts(actions: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for action in actions:
        if ENTRIES_KEY in action.get("commitInfo", {}):
            yield from (text.encode() for text in json.loads(action["commitInfo"][ENTRIES_KEY]))


def _name(row: dict[str, object]) -> SnapshotName:
    return str(row["source_id"]), int(str(row["generation"])), int(str(row["snapshot"]))
