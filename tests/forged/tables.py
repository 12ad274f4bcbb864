"""Commits, Delta checkpoints, what other Delta programs do, `sources` and event tables."""

import base64
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.schema import Field, PrimitiveType

from audit_pipeline.lake.commits import DataFile
from tests.forged.rows import EVENT, set_value
from tests.forgeries import BATCHES, DAY, Forger, each, forgery
from tests.lakes import TODAY


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


@forgery(
    "a commit written in other words",
    *each("spaces; order of keys; no last newline; an unknown action; an empty line"),
)
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
    append_actions(forger, "records", *actions[place])


_RFC1924 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_TO_Z85 = str.maketrans(_RFC1924, _Z85)


def deletion_vector() -> dict[str, Any]:
    """Of the first row of the first data file, written into the action itself (Delta protocol, inline vectors)."""
    # A RoaringTreemap: magic, one bitmap with high bits 0, in Roaring's portable form with one array container.
    bitmap = struct.pack("<IIHHIH", 12346, 1, 0, 0, 16, 0)
    content = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    content += bytes(-len(content) % 4)
    return {
        "storageType": "i",
        "pathOrInlineDv": base64.b85encode(content).decode().translate(_TO_Z85),
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
    with_vector = {"add": {**add, "deletionVector": deletion_vector()}}
    if place == "in the commit itself":
        path.write_text("\n".join([*lines[:2], json.dumps(with_vector), json.dumps({"protocol": protocol})]) + "\n")
        return
    removed = {"remove": {"path": add["path"], "deletionTimestamp": 0, "dataChange": True}}
    append_actions(forger, "records", INFO, {"protocol": protocol}, removed, with_vector)


TABLES_OF_EVIDENCE = ("records", "sources", "seals", "annotations")


@forgery(
    "a commit removed", *(f"{table}, {which}" for table in TABLES_OF_EVIDENCE for which in ("last", "middle", "first"))
)
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
    "another program's operation", "restore", "compact", "z-order", "compact and vacuum", "append", "overwrite",
    "delete", "update", "merge", "add column", "checkpoint",
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
        "a value changed": set_value("outcome", "b"),
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
