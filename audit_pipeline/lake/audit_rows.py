"""Rows that the pipeline writes about itself: each append is one data file, then one commit, made once.

The file is the intent, as for `records`: whoever finds it under the next name commits it as it is
(docs/evidence-format.md section 4).
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.errors import ProofError
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.data_files import NONCE_KEY, describe_file, offer_rows
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical

TIME_KEY = "audit.time"
AUDIT_APP = "ingest/_audit/-"
"""The application whose commits of `records` are rows of audit tables. No event is made of them."""
_CURE = "nothing of ours wrote it: remove it and run again"


def audit_file(app: str, number: int) -> str:
    """The data file of an application's transaction."""
    return f"{app}/{number}.parquet"


def append_rows(table: OpenTable, app: str, after: int, rows: pa.Table, now: datetime, nonce: bytes) -> bool:
    """Append `rows` as transaction `after` + 1 of `app`, and load the newest version.

    False where other rows are that transaction, be they only in a file that a run which died has left: then these are
    committed, and the caller looks at the table again. `nonce`: 32 random bytes, without which the file's hash would
    tell a guess of its rows right or wrong.

    Raises:
        ProofError: a file of that name is there that no run of ours left.
    """
    name = audit_file(app, after + 1)
    is_ours = offer_rows(table, name, rows, {NONCE_KEY: nonce.hex(), TIME_KEY: str(milliseconds(now))})
    # Another worker may have committed this file meanwhile: the name makes it this transaction, whoever commits it.
    table.commit(Commit(_written_ms(table, name), app, after + 1, (describe_file(table, name),)), after)
    return is_ours


def _written_ms(table: OpenTable, name: str) -> int:
    path = table.files.path(name)
    with decoding(path):
        footer = pq.read_metadata(table.files.file(name))
        said = (footer.metadata or {}).get(TIME_KEY.encode(), b"").decode("ascii")
        is_ours = said.isdecimal() and footer.schema.to_arrow_schema().equals(table.table.schema)
    if not is_ours:
        raise ProofError(f"{path}: is not of this table's columns and times; {_CURE}")
    return int(said)


def audit_path(table: str, version: int) -> str:
    """Path, within the stream `_audit`, of the source that a commit of an audit table is."""
    return f"{table}/{version:020}.jsonl"


def commit_lines(table: OpenTable, commit: Commit) -> bytes:
    """The rows of a commit as canonical JSON, a line each, in order: what becomes records of the stream `_audit`."""
    lines = []
    for file in commit.files:
        rows = table.read_file(file.name, table.table.schema.names).to_pylist()
        lines += [canonical.dump_canonical(_plain(row)) + b"\n" for row in rows]
    return b"".join(lines)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.isoformat() if isinstance(value, date | datetime) else value for key, value in row.items()}
