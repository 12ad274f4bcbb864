"""Delta tables that hold evidence: append-only, log kept forever, each commit made by us from files we wrote.

Files are written by create-only put under a name the application transaction determines, and only then committed;
so a crash leaves at most a file that the next run commits. Facts behind the settings: see docs/decisions/0003.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.decoding import decoding, one_line
from audit_pipeline.lake.objects import Folder, sync_file
from audit_pipeline.records.schemas import SCHEMA_VERSION

_FOREVER = "interval 36500 days"
_MAX_COMMIT_RETRIES = 100  # the default of 15 fails now and then with ten writers at once
DESCRIPTION = f"rlhf-audit-pipeline schema {SCHEMA_VERSION}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the lake: where it lies, what its rows are, which columns get statistics."""

    name: str
    area: str
    """`restricted`, `audit` or `released`."""
    schema: pa.Schema
    indexed: tuple[str, ...]

    def uri(self, lake: Path) -> Path:
        return lake / self.area / self.name


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file to commit: its name in the table, and the range of its indexed columns for pruning."""

    name: str
    size_bytes: int
    rows: int
    lowest: Mapping[str, Any]
    highest: Mapping[str, Any]


class OpenTable:
    """One version of a Delta table. The version is the base on which `commit` compares and swaps."""

    def __init__(self, table: Table, lake: Path) -> None:
        self.table = table
        self.path = table.uri(lake)
        self.files = Folder(self.path)
        self._delta = _open(table, self.path)

    def reload(self) -> None:
        self._delta = _open(self.table, self.path)

    @property
    def version(self) -> int:
        return self._delta.version()

    def transaction(self, app: str) -> int:
        """Last committed version of an application's transactions; 0 when there is none."""
        return self._delta.transaction_version(app) or 0

    def commit(
        self, files: Sequence[DataFile], app: str, version: int, metadata: Mapping[str, str] | None = None
    ) -> bool:
        """Add `files` and record the transaction, in one atomic commit.

        False when another writer moved the same transaction first, or when our own answer was lost. The newest version
        is loaded either way: look at `transaction` before another attempt.
        """
        if self.transaction(app) >= version:
            return False  # delta-rs compares with this version only; a transaction that is in it would land twice
        adds: list[AddAction | RemoveAction] = [
            AddAction(f.name, f.size_bytes, {}, 0, True, _statistics(f)) for f in files
        ]
        try:
            self._delta.create_write_transaction(
                adds,
                "append",
                self._delta.schema(),
                commit_properties=CommitProperties(
                    custom_metadata=dict(metadata or {}),
                    max_commit_retries=_MAX_COMMIT_RETRIES,
                    app_transactions=[Transaction(app, version)],
                ),
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            )
        except CommitFailedError:
            return False
        except DeltaError as err:
            raise StorageError(f"{self.path}: commit of {app} {version} failed: {one_line(err)}") from err
        finally:
            self.reload()
        self._sync_log()
        return True

    def _sync_log(self) -> None:
        sync_file(self.path / "_delta_log" / f"{self.version:020}.json")

    def active_files(self) -> list[str]:
        """Names of the data files of this version, sorted."""
        return sorted(pa.table(self._delta.get_add_actions(flatten=True)).column("path").to_pylist())

    def read(self, columns: Sequence[str], day: date | None = None) -> pa.Table:
        """Rows of this version, of one day or all, in no promised order, with the columns' types as declared.

        Read file by file with pyarrow, whose errors have names: delta-rs raises a bare Exception on a damaged file.
        """
        wanted = pa.schema([self.table.schema.field(name) for name in columns])
        filters = None if day is None else [("day", "=", day)]
        parts = []
        for name in self._files_of(day):
            with decoding(self.files.path(name)):
                rows = pq.read_table(self.files.file(name), columns=list(columns), filters=filters, partitioning=None)
                parts.append(rows.cast(wanted))
        return pa.concat_tables(parts) if parts else wanted.empty_table()

    def _files_of(self, day: date | None) -> list[str]:
        """Names of the data files that may have rows of `day`, by the statistics in the log."""
        adds = pa.table(self._delta.get_add_actions(flatten=True)).to_pylist()
        return [
            add["path"]
            for add in sorted(adds, key=lambda add: str(add["path"]))
            if day is None or add.get("min.day") is None or add["min.day"] <= day <= add["max.day"]
        ]

    def commits(self, first: int, last: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """(version, actions) of the commits first..last, from the log's JSON."""
        for version in range(first, last + 1):
            text = self.files.get(f"_delta_log/{version:020}.json")
            if text is None:
                raise StorageError(
                    f"{self.path}: commit {version} is missing from _delta_log; restore it from a backup"
                )
            with decoding(f"{self.path}: commit {version}"):
                actions: list[dict[str, Any]] = [dict(json.loads(line)) for line in text.split(b"\n") if line]
            yield version, actions


def open_table(table: Table, lake: Path) -> OpenTable:
    """The newest version of a table, which is made if it is not there."""
    return OpenTable(table, lake)


def table_exists(table: Table, lake: Path) -> bool:
    return DeltaTable.is_deltatable(str(table.uri(lake)))


def write_parquet(
    file: BinaryIO, schema: pa.Schema, indexed: Sequence[str], metadata: Mapping[str, str] | None = None
) -> pq.ParquetWriter:
    """A Parquet writer as our tables want it: zstd, statistics on indexed columns only, since a minimum is content."""
    writer = pq.ParquetWriter(
        pa.PythonFile(file, "w"),
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[f.name for f in schema if f.name in _DICTIONARY],
        write_statistics=list(indexed),
        store_schema=False,
        data_page_size=1 << 20,
    )
    if metadata:
        writer.add_key_value_metadata(dict(metadata))
    return writer


_DICTIONARY = frozenset(
    "day stream source_id generation snapshot status reason table run_id source_format adapter_version split metric "
    "event_time_quality kind container compression growth format format_evidence scorer scorer_kind value_state".split()
)


def put_rows(open_: OpenTable, name: str, rows: pa.Table) -> DataFile:
    """Write `rows` as the data file `name`; where that file exists, it stands."""
    with open_.files.create(name) as new:
        writer = write_parquet(new.file, open_.table.schema, open_.table.indexed)
        writer.write_table(rows.cast(open_.table.schema))
        writer.close()
        new.publish()
    return describe_file(open_, name)


def describe_file(open_: OpenTable, name: str) -> DataFile:
    """What a commit says of the data file `name`, from its own footer."""
    lowest: dict[str, Any] = {}
    highest: dict[str, Any] = {}
    with decoding(open_.files.path(name)):
        footer = pq.read_metadata(open_.files.file(name))
        for column in open_.table.indexed:
            if (bounds := _column_bounds(footer, column)) is not None:
                lowest[column], highest[column] = bounds
        return DataFile(name, open_.files.path(name).stat().st_size, footer.num_rows, lowest, highest)


def _column_bounds(footer: pq.FileMetaData, column: str) -> tuple[Any, Any] | None:
    """Lowest and highest value of a column by a file's own statistics; None where a row group has none."""
    at = footer.schema.to_arrow_schema().names.index(column)
    found = [footer.row_group(group).column(at).statistics for group in range(footer.num_row_groups)]
    if not found or any(s is None or not s.has_min_max for s in found):
        return None
    return min(s.min for s in found), max(s.max for s in found)


def _statistics(file: DataFile) -> str:
    def text(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}

    bounds = {"minValues": text(file.lowest), "maxValues": text(file.highest)} if file.lowest else {}
    return json.dumps({"numRecords": file.rows, **bounds})


def _open(table: Table, path: Path) -> DeltaTable:
    with decoding(path):
        if not DeltaTable.is_deltatable(str(path)):
            _create(table, path)
        delta = DeltaTable(str(path))
        if delta.metadata().description != DESCRIPTION:
            raise StorageError(f"{path}: expected a table of {DESCRIPTION!r}, got {delta.metadata().description!r}")
        if _settings(delta) != (Schema.from_arrow(table.schema).to_json(), [], _configuration(table), 1, 2):
            # They make other engines show other rows than the files have, or lose the log.
            raise StorageError(f"{path}: its schema, settings or protocol were changed; bring back the table's own log")
    return delta


def _settings(delta: DeltaTable) -> tuple[str, list[str], dict[str, str], int, int]:
    """(schema, partition columns, configuration, reader and writer version) by the table's log."""
    metadata, protocol = delta.metadata(), delta.protocol()
    versions = protocol.min_reader_version, protocol.min_writer_version
    return delta.schema().to_json(), metadata.partition_columns, metadata.configuration, *versions


def _configuration(table: Table) -> dict[str, str | None]:
    return {
        "delta.appendOnly": "true",
        "delta.enableExpiredLogCleanup": "false",
        "delta.logRetentionDuration": _FOREVER,
        "delta.deletedFileRetentionDuration": _FOREVER,
        "delta.checkpointInterval": "100",
        "delta.dataSkippingStatsColumns": ",".join(table.indexed),
    }


def _create(table: Table, path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    try:
        DeltaTable.create(
            str(path),
            table.schema,
            mode="ignore",
            description=DESCRIPTION,
            configuration=_configuration(table),
            # A creation that is retried lands as commit 1 over another worker's, with a metadata action of its own.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except CommitFailedError:
        return  # another worker made it in the same moment
    sync_file(path / "_delta_log" / f"{0:020}.json")
