"""The kinds of forgeries: what is done, at which places, by whom, and which levels find it. See forgeries.py."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from deltalake import DeltaTable, write_deltalake

from audit_pipeline import tlog
from audit_pipeline.lake.commits import DataFile
from audit_pipeline.lake.tables import describe_file
from tests.forgeries import BATCHES, BY_MARK_OR_HELD, DAY, KEY, KEY_AND_MARKS, MARKS, STORE, TODAY, Forger, forgery
from tests.lakes import LakeForTests

EVENT = ("training_metrics", 1)
"""An event table with a data file, and the version of `records` it is of."""
_FITS = ("alone", "with its commit", "with commit, footer, sources and draft")

# Rows of sealed days. Places: a data file, and how much else is made to fit.

ROW_PLACES = tuple(f"batch {version}, {fit}" for version in BATCHES for fit in _FITS)


def forge_rows(forger: Forger, place: str, change: Callable[[pa.Table], pa.Table]) -> None:
    batch, _, fit = place.partition(", ")
    version = int(batch.removeprefix("batch "))
    forger.table("sources")
    forger.rewrite("records", BATCHES[version], change)
    if fit == _FITS[1]:
        forger.recommit("records", version)
    if fit == _FITS[2]:
        forger.fit_entries(version)


def set_value(column: str, value: Any, row: int = 0) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value(values[row]) if callable(value) else value
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


def _swap_records(table: pa.Table) -> pa.Table:
    """The last two rows' records and salts change places."""
    order = [*range(table.num_rows - 2), table.num_rows - 1, table.num_rows - 2]
    for name in ("record", "salt"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), table.column(name).take(order).combine_chunks())
    return table


ROW_KINDS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a record changed": set_value("record", b'{"forged":1}'),
    "the last record changed": set_value("record", lambda record: record + b" ", -1),
    "a salt changed": set_value("salt", b"\7" * 16),
    "a salt cut short": set_value("salt", b"\7" * 15),
    "a status changed": set_value("status", lambda status: "quarantined" if status == "ok" else "ok"),
    "a reason changed": set_value("reason", lambda reason: "" if reason else "depth"),
    "a position changed": set_value("position", 40),
    "a row's day changed": set_value("day", lambda day: TODAY if day == DAY else DAY),
    "a row's source changed": set_value("source_id", "0" * 64),
    "a row's generation changed": set_value("generation", 7),
    "a row's snapshot changed": set_value("snapshot", 7),
    "the first row removed": lambda table: table.slice(1),
    "the last row removed": lambda table: table.slice(0, table.num_rows - 1),
    "a row doubled": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "a row added": lambda table: pa.concat_tables([table, set_value("position", 99)(table.slice(0, 1))]),
    "records exchanged": _swap_records,
}


def _add_row_kinds() -> None:
    for kind, change in ROW_KINDS.items():
        places = ROW_PLACES if kind != "records exchanged" else ROW_PLACES[:3] + ROW_PLACES[6:]
        forgery(kind, *places)(lambda forger, place, change=change: forge_rows(forger, place, change))


_add_row_kinds()


@forgery("rows reordered, which say the same", *ROW_PLACES[:2], *ROW_PLACES[3:5])
def _reordered(forger: Forger, place: str) -> None:
    forge_rows(forger, place, lambda table: table.take(list(reversed(range(table.num_rows)))))


@forgery("a row moved to another data file", "the same day", "another day")
def _moved(forger: Forger, place: str) -> None:
    target = 3 if place == "the same day" else 2
    row = pq.read_table(forger.data("records", BATCHES[1]), partitioning=None).slice(0, 1)
    for version, change in (
        (1, lambda table: table.slice(1)),
        (target, lambda table: pa.concat_tables([table, row])),
    ):
        forger.rewrite("records", BATCHES[version], change)
        forger.recommit("records", version)


@forgery("columns of a data file changed", "renamed", "removed", "added", "of another type")
def _columns(forger: Forger, place: str) -> None:
    path = forger.data("records", BATCHES[1])
    footer = pq.read_metadata(path).metadata
    table = pq.read_table(path, partitioning=None)
    changed = {
        "renamed": lambda: table.rename_columns(["note" if n == "reason" else n for n in table.schema.names]),
        "removed": lambda: table.drop_columns(["reason"]),
        "added": lambda: table.append_column("more", pa.array(range(table.num_rows))),
        "of another type": lambda: table.set_column(4, "position", table.column(4).cast(pa.int32())),
    }[place]()
    pq.write_table(changed.replace_schema_metadata(footer), path)


@forgery("a data file's footer changed", "nonce", "path", "object", "format", "is_complete", "time", "version", "removed")
def _footer(forger: Forger, place: str) -> None:
    def change(footer: dict[str, Any]) -> None:
        values = {"nonce": "00" * 32, "path": "else.jsonl", "object": "runs/x/0-0.zst", "format": "x"}
        if place == "removed":
            footer.clear()
        elif place in values:
            footer["snapshots"][0][place] = values[place]
        elif place == "is_complete":
            footer["snapshots"][0][place] = not footer["snapshots"][0][place]
        else:
            footer[place] = {"time": "2026-01-01T00:00:00+00:00", "version": 2}[place]

    forger.table("sources")
    forger.rewrite_footer(1, change)
    forger.recommit("records", 1)
    if place in ("nonce", "path", "object", "format", "is_complete"):
        forger.project(1)


def lie_in_parquet(path: Path, column: str, low: bytes, high: bytes) -> None:
    """Replace a column's least and greatest value, of 8 or 4 bytes, wherever the footer says them."""
    content, start = path.read_bytes(), int.from_bytes(path.read_bytes()[-8:-4], "little")
    footer = content[-8 - start :]
    stats = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).names.index(column)).statistics
    width = len(low)
    for value, new in ((stats.min_raw, low), (stats.max_raw, high)):
        encoded = int(value).to_bytes(width, "little", signed=True)
        footer = footer.replace(bytes([width]) + encoded, bytes([width]) + new)
    path.write_bytes(content[: -8 - start] + footer)


@forgery("lying statistics in a data file", "of positions, alone", "of positions, with its commit")
def _parquet_stats(forger: Forger, place: str) -> None:
    forger.table("records")
    lie = (900).to_bytes(8, "little")
    lie_in_parquet(forger.data("records", BATCHES[3]), "position", lie, lie)
    if place.endswith("commit"):
        forger.recommit("records", 3)


# Commits.


def change_stats(file: DataFile, place: str) -> DataFile:
    stats = json.loads(file.stats)
    if place == "rows":
        stats["numRecords"] += 1
    elif place == "no ranges":
        stats = {"numRecords": stats["numRecords"]}
    else:
        bound, _, column = place.partition(" ")
        stats[bound][column] = "2027-01-01" if column == "day" else "f" * 64 if column == "source_id" else 500
    return replace(file, stats=json.dumps(stats))


@forgery(
    "lying statistics in a commit", "rows", "no ranges", "minValues day", "maxValues day", "minValues position",
    "maxValues position", "minValues source_id",
)  # fmt: skip
def _json_stats(forger: Forger, place: str) -> None:
    commit = forger.commit("records", 1)
    forger.write_commit("records", 1, replace(commit, files=(change_stats(commit.files[0], place),)))


@forgery("a commit's fields changed", "time", "application", "number", "path", "size")
def _commit_fields(forger: Forger, place: str) -> None:
    commit = forger.commit("records", 2)
    (file,) = commit.files
    changes: dict[str, Any] = {
        "time": {"time_ms": commit.time_ms + 1},
        "application": {"app": f"ingest/runs/{DAY}"},
        "number": {"number": 2},
        "path": {"files": (replace(file, name=BATCHES[1]),)},
        "size": {"files": (replace(file, size_bytes=file.size_bytes + 1),)},
    }
    forger.write_commit("records", 2, replace(commit, **changes[place]))


@forgery("a commit's source entries changed", "removed", "repeated", "reordered", "root", "generation", "day", "none")
def _entries(forger: Forger, place: str) -> None:
    texts = list(forger.commit("records", 1).entries or ())
    changed = {
        "removed": texts[1:],
        "repeated": [texts[0], *texts],
        "reordered": [*texts[1:], texts[0]],
        "root": [texts[0][:-65] + "0" * 64 + "\n", *texts[1:]],
        "generation": [texts[0].replace("generation 0", "generation 1"), *texts[1:]],
        "day": [texts[0].replace(str(DAY), str(TODAY)), *texts[1:]],
        "none": [],
    }[place]
    forger.recommit("records", 1, entries=tuple(changed))


@forgery("a commit written in other words", "spaces", "order of keys", "no last newline", "an unknown action", "an empty line")
def _words(forger: Forger, place: str) -> None:
    path = forger.commit_path("records", 2)
    text = path.read_text()
    actions = [json.loads(line) for line in text.splitlines()]
    path.write_text(
        {
            "spaces": "".join(json.dumps(action) + "\n" for action in actions),
            "order of keys": "".join(json.dumps(a, sort_keys=True, separators=(",", ":")) + "\n" for a in actions),
            "no last newline": text[:-1],
            "an unknown action": text + '{"x":{}}\n',
            "an empty line": text + "\n",
        }[place]
    )


def append_actions(forger: Forger, table: str, *actions: Any) -> None:
    version = forger.table(table).version + 1
    forger.commit_path(table, version).write_text("".join(json.dumps(action) + "\n" for action in actions))


def _metadata(forger: Forger, **changes: Any) -> dict[str, Any]:
    created = forger.commit_path("records", 0).read_text().splitlines()[2]
    return {"metaData": {**json.loads(created)["metaData"], **changes}}


INFO = {"commitInfo": {"timestamp": 0, "operation": "WRITE"}}


@forgery(
    "one more commit", "remove", "metaData", "column mapping", "protocol", "txn", "commitInfo", "domainMetadata", "cdc",
    "nothing at all", "the same file again", "no JSON",
)  # fmt: skip
def _more_commits(forger: Forger, place: str) -> None:
    name = BATCHES[1]
    add = json.loads(forger.commit_path("records", 1).read_text().splitlines()[2])
    schema = forger.commit_path("records", 0).read_text().splitlines()[2]
    actions: dict[str, list[Any]] = {
        "remove": [INFO, {"remove": {"path": name, "deletionTimestamp": 0, "dataChange": True}}],
        "metaData": [INFO, _metadata(forger, name="other")],
        "column mapping": [
            INFO,
            {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
            _metadata(forger, configuration={"delta.columnMapping.mode": "name"}),
        ],
        "protocol": [INFO, {"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}}],
        "txn": [INFO, {"txn": {"appId": f"ingest/runs/{DAY}", "version": 9}}],
        "commitInfo": [INFO],
        "domainMetadata": [INFO, {"domainMetadata": {"domain": "x", "configuration": "", "removed": False}}],
        "cdc": [INFO, {"cdc": {"path": name, "partitionValues": {}, "size": 1, "dataChange": False}}],
        "nothing at all": [],
        "the same file again": [INFO, add],
        "no JSON": ["x"],
    }
    assert schema
    append_actions(forger, "records", *actions[place])


def deletion_vector(forger: Forger) -> dict[str, Any]:
    """Of the first row of the first data file, written into the action itself (Delta protocol, inline vectors)."""
    import base64
    import struct

    # A RoaringTreemap: magic, one bitmap with high bits 0, in Roaring's portable form with one array container.
    bitmap = struct.pack("<IIHHIH", 12346, 1, 0, 0, 16, 0)
    content = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    content += bytes(-len(content) % 4)
    return {
        "storageType": "i",
        "pathOrInlineDv": base64.b85encode(content).decode(),
        "sizeInBytes": len(content),
        "cardinality": 1,
    }


@forgery("a deletion vector", "in one more commit", "in the commit itself")
def add_deletion_vector(forger: Forger, place: str) -> None:
    path = forger.commit_path("records", 1)
    lines = path.read_text().splitlines()
    add = json.loads(lines[2])["add"]
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["deletionVectors"],
        "writerFeatures": ["deletionVectors", "appendOnly"],
    }
    with_vector = {"add": {**add, "deletionVector": deletion_vector(forger)}}
    if place == "in the commit itself":
        path.write_text("\n".join([*lines[:2], json.dumps(with_vector), json.dumps({"protocol": protocol})]) + "\n")
        return
    removed = {"remove": {"path": add["path"], "deletionTimestamp": 0, "dataChange": True}}
    append_actions(forger, "records", INFO, {"protocol": protocol}, removed, with_vector)


TABLES_OF_EVIDENCE = ("records", "sources", "seals", "training_metrics")


@forgery("a commit removed", *(f"{table}, {which}" for table in TABLES_OF_EVIDENCE for which in ("last", "middle", "first")))
def _removed_commit(forger: Forger, place: str) -> None:
    table, _, which = place.partition(", ")
    forger.commit_path(table, {"last": forger.table(table).version, "middle": 1, "first": 0}[which]).unlink()


@forgery("commits exchanged", "records", "sources", "seals")
def _exchanged(forger: Forger, place: str) -> None:
    first, second = forger.commit_path(place, 1), forger.commit_path(place, 2)
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


SETTINGS = {
    "partitions": ('"partitionColumns":[]', '"partitionColumns":["status"]'),
    "append-only": ('"delta.appendOnly":"true"', '"delta.appendOnly":"false"'),
    "schema": ('\\"name\\":\\"record\\"', '\\"name\\":\\"other\\"'),
    "a column's type": ('\\"type\\":\\"binary\\"', '\\"type\\":\\"string\\"'),
    "retention": ("36500", "1"),
    "name": ('"name":"records"', '"name":"sources"'),
    "description": ("schema 1", "schema 2"),
    "protocol": ('"minWriterVersion":2', '"minWriterVersion":3'),
    "program": ('"engineInfo":"rlhf', '"engineInfo":"Rlhf'),
    "time": ('"createdTime":0', '"createdTime":1'),
}


@forgery("a table's settings changed", *SETTINGS)
def _settings(forger: Forger, place: str) -> None:
    path, (old, new) = forger.commit_path("records", 0), SETTINGS[place]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# What another Delta program does.


def _writable(forger: Forger) -> DeltaTable:
    """The table, with `appendOnly` off."""
    table = DeltaTable(str(forger.table("records").path))
    table.alter.set_table_properties({"delta.appendOnly": "false"})
    return table


@forgery(
    "another program's operation", "restore", "compact", "z-order", "compact and vacuum", "append", "overwrite", "delete",
    "update", "merge", "add column", "checkpoint",
)  # fmt: skip
def _operation(forger: Forger, place: str) -> None:
    path = str(forger.table("records").path)
    rows = pq.read_table(forger.data("records", BATCHES[2]), partitioning=None).slice(0, 1)
    rows = rows.cast(forger.table("records").table.schema)
    if place == "restore":
        DeltaTable(path).restore(2)
    elif place == "compact":
        DeltaTable(path).optimize.compact()
    elif place == "z-order":
        DeltaTable(path).optimize.z_order(["position"])
    elif place == "compact and vacuum":
        table = _writable(forger)
        table.optimize.compact()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    elif place == "append":
        write_deltalake(path, rows, mode="append")
    elif place == "overwrite":
        _writable(forger)
        write_deltalake(path, rows, mode="overwrite")
    elif place == "delete":
        _writable(forger).delete("position = 0")
    elif place == "update":
        _writable(forger).update({"status": "'ok'"}, predicate="position = 0")
    elif place == "merge":
        table = _writable(forger)
        table.merge(rows, "t.position = s.position", "s", "t").when_matched_delete().execute()
    elif place == "add column":
        from deltalake import Field, PrimitiveType

        _writable(forger).alter.add_columns([Field("more", PrimitiveType("string"))])
    else:
        _writable(forger).create_checkpoint()


# Delta checkpoints.


def forge_checkpoint(forger: Forger, change: Callable[[pa.Table], pa.Table], *, pointer: bool = True) -> Path:
    """A Delta checkpoint of `records` at its newest version with other actions; engines begin with it."""
    table = forger.table("records")
    DeltaTable(str(table.path)).create_checkpoint()
    path = table.files.path(f"_delta_log/{table.version:020}.checkpoint.parquet")
    pq.write_table(change(pq.read_table(path)), path)
    if not pointer:
        table.files.path("_delta_log/_last_checkpoint").unlink()
    return path


def without_add(of: str) -> Callable[[pa.Table], pa.Table]:
    def change(actions: pa.Table) -> pa.Table:
        return actions.filter(pa.array([not (row["add"] and of in row["add"]["path"]) for row in actions.to_pylist()]))

    return change


def _txn_changed(actions: pa.Table) -> pa.Table:
    rows = actions.to_pylist()
    for row in rows:
        if row.get("txn"):
            row["txn"]["version"] += 1
    return pa.Table.from_pylist(rows, schema=actions.schema)


@forgery(
    "a forged Delta checkpoint", "hides a file", "hides a file, without pointer", "hides a file, old commits removed",
    "a transaction changed", "no checkpoint at all", "of an older version",
)  # fmt: skip
def _checkpoint(forger: Forger, place: str) -> None:
    if place.startswith("hides"):
        forge_checkpoint(forger, without_add(BATCHES[1]), pointer="without" not in place)
    if place.endswith("removed"):
        for version in range(3):
            forger.commit_path("records", version).unlink()
    if place == "a transaction changed":
        forge_checkpoint(forger, _txn_changed)
    if place == "no checkpoint at all":
        forge_checkpoint(forger, lambda actions: actions).write_bytes(b"PAR1 no checkpoint PAR1")
    if place == "of an older version":
        path = forge_checkpoint(forger, without_add(BATCHES[2]))
        path.rename(path.with_name(f"{1:020}.checkpoint.parquet"))
        path.with_name("_last_checkpoint").write_text('{"version":1,"size":5}')


@forgery(
    "a file that engines read beside the commits", "parts of a checkpoint", "a checkpoint under a UUID", "a checksum",
    "compacted commits", "a sidecar", "a pointer to nowhere",
)  # fmt: skip
def _beside(forger: Forger, place: str) -> None:
    log = forger.table("records").path / "_delta_log"
    version = forger.table("records").version
    if place == "a pointer to nowhere":
        (log / "_last_checkpoint").write_text(json.dumps({"version": version + 1, "size": 9}))
        return
    path = forge_checkpoint(forger, without_add(BATCHES[1]), pointer=False)
    names = {
        "parts of a checkpoint": f"{version:020}.checkpoint.{1:010}.{1:010}.parquet",
        "a checkpoint under a UUID": f"{version:020}.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet",
        "a sidecar": "_sidecars/3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet",
        "a checksum": f"{version:020}.crc",
        "compacted commits": f"{0:020}.{version:020}.compacted.json",
    }
    target = log / names[place]
    target.parent.mkdir(exist_ok=True)
    if place in ("a checksum", "compacted commits"):
        path.unlink()
        kept = [forger.commit_path("records", n).read_text() for n in (0, 2, 3)]
        target.write_text('{"numFiles":1}' if place == "a checksum" else "".join(kept))
    else:
        path.rename(target)


# `sources` and event tables.

SOURCE_CHANGES: dict[str, Any] = {
    "path": "else.jsonl",
    "nonce": b"\0" * 32,
    "object": "runs/x/0-0.zst",
    "format": "x",
    "format_evidence": "x",
    "is_complete": lambda value: not value,
    "resume_at": 0,
    "resume_position": 1,
    "quarantined": 5,
    "mtime_ns": 1,
    "data_file": BATCHES[2],
    "entry": lambda text: text.replace("growth new", "growth rewritten"),
}


@forgery("a row of `sources` changed", *SOURCE_CHANGES)
def _sources(forger: Forger, place: str) -> None:
    forger.table("sources")
    forger.rewrite("sources", "1.parquet", set_value(place, SOURCE_CHANGES[place], 1))
    forger.recommit("sources", 1)


@forgery("rows of `sources`", "removed", "doubled", "all removed")
def _source_rows(forger: Forger, place: str) -> None:
    forger.table("sources")
    change = {
        "removed": lambda table: table.slice(1),
        "doubled": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        "all removed": lambda table: table.slice(0, 0),
    }[place]
    forger.rewrite("sources", "1.parquet", change)
    forger.recommit("sources", 1)


def forge_event(forger: Forger, place: str) -> None:
    table, version = EVENT
    forger.table(table)
    if place == "the data file and its add removed":
        forger.write_commit(table, version, replace(forger.commit(table, version), files=()))
        forger.data(table, f"{version}.parquet").unlink()
        return
    change = {
        "a value changed": set_value("value", 0.125),
        "a row removed": lambda rows: rows.slice(1),
        "a row doubled": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    }[place]
    forger.rewrite(table, f"{version}.parquet", change)
    forger.recommit(table, version)


EVENT_PLACES = ("a value changed", "a row removed", "a row doubled", "the data file and its add removed")
forgery("an event table forged", *EVENT_PLACES)(forge_event)


@forgery("a table removed", *TABLES_OF_EVIDENCE)
def _table(forger: Forger, place: str) -> None:
    shutil.rmtree(forger.table(place).path)


# Files.

PLACES = {
    "data file": f"lake/restricted/records/{BATCHES[1]}",
    "commit": f"lake/restricted/records/_delta_log/{1:020}.json",
    "commit of an event table": f"lake/restricted/runs/_delta_log/{2:020}.json",
    "sources": "lake/restricted/sources/2.parquet",
    "seals": "lake/audit/seals/1.parquet",
    "events": "lake/restricted/training_metrics/1.parquet",
    "draft": f"evidence/_seals/{DAY}/1",
    "inventory": "evidence/_inventory/2",
    "newest inventory": "evidence/_inventory/3",
    "tile": "log/tile/0/000.p/3",
    "older tile": "log/tile/0/000.p/1",
    "checkpoint": "log/checkpoint",
    "vkey": "log/vkey",
}


def _place(forger: Forger, place: str) -> Path:
    if place == "evidence object":
        return sorted(forger.stored("evidence/runs").rglob("*.zst"))[0]
    return forger.stored(PLACES[place])


FILE_PLACES = (*PLACES, "evidence object")


@forgery("a file removed", *FILE_PLACES)
def _removed(forger: Forger, place: str) -> None:
    _place(forger, place).unlink()


@forgery("a file emptied", *FILE_PLACES)
def _emptied(forger: Forger, place: str) -> None:
    _place(forger, place).write_bytes(b"")


@forgery("a file cut short", *FILE_PLACES)
def _cut(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    path.write_bytes(path.read_bytes()[:-1])


@forgery("a byte put at a file's end", *(place for place in FILE_PLACES if place != "checkpoint"), "checkpoint")
def _longer(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    path.write_bytes(path.read_bytes() + b"\n")


@forgery("a link in place of a file", *FILE_PLACES)
def _link(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    path.rename(forger.root / "elsewhere")
    path.symlink_to(forger.root / "elsewhere")


@forgery("a folder in place of a file", *FILE_PLACES)
def _folder(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    path.unlink()
    path.mkdir()


@forgery("a pipe in place of a file", *FILE_PLACES)
def _pipe(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    path.unlink()
    os.mkfifo(path)


@forgery("a file of another lake in its place", *FILE_PLACES)
def _foreign(forger: Forger, place: str) -> None:
    path = _place(forger, place)
    there = forger.material.other / path.relative_to(forger.root)
    shutil.copy(there, path)


@forgery("a file planted", "lake", "table", "log of a table", "evidence", "drafts", "log", "tiles", "tile/entries", "hidden")
def _planted(forger: Forger, place: str) -> None:
    name = {
        "lake": "lake/x",
        "table": "lake/restricted/records/x.parquet",
        "log of a table": "lake/restricted/records/_delta_log/x",
        "evidence": "evidence/runs/x.zst",
        "drafts": f"evidence/_seals/{DAY}/9",
        "log": "log/x",
        "tiles": "log/tile/1/000.p/1",
        "tile/entries": "log/tile/entries/000.p/3",
        "hidden": "lake/.x",
    }[place]
    forger.stored(name).parent.mkdir(parents=True, exist_ok=True)
    forger.stored(name).write_bytes(b"x")


@forgery("a link or pipe planted", "link to a file", "link to a folder", "dangling link", "pipe")
def _planted_link(forger: Forger, place: str) -> None:
    path = forger.stored("lake/restricted/records/x")
    if place == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"link to a file": "runs", "link to a folder": "_delta_log", "dangling link": "no"}[place])


@forgery("two files exchanged", "data files", "evidence objects", "drafts", "seals", "sources", "inventories", "tiles")
def _two(forger: Forger, place: str) -> None:
    objects = [str(path.relative_to(forger.root)) for path in sorted(forger.stored("evidence/runs").rglob("*.zst"))]
    one, other = {
        "data files": (f"lake/restricted/records/{BATCHES[1]}", f"lake/restricted/records/{BATCHES[3]}"),
        "evidence objects": (objects[0], objects[1]),
        "drafts": (f"evidence/_seals/{DAY}/1", f"evidence/_seals/{DAY}/2"),
        "seals": ("lake/audit/seals/0.parquet", "lake/audit/seals/1.parquet"),
        "sources": ("lake/restricted/sources/1.parquet", "lake/restricted/sources/2.parquet"),
        "inventories": ("evidence/_inventory/1", "evidence/_inventory/2"),
        "tiles": ("log/tile/0/000.p/1", "log/tile/0/000.p/2"),
    }[place]
    first, second = forger.stored(one), forger.stored(other)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@forgery("an evidence object stored anew", "the same source", "another head")
def _stored_anew(forger: Forger, place: str) -> None:
    import io

    from audit_pipeline.lake.evidence import open_object, put_object

    folder = forger.lake.lake.evidence
    path = _place(forger, "evidence object")
    name = path.relative_to(folder.root).as_posix()
    if place == "another head":
        content = path.read_bytes()
        path.write_bytes(content[:8] + bytes(32) + content[40:])
        return
    with open_object(folder, name) as kept:
        source = kept.read()
    path.unlink()
    put_object(folder, name, io.BytesIO(source), os.urandom)


# Drafts, seals, tiles, checkpoint.


@forgery("a draft changed", "an entry", "an entry removed", "the seal", "its end")
def _draft(forger: Forger, place: str) -> None:
    path = forger.stored(f"evidence/_seals/{DAY}/1")
    text = path.read_text()
    changed = {
        "an entry": text.replace("growth new", "growth rewritten", 1),
        "an entry removed": text[: text.rindex("audit-source/v1")],
        "the seal": text.replace("policy ab", "policy cd", 1),
        "its end": text + "x",
    }[place]
    assert changed != text
    path.write_text(changed)


SEAL_CHANGES: dict[str, Any] = {
    "root": "0" * 64,
    "records": 1,
    "segment": 2,
    "index": 1,
    "day": TODAY,
    "sealed_at": datetime(2026, 3, 4, tzinfo=UTC),
    "entry": lambda text: text.replace("sources 4", "sources 3"),
}


@forgery("a row of the log changed", *SEAL_CHANGES)
def _seals(forger: Forger, place: str) -> None:
    forger.table("seals")
    forger.rewrite("seals", "0.parquet", set_value(place, SEAL_CHANGES[place]))
    forger.recommit("seals", 0 + 1)


@forgery("entries of the log", "doubled", "reordered")
def _log_rows(forger: Forger, place: str) -> None:
    forger.table("seals")
    if place == "doubled":
        forger.rewrite("seals", "2.parquet", lambda rows: pa.concat_tables([rows, rows]))
        forger.recommit("seals", 3)
        return
    one, other = (forger.data("seals", f"{n}.parquet") for n in (0, 1))
    rows = [pq.read_table(path, partitioning=None) for path in (one, other)]
    for path, mine, at in ((one, rows[1], 0), (other, rows[0], 1)):
        forger.write_rows("seals", path, set_value("index", at)(mine), {})
    forger.recommit("seals", 1)
    forger.recommit("seals", 2)


@forgery("a tile changed", "a hash", "longer", "of another size", "all hashes")
def _tile(forger: Forger, place: str) -> None:
    path = forger.stored("log/tile/0/000.p/3")
    content = path.read_bytes()
    if place == "of another size":
        path.with_name("2").write_bytes(content)
        return
    path.write_bytes({"a hash": bytes(32) + content[32:], "longer": content + bytes(32), "all hashes": bytes(96)}[place])


@forgery("the checkpoint changed", "size", "root", "origin", "no signature", "another lake's", "signature")
def _head(forger: Forger, place: str) -> None:
    path = forger.stored("log/checkpoint")
    text = path.read_text()
    origin, size, root, empty, signature, _ = text.split("\n")
    lines = {
        "size": [origin, "2", root, empty, signature, ""],
        "root": [origin, size, "A" * 43 + "=", empty, signature, ""],
        "origin": ["example.com/else", size, root, empty, signature, ""],
        "no signature": [origin, size, root, empty, ""],
        "another lake's": (forger.material.other / "log/checkpoint").read_text().split("\n"),
        "signature": [origin, size, root, empty, signature[:-8] + "AAAAAAA=", ""],
    }[place]
    path.write_text("\n".join(lines))


@forgery("an older checkpoint put back", found_at=BY_MARK_OR_HELD)
def _older_head(forger: Forger, _: str) -> None:
    forger.stored("log/checkpoint").write_bytes(forger.material.held_before)


@forgery("a stranger's signature beside the log's", found_at=())
def _cosigned(forger: Forger, _: str) -> None:
    """C2SP signed-note: unknown signatures are passed over, so that witnesses can add theirs."""
    key = tlog.Signer("example.com/stranger", tlog.ED25519, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    path = forger.stored("log/checkpoint")
    text = path.read_text().partition("\n\n")[0] + "\n"
    theirs = tlog.sign_note(text, [key]).decode().rpartition("\n\n")[2]
    path.write_text(path.read_text() + theirs)


# Inventories.


def own_key(forger: Forger) -> tlog.Signer:
    """A forger's key under the log's name."""
    private = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
    return tlog.Signer(forger.material.verifier.name, tlog.ED25519, private)


@forgery("an inventory changed", "a line removed", "a digest", "a newer one copied on", "all removed")
def _inventory(forger: Forger, place: str) -> None:
    path = forger.stored("evidence/_inventory/2")
    lines = path.read_text().split("\n")
    at = next(n for n, line in enumerate(lines) if " lake/" in line)
    if place == "a line removed":
        path.write_text("\n".join(lines[:at] + lines[at + 1 :]))
    elif place == "a digest":
        path.write_text("\n".join([*lines[:at], "0" * 64 + lines[at][64:], *lines[at + 1 :]]))
    elif place == "a newer one copied on":
        path.with_name("4").write_bytes(path.with_name("3").read_bytes())
    else:
        shutil.rmtree(path.parent)


@forgery("inventories signed again with another key", "a record changed", "rows reordered")
def _listed_by_other(forger: Forger, place: str) -> None:
    if place == "a record changed":
        forge_rows(forger, ROW_PLACES[1], ROW_KINDS["a record changed"])
    else:
        _reordered(forger, ROW_PLACES[1])
    forger.list_again(own_key(forger))


@forgery("the newest inventory removed, with what it lists", found_at=("extends-own-mark",))
def _inventory_gone(forger: Forger, _: str) -> None:
    """Without it, what the last run stored is as if no inventory covered it yet: only the mark names it."""
    forger.stored("evidence/_inventory/3").unlink()


@forgery("the newest inventory removed, and rows it lists", found_at=("extends-own-mark",))
def _inventory_and_rows(forger: Forger, _: str) -> None:
    """Event rows of the last run, which no root covers; of the runs before, the older inventories have them."""
    forger.stored("evidence/_inventory/3").unlink()
    forger.write_commit("annotations", 3, replace(forger.commit("annotations", 3), time_ms=0))


# Backups.

STORE_AREAS = ("lake", "evidence", "log")


@forgery("a backup put back", "all of the store", found_at=BY_MARK_OR_HELD)
def _backup(forger: Forger, _: str) -> None:
    forger.take_from(forger.material.backup, *STORE_AREAS)


@forgery("part of a backup put back", *STORE_AREAS, "seals", "records")
def _part_of_backup(forger: Forger, place: str) -> None:
    area = {"seals": "lake/audit/seals", "records": "lake/restricted/records"}.get(place, place)
    forger.take_from(forger.material.backup, area)


forgery("a backup put back, marks too", by=MARKS, found_at=("extends-held",))(
    lambda forger, _: forger.take_from(forger.material.backup, *STORE_AREAS, "keys/marks")
)


@forgery("the last seal hidden", "seals, tiles and checkpoint", found_at=BY_MARK_OR_HELD)
def _hidden_seal(forger: Forger, _: str) -> None:
    """The log as it was two runs long; rows, commits, draft and inventory of the third run are taken back as well."""
    forger.take_from(forger.material.backup, *STORE_AREAS)


@forgery("the log cut", "seals", "seals and tiles", "seals, tiles and checkpoint")
def _cut_log(forger: Forger, place: str) -> None:
    forger.data("seals", "2.parquet").unlink()
    forger.commit_path("seals", 3).unlink()
    if "tiles" in place:
        forger.stored("log/tile/0/000.p/3").unlink()
    if "checkpoint" in place:
        forger.stored("log/checkpoint").write_bytes(forger.material.held_before)


# Marks.


@forgery("marks changed", "one removed", "a root", "an older one again", "of another log", by=MARKS,
         found_at=("extends-own-mark",))  # fmt: skip
def _marks(forger: Forger, place: str) -> None:
    marks = forger.lake.places.marks
    newest = max(marks.iterdir(), key=lambda path: int(path.name))
    if place == "one removed":
        (marks / "2").unlink()
    elif place == "a root":
        mark = tlog.parse_mark(newest.read_bytes())
        newest.write_bytes(tlog.format_mark(replace(mark, root="0" * 64)))
    elif place == "an older one again":
        newest.with_name(str(int(newest.name) + 1)).write_bytes((marks / "1").read_bytes())
    else:
        forger.take_from(forger.material.other, "keys/marks")


@forgery("all marks removed", by=MARKS, found_at=("extends-own-mark",))
def _no_marks(forger: Forger, _: str) -> None:
    """Nothing contradicts: the level is not reached, which `--require` turns into a failure."""
    shutil.rmtree(forger.lake.places.marks)


@forgery("the newest mark removed", by=MARKS, found_at=())
def _shorter_marks(forger: Forger, _: str) -> None:
    """It alone says nothing less about the lake, which is as it was."""
    max(forger.lake.places.marks.iterdir(), key=lambda path: int(path.name)).unlink()


# The key.


def _one_record(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content.replace(b'"step":3', b'"step":4') for name, content in files.items()}


def _one_file_less(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    files.pop("bad.jsonl", None)
    return files


def _one_file_more(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "more.jsonl": b"{}\n"}


HISTORIES: dict[str, Callable[[int, dict[str, bytes]], dict[str, bytes] | None]] = {
    "a record": _one_record,
    "a source left out": _one_file_less,
    "a source added": _one_file_more,
    "the second day skipped": lambda number, files: None if number == 1 else files,
    "the same records, other salts": lambda number, files: files,
}


@forgery("the history rewritten", *HISTORIES, by=KEY, found_at=BY_MARK_OR_HELD)
def _rewritten(forger: Forger, place: str) -> None:
    forger.rebuild(HISTORIES[place], with_marks=False)


@forgery("the history and the marks rewritten", *HISTORIES, by=KEY_AND_MARKS, found_at=("extends-held",))
def _rewritten_with_marks(forger: Forger, place: str) -> None:
    forger.rebuild(HISTORIES[place], with_marks=True)


@forgery("what came after the held checkpoint rewritten", by=KEY, found_at=("extends-own-mark",), holds_before=True)
def _rewritten_after(forger: Forger, _: str) -> None:
    forger.rebuild(lambda number, files: _one_file_more(number, files), first=2, with_marks=False)


@forgery(
    "what came after the held checkpoint, and the marks, rewritten", by=KEY_AND_MARKS, found_at=(), holds_before=True
)
def _rewritten_after_with_marks(forger: Forger, _: str) -> None:
    forger.rebuild(lambda number, files: _one_file_more(number, files), first=2, with_marks=True)


@forgery("a row changed and everything but the log signed again", *ROW_PLACES[2::3], by=KEY)
def _signed_rows(forger: Forger, place: str) -> None:
    forge_rows(forger, place, ROW_KINDS["a record changed"])
    forger.list_again()


@forgery("other bytes of the same rows, inventories signed again", by=KEY, found_at=("extends-own-mark",))
def _same_rows(forger: Forger, _: str) -> None:
    _reordered(forger, ROW_PLACES[1])
    forger.list_again()


@forgery("other bytes of the same rows, inventories and marks again", by=KEY_AND_MARKS, found_at=())
def _same_rows_marked(forger: Forger, _: str) -> None:
    _reordered(forger, ROW_PLACES[1])
    forger.list_again(with_marks=True)


@forgery("an event table forged, inventories signed again", *EVENT_PLACES[:3], by=KEY, found_at=("extends-own-mark",))
def _events_signed(forger: Forger, place: str) -> None:
    forge_event(forger, place)
    forger.list_again()


@forgery("an event table forged, listed in one more inventory", *EVENT_PLACES[:3], by=KEY, found_at=())
def _events_listed(forger: Forger, place: str) -> None:
    """A run that died between inventory and mark leaves the same."""
    import hashlib

    forge_event(forger, place)
    note = forger.stored("evidence/_inventory/3").read_bytes()
    before = tlog.open_inventory(note, [forger.material.verifier])
    table, version = EVENT
    names = sorted((f"_delta_log/{version:020}.json", f"{version}.parquet"))
    stored = [forger.data(table, name) for name in names]
    files = tuple(
        tlog.StoredFile(f"lake/restricted/{table}/{name}", path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in zip(names, stored, strict=True)
    )
    after = replace(before, number=4, previous=hashlib.sha256(note).hexdigest(), files=files)
    forger.stored("evidence/_inventory/4").write_bytes(tlog.sign_inventory(after, forger.signer()))


@forgery("a checkpoint of another tree signed", "another root", "a greater size", "a smaller size", by=KEY)
def _signed_head(forger: Forger, place: str) -> None:
    leaves = forger.stored("log/tile/0/000.p/3").read_bytes()
    origin = forger.lake.lake.origin
    head = {
        "another root": tlog.Checkpoint(origin, 3, bytes(32)),
        "a greater size": tlog.Checkpoint(origin, 4, tlog.tree_root(leaves + bytes(32))),
        "a smaller size": tlog.Checkpoint(origin, 2, bytes(32)),
    }[place]
    forger.stored("log/checkpoint").write_bytes(tlog.sign_checkpoint(head, forger.signer()))


@forgery("everything signed again with another key, put beside the lake", by=KEY_AND_MARKS,
         found_at=("signed", "extends-held"))  # fmt: skip
def _other_key(forger: Forger, _: str) -> None:
    """By somebody with the folder of keys and marks, but not the key: what a vkey that you were given is for."""
    signer = own_key(forger)
    forger.stored("keys/vkey").write_text(tlog.format_vkey(signer.verifier) + "\n")
    forger.stored("log/vkey").write_text(tlog.format_vkey(signer.verifier) + "\n")
    note = forger.stored("log/checkpoint").read_bytes()
    checkpoint, _note = tlog.open_checkpoint(note, [forger.material.verifier])
    forger.stored("log/checkpoint").write_bytes(tlog.sign_checkpoint(checkpoint, signer))
    forger.list_again(signer, with_marks=True)


# What the verifier cannot know.


@forgery("a batch added that no run took in, and not sealed yet", found_at=())
def _unsealed(forger: Forger, _: str) -> None:
    """It looks like a run that came before its seal; a note counts it as not yet protected, and the next run seals it."""
    other = LakeForTests(forger.root)
    other.land("forged.jsonl", b'{"forged":1}\n')
    other.ingest()


