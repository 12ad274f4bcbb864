"""The Delta tables: log kept forever, evidence append-only, each commit made by us from files we wrote.

Files are written by create-only put under a name the application transaction determines, and only then committed;
so a crash leaves at most a file that the next run commits. Commits are create-only puts too (decision 0008); delta-rs
reads the tables and makes their checkpoints. Facts behind the settings: see docs/decisions/0003.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.commits import (
    DESCRIPTION,
    Commit,
    adapter_app,
    commit_file,
    configuration,
    format_commit,
    format_creation,
    is_checkpointed,
    parse_commit,
    table_id,
)
from audit_pipeline.lake.declared import Table
from audit_pipeline.lake.decoding import decoding, one_line
from audit_pipeline.lake.logs_on_disk import log_on_disk, publish_checkpoint
from audit_pipeline.lake.places import Places
from audit_pipeline.lake.stores import Store, open_store

_COMMIT_ATTEMPTS = 1000  # each lost one is another writer's success

_Made = TypeVar("_Made")


class OpenTable:
    """One version of a Delta table. The version is the base on which `commit` compares and swaps."""

    def __init__(self, table: Table, places: Places, lake_id: str) -> None:
        self.table = table
        self.lake_id = lake_id
        self.path = table.uri(places)
        self.files = open_store(self.path)
        self._loaded: list[tuple[DeltaTable, dict[str, Any]]] = []
        """The version that this table or a copy of it loaded last, and what was made of its rows."""
        self.reload()

    def reload(self) -> None:
        self._delta, self._made = _open(self.table, self.files, self.lake_id), dict[str, Any]()
        self._loaded[:] = [(self._delta, self._made)]

    def copy(self) -> "OpenTable":
        """The version that a copy loaded last. A copy's `reload` and `commit` leave this one at its own."""
        copied = copy.copy(self)
        [(copied._delta, copied._made)] = self._loaded
        return copied

    def once(self, what: str, make: Callable[[], _Made]) -> _Made:
        """What is made of this version's log or rows, made once for all copies of it."""
        if what not in self._made:
            self._made[what] = make()
        return cast(_Made, self._made[what])

    @property
    def version(self) -> int:
        return self._delta.version()

    def is_outdated(self) -> bool:
        """Whether there is a newer version, or this one is gone."""
        return not self.files.exists(commit_file(self.version)) or self.files.exists(commit_file(self.version + 1))

    def transaction(self, app: str) -> int:
        """Last committed version of an application's transactions; 0 when there is none."""
        return self.once(f"transaction of {app}", lambda: self._delta.transaction_version(app) or 0)

    def adapter_version(self, adapter: str) -> int:
        """The version of an adapter that made rows of an event table; 0 where none did."""
        return self.transaction(adapter_app(adapter))

    def commit(self, commit: Commit, after: int) -> bool:
        """Append one commit. False where `after` is not, or no longer, the newest transaction of its application.

        The newest version is loaded either way.
        """
        content = format_commit(commit)
        for _ in range(_COMMIT_ATTEMPTS):
            # Another writer's commit in between may be this very transaction, so it is looked at before each attempt.
            if self.transaction(commit.app) != after:
                return False
            is_ours = self.files.put_new(commit_file(self.version + 1), content)
            self.reload()
            if is_ours:
                if is_checkpointed(self.version):
                    self._checkpoint()
                return True
        raise StorageError(
            f"{self.path}: {commit.app} {commit.number} was not committed in {_COMMIT_ATTEMPTS} attempts; run again"
        )

    def _checkpoint(self) -> None:
        """Spare engines the reading of many commits. Where a crash leaves it out, they read the commits."""
        try:
            self._delta.create_checkpoint()
        except DeltaError as err:
            raise StorageError(f"{self.path}: no checkpoint could be written: {one_line(err)}; run again") from err
        publish_checkpoint(self.files, self.version)

    def active_files(self) -> list[str]:
        """Names of the data files of this version, sorted."""
        return sorted(pa.table(self._delta.get_add_actions(flatten=True)).column("path").to_pylist())

    def read(self, columns: Sequence[str], day: date | None = None) -> pa.Table:
        """Rows of this version, of one day or all, in no promised order, with the columns' types as declared.

        Read file by file with pyarrow, whose errors have names: delta-rs raises a bare Exception on a damaged file.
        """
        if day is None:
            return self._read(columns, self.active_files())
        return self._read(columns, self._files_with("day", day, day), "day", pc.field("day") == day)

    def read_by_file(self, columns: Sequence[str], first: date, last: date) -> Iterator[tuple[str, pa.Table]]:
        """(data file, its rows of the days `first` to `last`), one file in memory at a time; else as `read`."""
        between = (pc.field("day") >= first) & (pc.field("day") <= last)
        for name in self._files_with("day", first, last):
            yield name, self._read(columns, [name], "day", between)

    def files_of_day(self, day: date) -> list[str]:
        """Names of the data files that may have rows of the day, sorted."""
        return self._files_with("day", day, day)

    def read_days(self, columns: Sequence[str], first: date, last: date) -> pa.Table:
        """Rows of the days from `first` to `last`; else as `read`."""
        where = (pc.field("day") >= first) & (pc.field("day") <= last)
        return self._read(columns, self._files_with("day", first, last), "day", where)

    def read_runs(self, columns: Sequence[str], run_ids: Collection[str], is_read: Callable[[str], bool]) -> pa.Table:
        """Rows of some runs, of the data files that `is_read` says yes to by name; else as `read`."""
        names = [name for name in self._files_with("run_id", min(run_ids), max(run_ids)) if is_read(name)]
        return self._read(columns, names, "run_id", pc.field("run_id").isin(list(run_ids)))

    def read_sources(self, columns: Sequence[str], ids: Collection[str]) -> pa.Table:
        """Rows of these sources; else as `read`."""
        names = self._files_with("source_id", min(ids), max(ids))
        return self._read(columns, names, "source_id", pc.field("source_id").isin(list(ids)))

    def read_file(self, name: str | None, columns: Sequence[str]) -> pa.Table:
        """Rows of one data file, or of none; else as `read`."""
        return self._read(columns, [name] if name else [])

    def _read(
        self, columns: Sequence[str], names: Sequence[str], by: str | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Rows of these data files, of which `where` says yes to the column `by`."""
        wanted = pa.schema([self.table.schema.field(name) for name in columns])
        parts = []
        for name in names:
            with decoding(self.files.path(name)):
                rows = _rows_of(self.files.file(name), list(columns), by, where)
                parts.append(rows.select(list(columns)).cast(wanted))
        return pa.concat_tables(parts) if parts else wanted.empty_table()

    def _files_with(self, column: str, lowest: Any, highest: Any) -> list[str]:
        """Names of the data files that may have rows with `column` between these, by the statistics in the log."""
        adds = pa.table(self._delta.get_add_actions(flatten=True)).to_pylist()
        return sorted(
            add["path"]
            for add in adds
            if add.get(f"min.{column}") is None or (add[f"min.{column}"] <= highest and lowest <= add[f"max.{column}"])
        )

    def commits(self, first: int, last: int) -> Iterator[tuple[int, Commit]]:
        """(version, commit) of the commits first..last; the first is at least 1.

        Raises:
            StorageError: a commit is missing or cannot be read.
            ProofError: a commit is not one of ours.
        """
        for version in range(first, last + 1):
            name = commit_file(version)
            text = self.files.get(name)
            if text is None:
                raise StorageError(f"{self.files.path(name)}: missing; restore it from a backup")
            yield version, parse_commit(text, str(self.files.path(name)))


def _rows_of(file: Any, columns: list[str], by: str | None, where: pc.Expression | None) -> pa.Table:
    with pq.ParquetFile(file) as opened:
        if by is None or where is None:
            return opened.read(columns, use_threads=False)
        if opened.num_row_groups == 1:  # there is no row group to pass over; of many small files in half the time
            return opened.read(list({*columns, by}), use_threads=False).filter(where)
    return pq.read_table(file, columns=columns, filters=where, partitioning=None)


def open_table(table: Table, places: Places, lake_id: str) -> OpenTable:
    """The newest version of a table, which is made if it is not there."""
    files = open_store(table.uri(places))
    if not files.exists(commit_file(0)):
        files.put_new(commit_file(0), format_creation(table, lake_id))  # if another worker was first, its is the same
    return OpenTable(table, places, lake_id)


def table_exists(table: Table, places: Places) -> bool:
    return open_store(table.uri(places)).exists(commit_file(0))


def _open(table: Table, files: Store, lake_id: str) -> DeltaTable:
    path = files.root
    folder = log_on_disk(files)
    with decoding(path):
        delta = DeltaTable(str(folder))
        metadata = delta.metadata()
        if metadata.description != DESCRIPTION:
            raise StorageError(f"{path}: expected a table of {DESCRIPTION!r}, got {metadata.description!r}")
        if str(metadata.id) != table_id(table, lake_id):
            raise StorageError(f"{path}: is the table of another lake; give each lake its own folder")
        if _settings(delta) != (Schema.from_arrow(table.schema).to_json(), [], configuration(table), 1, 2):
            # They make other engines show other rows than the files have, or lose the log.
            raise StorageError(f"{path}: its schema, settings or protocol were changed; bring back the table's own log")
    return delta


def _settings(delta: DeltaTable) -> tuple[str, list[str], dict[str, str], int, int]:
    """(schema, partition columns, configuration, reader and writer version) by the table's log."""
    metadata, protocol = delta.metadata(), delta.protocol()
    versions = protocol.min_reader_version, protocol.min_writer_version
    return delta.schema().to_json(), metadata.partition_columns, metadata.configuration, *versions
