"""The typed view: event tables made from `records`, each commit once, the same rows whoever makes them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit, DataFile
from audit_pipeline.lake.declared import EVENTS, RECORDS, SEALS, SOURCES
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.lake.logbook import check_names_go_on, read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable, describe_file, write_parquet
from audit_pipeline.records.canonical import NONCE_BYTES
from audit_pipeline.records.events import CANONICAL_METRICS
from audit_pipeline.records.pseudonyms import PersonKeys

DERIVE_APP = "derive"
NONCE_KEY = "audit.nonce"
_COMMITS_AT_ONCE = 50
_BATCH_ROWS = 8192
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Output:
    """The data file of one event table that one commit of `records` gives; made when there is a first row."""

    table: OpenTable
    name: str
    nonce: bytes
    """Without it the file's hash, which an inventory keeps, would tell a guess of its rows right or wrong."""
    new: Any = None
    writer: Any = None

    def write(self, rows: pa.Table) -> None:
        if self.writer is None:
            self.new = self.table.files.create(self.name)
            self.writer = write_parquet(
                self.new.file, self.table.table.schema, self.table.table.indexed, {NONCE_KEY: self.nonce.hex()}
            )
        self.writer.write_table(rows)

    def close(self) -> DataFile | None:
        if self.writer is None:
            return None
        self.writer.close()
        with self.new:
            if not self.new.publish():
                self._check_alike()
        return describe_file(self.table, self.name)

    def _check_alike(self) -> None:
        """What a run that died, or another worker, left has random bytes of its own, and else what ours has."""
        path = self.table.files.path(self.name)
        with decoding(path, "remove it and run again"):
            nonce = pq.read_metadata(self.table.files.file(self.name)).metadata[NONCE_KEY.encode()].decode("ascii")
        self.new.file.seek(0)
        ours = pq.ParquetFile(self.new.file)
        with self.table.files.create(self.name) as again:
            writer = write_parquet(again.file, self.table.table.schema, self.table.table.indexed, {NONCE_KEY: nonce})
            for group in range(ours.num_row_groups):
                writer.write_table(ours.read_row_group(group))
            writer.close()
            again.publish_alike()


def derive_events(lake: Lake, entropy: Callable[[int], bytes], *, passphrase: bytes | None) -> dict[str, int]:
    """Bring every event table up to the newest commit of `records`; gives back the rows added to each.

    Raises:
        InputError: the keys by which people are named are missing, do not open, or are not those the log names.
    """
    people = load_person_keys(lake.places.keys, passphrase)
    if (seals := lake.find(SEALS)) is not None:
        check_names_go_on(lake, read_log(seals), people)
    records = lake.open(RECORDS)
    added = dict.fromkeys(EVENTS, 0)
    tables = {name: lake.open(table) for name, table in EVENTS.items()}
    while (done := min(table.transaction(DERIVE_APP) for table in tables.values())) < records.version:
        last = min(records.version, done + _COMMITS_AT_ONCE)
        made, newest_ms = [], 0
        attempts = Attempts(tables, before=done + 1)
        for version, commit in records.commits(done + 1, last):
            made.append((version, _derive_commit(lake, records, version, commit, tables, people, attempts, entropy)))
            newest_ms = max(newest_ms, commit.time_ms)
        for name, table in tables.items():
            # A crash between two tables leaves one of them ahead: what it has is not committed again.
            begin = table.transaction(DERIVE_APP)
            files = [by_table[name] for version, by_table in made if version > begin and name in by_table]
            if begin < last and table.commit(Commit(newest_ms, DERIVE_APP, last, tuple(files)), begin):
                added[name] += sum(file.rows for file in files)
    return added


def _derive_commit(
    lake: Lake,
    records: OpenTable,
    version: int,
    commit: Commit,
    tables: dict[str, OpenTable],
    people: PersonKeys,
    attempts: "Attempts",
    entropy: Callable[[int], bytes],
) -> dict[str, DataFile]:
    outputs = {name: _Output(table, event_file(version), entropy(NONCE_BYTES)) for name, table in tables.items()}
    for events in derived_rows(lake, records, commit, people):
        for name, rows in events.items():
            outputs[name].write(attempts.number(name, rows))
    return {name: file for name, output in outputs.items() if (file := output.close()) is not None}


def derived_rows(lake: Lake, records: OpenTable, commit: Commit, people: PersonKeys) -> Iterator[dict[str, pa.Table]]:
    """The event rows that a commit of `records` gives, by table, a bounded number at a time and in order."""
    for data_file in (file.name for file in commit.files):
        for format_name, context, rows in _snapshots(lake, records, data_file):
            yield derive_rows(format_name, context, rows, people)


class Attempts:
    """How often each metric of a run's step was logged before: by a resumed run, or a copy of its log.

    The order is that of the commits of `records`, and within one that of its rows, so it is the same whenever it is
    counted. Without tables to begin from, the count begins with the first row.
    """

    COUNTED: ClassVar[dict[str, tuple[str, ...]]] = {
        "training_metrics": ("run_id", "split", "step", "metric"),
        "policy_updates": ("run_id", "step", "not_finite", *CANONICAL_METRICS),
    }

    def __init__(self, tables: Mapping[str, OpenTable] | None = None, before: int = 0) -> None:
        self._tables = tables or {}
        self._earlier = frozenset(map(event_file, range(1, before)))
        self._loaded: dict[str, set[str]] = {name: set() for name in self.COUNTED}
        self._seen: Counter[tuple[Any, ...]] = Counter()

    def number(self, name: str, rows: pa.Table) -> pa.Table:
        """The rows of one snapshot with their `attempt`; a table without attempts as it is."""
        if name not in self.COUNTED:
            return rows
        self._load(name, {run_id for run_id in pc.unique(rows.column("run_id")).to_pylist() if run_id is not None})
        attempts = []
        for keys in self._keys(name, rows):
            attempts.append(max((self._seen[key] for key in keys), default=0))
            self._seen.update(keys)
        at = rows.schema.get_field_index("attempt")
        return rows.set_column(at, rows.schema.field(at), pa.array(attempts, rows.schema.field(at).type))

    def _load(self, name: str, run_ids: set[str]) -> None:
        """Count what earlier commits gave of these runs; a table may be ahead of the others after a crash."""
        new = run_ids - self._loaded[name]
        self._loaded[name] |= new
        if new and name in self._tables:
            columns = [*self.COUNTED[name], "source_id"]
            rows = self._tables[name].read_runs(columns, new, self._earlier.__contains__)
            for keys in self._keys(name, rows):
                self._seen.update(keys)

    def _keys(self, name: str, rows: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
        """What each row logs: a metric, or the numbers of an update, which some logs have in a record each."""
        columns = [rows.column(column).to_pylist() for column in self.COUNTED[name]]
        for source_id, run_id, *values in zip(rows.column("source_id").to_pylist(), *columns, strict=True):
            run = source_id if run_id is None else run_id, run_id is None  # no run named: told apart by the source
            if name == "training_metrics":
                yield [(name, *run, *values)]
            else:
                step, not_finite, *numbers = values
                named = {
                    metric for metric, number in zip(CANONICAL_METRICS, numbers, strict=True) if number is not None
                }
                yield [(name, *run, step, metric) for metric in sorted(named.union(not_finite or ()))]


def event_file(version: int) -> str:
    """The file in each event table with the rows of a commit of `records`."""
    return f"{version}.parquet"


def _snapshots(
    lake: Lake, records: OpenTable, name: str
) -> Iterator[tuple[str, SourceContext, list[tuple[int, bytes, str]]]]:
    """(format, snapshot, rows) of a data file in the order they were written, a bounded run of rows at a time."""
    contexts = {}
    taken_again = {}
    for snapshot in read_batch(records, name).snapshots:
        entry = tlog.parse_source(snapshot["entry"].encode())
        key = entry.source, entry.generation, entry.snapshot
        context = SourceContext(
            stream=entry.stream,
            path=snapshot["path"],
            source_id=entry.source,
            generation=entry.generation,
            snapshot=entry.snapshot,
            day=entry.day,
            mtime=_EPOCH + timedelta(microseconds=snapshot["mtime_ns"] // 1000),
            mapping=snapshot["mapping"],
        )
        contexts[key] = snapshot["format"], context
        if entry.supersedes is not None:
            taken_again[key] = _readable_tail(lake, records, entry)
    columns = ["source_id", "generation", "snapshot", "position", "record", "status"]
    with decoding(records.files.path(name)), pq.ParquetFile(records.files.path(name)) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            for key, rows in _runs(batch):
                before = taken_again.pop(key, None)
                is_event_already = before is not None and rows[0][1].strip() == before.strip()
                yield *contexts[key], rows[1:] if is_event_already else rows


def _readable_tail(lake: Lake, records: OpenTable, entry: tlog.SourceEntry) -> bytes | None:
    """The unfinished last line that `entry` takes again, if it could be read: then its event is there already."""
    sources = lake.open(SOURCES).read(["source_id", "generation", "snapshot", "data_file"])
    snapshot, position = entry.supersedes or (0, 0)
    name = {"source_id": entry.source, "generation": entry.generation, "snapshot": snapshot}
    for row in sources.to_pylist():
        data_file = row.pop("data_file")
        if row == name:
            filters = [*((column, "=", value) for column, value in name.items()), ("position", "=", position)]
            found = pq.read_table(
                records.files.path(data_file), filters=filters, columns=["record", "reason"]
            ).to_pylist()
            return found[0]["record"] if found and found[0]["reason"] == "" else None
    return None


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[tuple[str, int, int], list[tuple[int, bytes, str]]]]:
    key: tuple[str, int, int] | None = None
    rows: list[tuple[int, bytes, str]] = []
    for source_id, generation, snapshot, position, record, status in zip(
        *(batch[name].to_pylist() for name in batch.schema.names), strict=True
    ):
        if key != (source_id, generation, snapshot):
            if key is not None:
                yield key, rows
            key, rows = (source_id, generation, snapshot), []
        rows.append((position, record, status))
    if key is not None:
        yield key, rows
