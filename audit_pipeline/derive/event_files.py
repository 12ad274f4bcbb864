"""The data files of the event tables: one for each commit of `records` that gives rows, and round of deriving it."""

import re
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.lake.commits import DataFile
from audit_pipeline.lake.data_files import NONCE_KEY, describe_file, write_parquet
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.tables import OpenTable

_ROW_GROUP_ROWS = 1 << 14  # of which one is read for an event; a file of smaller ones is no larger
_NAME = re.compile(r"([1-9][0-9]{0,17})(?:-[1-9][0-9]{0,17})?\.parquet")


def event_file(version: int, again: int = 0) -> str:
    """The file with the rows of a commit of `records`, derived for the first time or for the time `again` after it."""
    return f"{version}-{again}.parquet" if again else f"{version}.parquet"


def version_of(name: str) -> int:
    """The commit of `records` whose rows a file has; 0 where nothing of ours is named so."""
    named = _NAME.fullmatch(name)
    return int(named[1]) if named else 0


@dataclass(slots=True)
class EventFile:
    """The data file of one event table that one commit of `records` gives; made when there is a first row."""

    table: OpenTable
    name: str
    nonce: bytes
    """Without it the file's hash, which an inventory keeps, would tell a guess of its rows right or wrong."""
    new: Any = None
    writer: Any = None

    waiting: list[pa.Table] = field(default_factory=list)
    """Rows that do not make a row group yet."""

    def write(self, rows: pa.Table) -> None:
        self.waiting.append(rows)
        if sum(table.num_rows for table in self.waiting) >= _ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self.writer is None:
            self.new = self.table.files.create(self.name)
            self.writer = write_parquet(
                self.new.file, self.table.table.schema, self.table.table.indexed, {NONCE_KEY: self.nonce.hex()}
            )
        self.writer.write_table(pa.concat_tables(self.waiting))
        self.waiting = []

    def close(self) -> DataFile | None:
        if self.waiting:
            self._flush()
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
