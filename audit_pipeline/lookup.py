"""Which records somebody means: by a landed file and a line, by an event, by a list; and where their rows are.

Goes by the tables `sources` and the event tables, which are projections: what is found here is shown by a proof only.
"""

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_pipeline.derive.event_files import version_of
from audit_pipeline.errors import InputError
from audit_pipeline.lake import finding
from audit_pipeline.lake.declared import EVENTS, SOURCES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import Bucket, Place
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.sources.landing import Landed, Stream
from audit_pipeline.sources.planning import LINE_CONTAINERS

_DIGEST = re.compile("[0-9a-f]{64}")
_POSITION = re.compile("[0-9]{1,18}")
_EVENT = re.compile("([0-9a-f]{64})-([0-9]{1,18})-([0-9]{1,18})-([0-9]{1,18})-[0-9]{1,18}")
_SNAPSHOT_COLUMNS = ("source_id", "generation", "snapshot", "position", "records", "container", "day", "data_file")


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record."""

    source: str
    """The source's id."""
    generation: int
    snapshot: int
    position: int
    """From 0, within the generation."""


@dataclass(frozen=True, slots=True)
class At:
    """Which record of a source is meant. The newest generation that was taken in, and of it the newest snapshot."""

    position: int
    """From 0, within the generation; of a line source, lines before it."""
    generation: int | None = None
    """Where this one is meant."""
    snapshot: int | None = None
    """Where this one is meant."""


def find_by_file(
    lake: Lake, streams: Sequence[Stream], paths: Sequence[Path], at: At, *, is_line: bool = False
) -> RecordName:
    """The record of a landed file, which need not be there any more. `is_line`: only a file of lines will do.

    `paths` are what the file may be called below the landing zone, the likeliest first.

    Raises:
        InputError: nothing was taken in of such a file, or it has no such record; or it is a source of several streams.
    """
    for path in paths:
        ids = {
            canonical.source_id(stream.name, Landed(path.relative_to(stream.fixed_folder).as_posix(), None, 0, 0).name)
            for stream in streams
            if path.is_relative_to(stream.fixed_folder)
        }
        snapshots = _snapshots(lake, ids)
        if len(snapshots) > 1:
            raise InputError(f"{path}: is {len(snapshots)} sources: name one with --source: {', '.join(snapshots)}")
        for source, rows in snapshots.items():
            row = _snapshot_of(source, at, rows)
            if is_line and row["container"] not in LINE_CONTAINERS:
                raise InputError(f"{path}: is a {row['container']} source, not of lines: give --position, from 0")
            return RecordName(source, row["generation"], row["snapshot"], at.position)
    where = " or ".join(map(str, paths)) or "a path outside the landing zone"
    raise InputError(f"{where}: nothing was taken in of such a file; give its path as it landed, or --source")


def find_at(lake: Lake, wanted: Sequence[tuple[str, At]]) -> list[RecordName]:
    """The records of these sources, in the order asked.

    Raises:
        InputError: no source has this id, or it has no such record.
    """
    snapshots = _snapshots(lake, {source for source, _ in wanted})
    found = []
    for source, at in wanted:
        row = _snapshot_of(source, at, snapshots.get(source, []))
        found.append(RecordName(source, row["generation"], row["snapshot"], at.position))
    return found


def find_by_event(lake: Lake, event_ids: Sequence[str]) -> list[RecordName]:
    """The records that these events were read from, in the order asked: an event's id names its record.

    Raises:
        InputError: it is no event's id, or there is no such record.
    """
    named = [_record_of(event_id) for event_id in event_ids]
    return find_at(lake, [(name.source, At(name.position, name.generation, name.snapshot)) for name in named])


def _record_of(event_id: str) -> RecordName:
    """The record that an event's id names; whether there is one is another question."""
    named = _EVENT.fullmatch(event_id)
    if named is None:
        raise InputError(f"event {event_id[:200]!r}: is no event's id; copy the column event_id of its row")
    return RecordName(named[1], *map(int, named.groups()[1:]))


@dataclass(frozen=True, slots=True)
class OpenEvents:
    """The event tables at one version. Opened once, it finds one event after another without reading the tables."""

    tables: dict[str, OpenTable]
    files: dict[str, dict[int, str]]
    """The data file with the events of a commit of `records`, by table and commit."""
    commits: dict[SnapshotName, int]
    """The commit of `records` by which a snapshot came in."""


def open_events(lake: Lake) -> OpenEvents:
    sources = lake.find(SOURCES)
    if sources is None:
        raise InputError(f"{lake.places.lake}: nothing was taken in yet; run `audit-pipeline run` first")
    tables = {name: open_ for name, table in EVENTS.items() if (open_ := lake.find(table)) is not None}
    files = {name: {version_of(file): file for file in open_.active_files()} for name, open_ in tables.items()}
    commits = {}
    for file in sources.active_files():  # each is called like the commit whose snapshots it has
        rows = sources.read_file(file, ("source_id", "generation", "snapshot"))
        names = zip(*(column.to_pylist() for column in rows.columns), strict=True)
        commits.update(dict.fromkeys(names, version_of(file)))
    return OpenEvents(tables, files, commits)


def find_event(events: OpenEvents, table: str, event_id: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The event's row in an event table: all its columns or these. Without a row where that table has no such event.

    Raises:
        InputError: it is no event's id, or there is no such table yet.
    """
    name = _record_of(event_id)
    if table not in events.tables:
        raise InputError(f"{table}: there is no such event table yet; give one of {', '.join(sorted(events.tables))}")
    open_ = events.tables[table]
    commit = events.commits.get((name.source, name.generation, name.snapshot), 0)
    file = events.files[table].get(commit)
    wanted = open_.table.schema.names if columns is None else columns
    return open_.read_file(None, wanted) if file is None else finding.find_event(open_, file, event_id, wanted)


def find_list(lake: Lake, text: str) -> list[RecordName]:
    """The records that a list names, one a line: `<event id>`, or `<source id> <position>`.

    Raises:
        InputError: a line is neither, or no such record is there.
    """
    events: list[str] = []
    positions: list[tuple[str, At]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) == 1 and _EVENT.fullmatch(words[0]):
            events.append(words[0])
        elif len(words) != 2 or not _DIGEST.fullmatch(words[0]):
            raise InputError(
                f"list, line {number}: expected `<event id>`, or `<source id> <position>`; copy both from tables"
            )
        elif _POSITION.fullmatch(words[1]):
            positions.append((words[0], At(int(words[1]))))
        else:
            raise InputError(f"list, line {number}: expected a position from 0, got {words[1][:40]!r}")
    if not events and not positions:
        raise InputError("list: names no record; give one a line")
    return [*(find_by_event(lake, events) if events else []), *(find_at(lake, positions) if positions else [])]


def paths_below(landing: Place, given: Path, folder: Path) -> list[Path]:
    """What a file that somebody names may be called below the landing zone, the likeliest first.

    As a path of `folder`, with links as they are written and followed; else as a path below the landing zone itself.
    """
    if isinstance(landing, Bucket):
        return _names_below(landing, given)
    here = Path(os.path.normpath(folder / given))
    candidates = [
        path.relative_to(root)
        for path, root in ((here, Path(os.path.normpath(landing))), (here.resolve(), landing.resolve()))
        if path.is_relative_to(root)
    ]
    if not given.is_absolute():
        candidates.append(Path(os.path.normpath(given)))
    return list(dict.fromkeys(candidates))


def _names_below(landing: Bucket, given: Path) -> list[Path]:
    """As a URI in the landing zone, in which a path has one slash where a URI has two; else as a name there."""
    root = Path(landing.uri)
    if given.is_relative_to(root):
        return [given.relative_to(root)]
    return [] if given.is_absolute() or ":" in given.parts[0] else [Path(os.path.normpath(given))]


def locate(lake: Lake, snapshots: Set[SnapshotName]) -> dict[SnapshotName, tuple[date, str]]:
    """(day, data file) of each snapshot.

    Raises:
        InputError: one was not taken in.
    """
    found: dict[SnapshotName, tuple[date, str]] = {}
    for rows in _snapshots(lake, {source for source, _, _ in snapshots}).values():
        for row in rows:
            found[row["source_id"], row["generation"], row["snapshot"]] = (row["day"], row["data_file"])
    if missing := snapshots - found.keys():
        source, generation, number = min(missing)
        raise InputError(f"source {source}: has no snapshot {generation}/{number}; look into the table `sources`")
    return {snapshot: found[snapshot] for snapshot in snapshots}


def _snapshots(lake: Lake, sources: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The rows of `sources` of these sources, by id, each in order of generation and snapshot."""
    table = lake.find(SOURCES)
    if table is None:
        raise InputError(f"{lake.places.lake}: nothing was taken in yet; run `audit-pipeline run` first")
    ids = set(sources)
    rows = table.read_sources(_SNAPSHOT_COLUMNS, ids) if ids else table.read_file(None, _SNAPSHOT_COLUMNS)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.sort_by([("generation", "ascending"), ("snapshot", "ascending")]).to_pylist():
        found.setdefault(row["source_id"], []).append(row)
    return found


def _snapshot_of(source: str, at: At, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The row of the snapshot that `at` means, among those of its source."""
    if not rows:
        raise InputError(f"source {source}: was never taken in; copy the column source_id of the table `sources`")
    generation = rows[-1]["generation"] if at.generation is None else at.generation
    in_generation = [row for row in rows if row["generation"] == generation and row["records"]]
    mine = [row for row in in_generation if at.snapshot in (None, row["snapshot"])]
    # The last one that starts there or before: a last line without its newline is taken again by the next snapshot.
    before = bisect_right(mine, at.position, key=lambda row: int(row["position"]))
    if before and at.position < mine[before - 1]["position"] + mine[before - 1]["records"]:
        return mine[before - 1]
    last = max((row["position"] + row["records"] - 1 for row in mine), default=None)
    has = "no records" if last is None else f"records {mine[0]['position']} to {last}"
    asked = f"generation {generation}" + ("" if at.snapshot is None else f", snapshot {at.snapshot},")
    raise InputError(f"source {source}: no record at position {at.position}: {asked} has {has}")
