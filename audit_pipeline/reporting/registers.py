"""Registers: what no log says and a person must, as files in the landing zone that are sealed like any log.

A file `registers/<table>.<csv|json|jsonl|yaml>`, or any such file below `registers/<table>/`, has rows of that table.
Below `registers/files/` lie documents themselves. A changed file is another generation: the newest sealed one counts.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, PolicyError
from audit_pipeline.formats.record import parse_record
from audit_pipeline.lake.declared import RECORDS, SOURCES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy.documents import read_documents
from audit_pipeline.report.evidence import DAY_COLUMN, evidence_tables

KEPT_FOLDER = "files"
_RECORD_COLUMNS = ["day", "source_id", "generation", "snapshot", "position", "record", "status"]
_SOURCE_COLUMNS = ["source_id", "path", "generation", "container", "entry"]
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


@dataclass(frozen=True, slots=True)
class Registers:
    """What was supplied."""

    tables: Mapping[str, pa.Table]
    problems: Mapping[str, str]
    """By table, or by file where it is of no table: what cannot be read."""


def read_registers(lake: Lake, stream: str, sealed: frozenset[str]) -> Registers:
    """The rows of all registers whose source entries are among the `sealed` ones."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    problems: dict[str, str] = {}
    for path, container, records in _newest(lake, stream, sealed):
        name = PurePosixPath(path).parts[0].split(".")[0]
        if PurePosixPath(path).parts[0] == KEPT_FOLDER:
            continue
        table = evidence_tables().get(name)
        if table is None or not table.register:
            problems[path] = f"no register is called {name!r}; docs/compliance.md lists them"
            continue
        try:
            rows[name] += [_row(table.register, value, day) for value, day in _values(path, container, records)]
        except (InputError, PolicyError, ValueError) as err:
            problems[name] = f"{path}: {err}"
    tables = {
        name: pa.Table.from_pylist(some, schema=evidence_tables()[name].register_schema) for name, some in rows.items()
    }
    return Registers(tables, problems)


def _newest(lake: Lake, stream: str, sealed: frozenset[str]) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(path, container, records in order) of the newest sealed generation of each file."""
    sources, records = lake.find(SOURCES), lake.find(RECORDS)
    if sources is None or records is None:
        return
    known = [
        row
        for row in sources.read(["stream", *_SOURCE_COLUMNS]).to_pylist()
        if row["stream"] == stream and row["entry"] in sealed
    ]
    newest: dict[str, int] = {}
    for row in known:
        newest[row["source_id"]] = max(row["generation"], newest.get(row["source_id"], 0))
    files: dict[str, tuple[str, str]] = {}
    again, snapshots = set(), set()
    for row in known:
        if row["generation"] == newest[row["source_id"]]:
            entry = tlog.parse_source(row["entry"].encode())
            files[row["source_id"]] = row["path"], row["container"]
            snapshots.add((entry.source, entry.snapshot))
            if entry.supersedes is not None:
                again.add((entry.source, *entry.supersedes))
    if not files:
        return
    by_source = defaultdict(list)
    for row in records.read_sources(_RECORD_COLUMNS, files.keys()).to_pylist():
        name = row["source_id"], row["snapshot"]
        if (
            row["generation"] == newest[row["source_id"]]
            and name in snapshots
            and (*name, row["position"]) not in again
        ):
            by_source[row["source_id"]].append(row)
    for source, (path, container) in sorted(files.items(), key=lambda item: item[1]):
        yield path, container, sorted(by_source[source], key=lambda row: int(row["position"]))


def _values(path: str, container: str, records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, date]]:
    """(row as it was written, day that sealed it)."""
    if any(record["status"] == "quarantined" for record in records):
        raise InputError("has lines or items that cannot be read; correct the file")
    if PurePosixPath(path).suffix in (".yaml", ".yml") and container == "text":
        text = b"\n".join(record["record"] for record in records).decode()
        for document in read_documents(Path(path), text):
            values = document.plain()
            if not isinstance(values, list):
                raise InputError("expected a list of rows, each `- column: value`")
            yield from ((value, records[-1]["day"]) for value in values)
    elif container in ("csv", "json", "jsonl"):
        yield from ((parse_record(record["record"]), record["day"]) for record in records if record["record"].strip())
    else:
        raise InputError(f"is {container}; write it as CSV, JSON, JSON Lines or YAML")


def _row(columns: Mapping[str, str], value: Any, day: date) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"expected rows of columns, got {str(value)[:40]!r}; a JSON register is a list of objects")
    if unknown := sorted(str(key) for key in value.keys() - columns.keys()):
        raise InputError(f"has no column {unknown[0]!r}; it has {', '.join(columns)}")
    return {DAY_COLUMN: day, **{name: _cell(name, columns[name], one) for name, one in value.items()}}


def _cell(name: str, type_: str, value: Any) -> Any:
    """A value of the column's type; nothing and an empty text are null.

    Raises:
        InputError: it is not of that type.
    """
    if value is None or value == "":
        return None
    text = str(value).strip()
    try:
        match type_:
            case "VARCHAR":
                return ("yes" if value else "no") if isinstance(value, bool) else text
            case "VARCHAR[]":
                return [str(one) for one in value] if isinstance(value, list) else text.split(";")
            case "BOOLEAN" if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            case "BIGINT" | "INTEGER":
                return int(text)
            case "DOUBLE":
                return float(text)
            case "DATE":
                return date.fromisoformat(text)
            case "TIMESTAMP":
                time = datetime.fromisoformat(text)
                return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except ValueError as err:
        raise InputError(f"{name}: {text[:40]!r} is no {type_}: {err}") from err
    raise InputError(f"{name}: {text[:40]!r} is no {type_}; write true or false")
