"""Re-derive the evidence from what is stored, and say what holds.

Needs no Dagster and no private key. Every check adds problems; none stops the others unless it leaves them nothing to
check. What a verification can show is its set of levels; without problems it says no more than these.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

from audit_pipeline import tlog
from audit_pipeline.errors import AuditError, StorageError
from audit_pipeline.lake import evidence
from audit_pipeline.lake.compression import decompressed
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import draft_name, read_log
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.opened import EVIDENCE_TABLES, RECORDS, SEALS, SOURCES, Lake
from audit_pipeline.lake.projection import ENTRIES_KEY, expected_rows
from audit_pipeline.lake.rows import FoundRows, SnapshotName, days_of_file, rows_of_file
from audit_pipeline.lake.slices import read_up_to, skip
from audit_pipeline.lake.tables import OpenTable, table_exists
from audit_pipeline.records import canonical

_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold. `-` where a field has no meaning."""

    table: str
    day: str
    source: str
    position: str
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked and what holds."""

    levels: tuple[str, ...]
    """`self-consistent`, `extends-own-mark`, `signed`: what was shown, where there are no problems."""
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    days: int
    sources: int
    """Source entries whose rows were hashed again."""
    records: int
    log_size: int
    unsealed_records: int


def verify(
    lake: Lake, *, first: date | None = None, last: date | None = None, vkeys: Sequence[str] = ()
) -> Verification:
    """Check the log whole, and the rows of the days `first` to `last`, or of all days.

    `vkeys` are the keys you trust; without them the key beside the lake is used, which shows less.
    """
    for table in EVIDENCE_TABLES:
        if not table_exists(table, lake.places.lake):
            missing = _problem(
                table.name,
                f"{table.uri(lake.places.lake)}: there is no such table; nothing was run here, or it was removed",
            )
            return Verification((), (), (missing,), 0, 0, 0, 0, 0)
    check = _Check(lake, first, last, vkeys)
    check.run()
    return check.summary()


class _Check:
    """One verification. State: what is known so far, and the problems found."""

    def __init__(self, lake: Lake, first: date | None, last: date | None, vkeys: Sequence[str]) -> None:
        self._lake, self._first, self._last, self._vkeys = lake, first, last, vkeys
        self._problems: list[Problem] = []
        self._notes: list[str] = []
        self._levels: list[str] = []
        self._seals: list[tlog.SealEntry] = []
        self._signed = 0
        self._committed: dict[SnapshotName, tlog.SourceEntry] = {}
        self._sealed: set[SnapshotName] = set()
        self._rows = self._entries_checked = self._days = 0

    def run(self) -> None:
        self._guard("seals", self._check_log)
        self._guard("records", self._read_commits)
        self._check_seals()
        self._guard("sources", self._check_projection)
        self._check_rows()
        self._guard("records", self._check_objects)

    def summary(self) -> Verification:
        unsealed = [
            entry for name, entry in self._committed.items() if name not in self._sealed and self._wanted(entry.day)
        ]
        if unsealed:
            self._notes.append(f"{len(unsealed)} snapshots came in since the last seal: not yet protected")
        return Verification(
            levels=tuple(self._levels) if not self._problems else (),
            notes=tuple(self._notes),
            problems=tuple(self._problems),
            days=self._days,
            sources=self._entries_checked,
            records=self._rows,
            log_size=self._signed,
            unsealed_records=sum(entry.records for entry in unsealed),
        )

    def _wanted(self, day: date) -> bool:
        return (self._first is None or day >= self._first) and (self._last is None or day <= self._last)

    def _guard(self, table: str, check: Callable[[], None]) -> None:
        try:
            check()
        except AuditError as err:
            self._problems.append(_problem(table, str(err)))

    def _check_log(self) -> None:
        """Entries, checkpoint, tiles and mark say the same."""
        seals = self._lake.open(SEALS)
        self._seals = read_log(seals)
        leaves = tlog.hash_leaves(map(tlog.format_seal, self._seals))
        self._check_seal_columns(seals)
        published = self._lake.log.get("checkpoint")
        if published is None:
            raise StorageError(
                f"{self._lake.log.path('checkpoint')}: missing; run the day again, or restore it from a backup"
            )
        trusted = list(self._vkeys) or [self._lake.vkey]
        checkpoint, _ = tlog.open_checkpoint(published, [tlog.parse_vkey(vkey) for vkey in trusted])
        self._check_head("checkpoint", leaves, checkpoint.origin, checkpoint.size, checkpoint.root.hex())
        self._signed = min(checkpoint.size, len(self._seals))
        if len(self._seals) > self._signed:
            self._notes.append(
                f"{len(self._seals) - self._signed} entries of the log are not signed yet: run the day again"
            )
        for path, hashes in tlog.tiles_for(leaves[: 32 * self._signed], hash_nodes=hash_nodes):
            if self._lake.log.get(path) != hashes:
                self._problems.append(
                    _problem("log", f"{self._lake.log.path(path)}: missing, or differs from the entries")
                )
        self._levels.append("self-consistent")
        number, mark = newest_mark(Folder(self._lake.places.marks))
        if mark is None:
            self._notes.append("no mark: a log cut short could not be told from a young one")
        else:
            self._check_head(f"mark {number}", leaves, mark.origin, mark.size, mark.root)
            if mark.size > checkpoint.size:
                self._problems.append(
                    _problem(
                        "log", f"checkpoint: size {checkpoint.size}, but mark {number} says {mark.size} was signed"
                    )
                )
            self._levels.append("extends-own-mark")
        if self._vkeys:
            self._levels.append("signed")
        else:
            self._notes.append(
                "checked with the key stored beside the lake: who holds it can rewrite everything; give --trust"
            )

    def _check_head(self, what: str, leaves: bytes, origin: str, size: int, root: str) -> None:
        if origin != self._lake.origin:
            self._problems.append(_problem("log", f"{what}: of {origin}, not of {self._lake.origin}"))
        elif size > len(leaves) // 32:
            self._problems.append(
                _problem(
                    "seals", f"{what} covers {size} entries, {len(leaves) // 32} are there: the log was cut or restored"
                )
            )
        elif (found := tlog.tree_root(leaves[: 32 * size], hash_nodes).hex()) != root:
            self._problems.append(_problem("seals", f"{what} says root {root}, the first {size} entries give {found}"))

    def _check_seal_columns(self, seals: OpenTable) -> None:
        rows = sorted(seals.read(SEALS.schema.names).to_pylist(), key=lambda row: row["index"])
        for row, seal in zip(rows, self._seals, strict=True):
            said = (seal.day, seal.kind, seal.segment, seal.sources, seal.records, seal.root, seal.time)
            if said != tuple(
                row[name] for name in ("day", "kind", "segment", "sources", "records", "root", "sealed_at")
            ):
                self._problems.append(
                    _problem("seals", f"row {row['index']}: its columns do not say what its entry says", day=seal.day)
                )

    def _read_commits(self) -> None:
        """The source entries that the commits of `records` made, each once."""
        records = self._lake.open(RECORDS)
        for version, actions in records.commits(1, records.version):
            for text in _entry_texts(actions):
                entry = tlog.parse_source(text.encode())
                name = _name(entry)
                if entry.lake != self._lake.lake_id or name in self._committed:
                    self._problems.append(
                        _of_entry("records", entry, f"commit {version}: of another lake, or committed twice")
                    )
                self._committed[name] = entry

    def _check_seals(self) -> None:
        """Each signed seal's draft gives its root, and its sources were committed; no source is sealed twice."""
        last: dict[date, tlog.SealEntry] = {}
        for seal in self._seals[: self._signed]:
            before = last.get(seal.day)
            last[seal.day] = seal
            expected = (before.segment + 1, tlog.leaf_hash(tlog.format_seal(before)).hex()) if before else (1, None)
            if (seal.segment, seal.previous) != expected or seal.lake != self._lake.lake_id:
                self._problems.append(
                    _problem(
                        "seals", f"segment {seal.segment}: does not follow on segment {expected[0] - 1}", day=seal.day
                    )
                )
            self._guard("seals", lambda seal=seal: self._check_draft(seal))  # type: ignore[misc]
        self._days = sum(self._wanted(day) for day in last)

    def _check_draft(self, seal: tlog.SealEntry) -> None:
        name = draft_name(seal.day, seal.segment)
        draft = self._lake.evidence.get(name)
        if draft is None:
            raise StorageError(f"{self._lake.evidence.path(name)}: missing; restore it from a backup")
        drafted, entries = tlog.parse_draft(draft, hash_nodes)
        if drafted != seal:
            self._problems.append(
                _problem("seals", f"segment {seal.segment}: its draft is of another seal", day=seal.day)
            )
        for entry in entries:
            if _name(entry) in self._sealed:
                self._problems.append(_of_entry("seals", entry, "sealed twice"))
            self._sealed.add(_name(entry))
            if self._committed.get(_name(entry)) != entry:
                self._problems.append(
                    _of_entry(
                        "records",
                        entry,
                        "sealed, but no commit of `records` says the same: the rows were removed or replaced",
                    )
                )

    def _check_projection(self) -> None:
        """`sources` is what the data files' footers and the commits give."""
        records, sources = self._lake.open(RECORDS), self._lake.open(SOURCES)
        behind = records.version - sources.transaction("sources")
        if behind:
            self._notes.append(f"`sources` is {behind} commits behind `records`; the next run completes it")
        found = {_row_name(row): row for row in sources.read(SOURCES.schema.names).to_pylist()}
        expected = {_row_name(row): row for row in expected_rows(records, records.version - behind)}
        for name in found.keys() | expected.keys():
            if found.get(name) != expected.get(name):
                day = str((found.get(name) or expected[name])["day"])
                self._problems.append(
                    Problem("sources", day, name[0], "-", "the row is not what the commit and the data file say")
                )

    def _check_rows(self) -> None:
        """Every row hashes into its snapshot's root; no row is outside a snapshot, none is missing."""
        records = self._lake.open(RECORDS)
        missing = {name for name, entry in self._committed.items() if self._wanted(entry.day)}
        rest: dict[SnapshotName, FoundRows] = {}
        with ThreadPoolExecutor(_WORKERS) as pool:
            for found in pool.map(lambda name: self._read_file(records, name), records.active_files()):
                for name, rows in found.items():
                    entry = self._committed.get(name)
                    if entry is not None and name not in rest and rows.count == entry.records:
                        self._check_snapshot(entry, rows)
                        missing.discard(name)
                    else:
                        rest.setdefault(name, FoundRows()).merge(rows)
        for name, rows in rest.items():
            entry = self._committed.get(name)
            missing.discard(name)
            if entry is None:
                positions = rows.in_order()[0]
                day = ", ".join(sorted(map(str, rows.days)))
                where = f"{positions[0]}-{positions[-1]}"
                self._problems.append(
                    Problem("records", day, name[0], where, f"{rows.count} rows outside any commit of ours")
                )
            elif self._wanted(entry.day):
                self._check_snapshot(entry, rows)
        for name in sorted(missing):
            if self._committed[name].records:
                self._problems.append(_of_entry("records", self._committed[name], "all its rows are missing"))
            else:
                self._check_snapshot(self._committed[name], FoundRows())

    def _read_file(self, records: OpenTable, name: str) -> dict[SnapshotName, FoundRows]:
        try:
            if self._first is not None or self._last is not None:
                days = days_of_file(records, name)
                if days is not None and not any(map(self._wanted, days)) and not self._spans(*days):
                    return {}
            return rows_of_file(records, name)
        except AuditError as err:
            self._problems.append(_problem("records", str(err)))
            return {}

    def _spans(self, first: date, last: date) -> bool:
        return self._first is not None and first <= self._first <= last

    def _check_snapshot(self, entry: tlog.SourceEntry, rows: FoundRows) -> None:
        positions, leaves, exceptions = rows.in_order()
        self._entries_checked += 1
        self._rows += len(positions)
        expected = range(entry.position, entry.position + entry.records)
        if positions.tolist() != list(expected):
            self._problems.append(_of_entry("records", entry, _position_fault(positions.tolist(), expected)))
        elif rows.days - {entry.day}:
            self._problems.append(_of_entry("records", entry, f"rows say day {min(rows.days - {entry.day})}"))
        elif canonical.exceptions_digest(exceptions) != entry.exceptions:
            self._problems.append(_of_entry("records", entry, "a status or reason was changed"))
        elif tlog.tree_root(leaves, hash_nodes).hex() != entry.root:
            self._problems.append(
                _of_entry("records", entry, "a record or a salt was changed: the rows do not give the sealed root")
            )

    def _check_objects(self) -> None:
        """Each kept source still has the bytes that were taken in."""
        wanted = ["entry", "object", "nonce", "day"]
        for row in self._lake.open(SOURCES).read(wanted).to_pylist():
            if row["object"] and self._wanted(row["day"]):
                entry = tlog.parse_source(row["entry"].encode())
                try:
                    _check_object(self._lake.evidence, row["object"], entry, row["nonce"])
                except AuditError as err:
                    self._problems.append(_of_entry("evidence", entry, str(err)))


def _check_object(objects: Folder, name: str, entry: tlog.SourceEntry, nonce: bytes) -> None:
    hasher, left = canonical.content_hasher(nonce), entry.end - entry.start
    own_line = evidence.is_line_object(name)
    compression = "none" if own_line else entry.compression
    with evidence.open_object(objects, name) as kept, decompressed(kept, compression) as stream:
        skip(stream, 0 if own_line else entry.start)
        while left:
            piece, is_broken = read_up_to(stream, min(left, 1 << 20))
            hasher.update(piece)
            left -= len(piece)
            if is_broken or not piece:
                break
    if left or hasher.hexdigest() != entry.content:
        raise StorageError(f"{objects.path(name)}: not the bytes that were taken in; restore it from a backup")


def _entry_texts(actions: Iterable[dict[str, object]]) -> Iterator[str]:
    import json

    for action in actions:
        info = action.get("commitInfo")
        if isinstance(info, dict) and ENTRIES_KEY in info:
            yield from json.loads(info[ENTRIES_KEY])


def _position_fault(found: list[int], expected: range) -> str:
    lost = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    twice = (
        sorted({position for position in found if found.count(position) > 1}) if len(found) != len(set(found)) else []
    )
    parts = [
        f"{what} {', '.join(map(str, which[:5]))}"
        for what, which in (("missing", lost), ("not sealed", extra), ("twice", twice))
        if which
    ]
    return f"expected {len(expected)} rows, found {len(found)}: position {'; position '.join(parts)}"


def _name(entry: tlog.SourceEntry) -> SnapshotName:
    return entry.source, entry.generation, entry.snapshot


def _row_name(row: dict[str, object]) -> SnapshotName:
    return str(row["source_id"]), int(str(row["generation"])), int(str(row["snapshot"]))


def _problem(table: str, message: str, day: date | None = None) -> Problem:
    return Problem(table, "-" if day is None else day.isoformat(), "-", "-", message)


def _of_entry(table: str, entry: tlog.SourceEntry, message: str) -> Problem:
    last = entry.position + max(entry.records - 1, 0)
    return Problem(table, entry.day.isoformat(), entry.source, f"{entry.position}-{last}", message)
