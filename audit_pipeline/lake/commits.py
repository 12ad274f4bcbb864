"""Delta commits as this program writes them: bytes that follow from the data files they name.

docs/evidence-format.md section 4; the actions are those of the Delta protocol. A commit that is written another way is
not ours, however valid: it can hide, add or reorder rows for every engine that reads the table.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from deltalake import Schema

from audit_pipeline.errors import ProofError
from audit_pipeline.lake.declared import Table
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.records.schemas import SCHEMA_VERSION

DESCRIPTION = f"rlhf-audit-pipeline schema {SCHEMA_VERSION}"
_PROGRAM = "rlhf-audit-pipeline"
_ACTIONS = ("commitInfo", "txn", "remove", "add")
_ADAPTER = "adapter/"
_FOREVER = "interval 36500 days"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CURE = "see docs/recovery.md, `A commit that is not ours`"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file as a commit names it."""

    name: str
    size_bytes: int
    stats: str
    """JSON: number of rows, and least and greatest values of the indexed columns, for pruning."""

    @property
    def rows(self) -> int:
        return int(json.loads(self.stats)["numRecords"])


@dataclass(frozen=True, slots=True)
class Commit:
    """One change: data files, and the application transaction that makes it happen once."""

    time_ms: int
    """Of the rows, ms since 1970: what a commit says follows from what it commits."""
    app: str
    number: int
    files: tuple[DataFile, ...]
    entries: tuple[str, ...] | None = None
    """Of `records` alone: the source entries that this commit makes true."""
    adapters: tuple[tuple[str, int], ...] = ()
    """Of event tables alone: (name, version) of the adapters that made the rows, sorted."""
    replaced: tuple[str, ...] = ()
    """Of event tables alone: data files whose rows are no longer this table's, sorted. They stay where they are."""


def commit_file(version: int) -> str:
    return f"_delta_log/{version:020}.json"


def checkpoint_step(version: int) -> int:
    """How many commits lie between the Delta checkpoints around a version.

    To open a table takes 0.3 ms for each commit after its checkpoint, and each checkpoint holds all that is before it:
    so there are 90 of them on the way to ten times as many commits.
    """
    return int(max(10, 10 ** (len(str(version)) - 2)))


def is_checkpointed(version: int) -> bool:
    """Whether a version of a table has a Delta checkpoint: 10, 20, ... 1000, 1100, ... 10000, 11000, ..."""
    return version > 0 and version % checkpoint_step(version) == 0


def adapter_app(name: str) -> str:
    """The application whose transaction is an adapter's version."""
    return f"{_ADAPTER}{name}"


def milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND


def configuration(table: Table) -> dict[str, str]:
    return {
        "delta.appendOnly": str(table.is_append_only).lower(),
        "delta.enableExpiredLogCleanup": "false",
        "delta.logRetentionDuration": _FOREVER,
        "delta.deletedFileRetentionDuration": _FOREVER,
        "delta.checkpointInterval": "10",
        "delta.dataSkippingStatsColumns": ",".join(table.indexed),
    }


def table_id(table: Table, lake_id: str) -> str:
    return str(uuid.uuid5(uuid.UUID(lake_id), table.name))


def format_creation(table: Table, lake_id: str) -> bytes:
    """Commit 0: what the table is."""
    return _lines(
        {"commitInfo": {"timestamp": 0, "operation": "CREATE TABLE", "engineInfo": _PROGRAM}},
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": table_id(table, lake_id),
                "name": table.name,
                "description": DESCRIPTION,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": Schema.from_arrow(table.schema).to_json(),
                "partitionColumns": [],
                "configuration": configuration(table),
                "createdTime": 0,
            }
        },
    )


def format_commit(commit: Commit) -> bytes:
    info: dict[str, Any] = {
        "timestamp": commit.time_ms,
        "operation": "WRITE",
        "operationParameters": {"mode": "Overwrite" if commit.replaced else "Append"},
        "engineInfo": _PROGRAM,
    }
    if commit.entries is not None:
        info["audit.entries"] = list(commit.entries)
    transactions = [(commit.app, commit.number), *((adapter_app(name), version) for name, version in commit.adapters)]
    return _lines(
        {"commitInfo": info},
        *({"txn": {"appId": app, "version": number}} for app, number in transactions),
        *(remove_action(name, commit.time_ms) for name in commit.replaced),
        *(add_action(file, commit.time_ms) for file in sorted(commit.files, key=lambda file: file.name)),
    )


def add_action(file: DataFile, time_ms: int) -> dict[str, Any]:
    return {
        "add": {
            "path": file.name,
            "partitionValues": {},
            "size": file.size_bytes,
            "modificationTime": time_ms,
            "dataChange": True,
            "stats": file.stats,
        }
    }


def remove_action(name: str, time_ms: int) -> dict[str, Any]:
    return {"remove": {"path": name, "deletionTimestamp": time_ms, "dataChange": True}}


def parse_commit(encoded: bytes, what: str) -> Commit:
    """The commit that `format_commit` wrote. `what` names it in errors.

    Raises:
        StorageError: it cannot be read.
        ProofError: it could not have been written here.
    """
    with decoding(what):
        commit = _commit_of([dict(json.loads(line)) for line in encoded.split(b"\n") if line])
        is_ours = commit is not None and format_commit(commit) == encoded
    if commit is None or not is_ours:
        raise ProofError(f"{what}: is not a commit of ours; {_CURE}")
    return commit


def is_creation(encoded: bytes, table: Table, lake_id: str, what: str) -> bool:
    """Whether commit 0 says what `format_creation` says; in which words, libraries may change."""
    with decoding(what):
        return _values(encoded) == _values(format_creation(table, lake_id))


def _commit_of(actions: Sequence[dict[str, Any]]) -> Commit | None:
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _ACTIONS}
    for action in actions:
        for kind, said in action.items():
            found.setdefault(kind, []).append(said)
    if len(found) > len(_ACTIONS) or len(found["commitInfo"]) != 1 or not found["txn"]:
        return None
    (info,), (transaction, *adapters) = found["commitInfo"], found["txn"]
    return Commit(
        time_ms=int(info["timestamp"]),
        app=transaction["appId"],
        number=int(transaction["version"]),
        files=tuple(DataFile(add["path"], int(add["size"]), str(add["stats"])) for add in found["add"]),
        entries=tuple(map(str, info["audit.entries"])) if "audit.entries" in info else None,
        adapters=tuple((str(txn["appId"]).removeprefix(_ADAPTER), int(txn["version"])) for txn in adapters),
        replaced=tuple(str(remove["path"]) for remove in found["remove"]),
    )


def _values(encoded: bytes) -> list[dict[str, Any]]:
    actions = [dict(json.loads(line)) for line in encoded.split(b"\n") if line]
    for action in actions:
        if "metaData" in action:
            action["metaData"]["schemaString"] = json.loads(action["metaData"]["schemaString"])
    return actions


def _lines(*actions: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(action, separators=(",", ":")).encode() + b"\n" for action in actions)
