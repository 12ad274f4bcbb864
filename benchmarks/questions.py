"""Works that ask a sealed and derived lake: proofs in bulk, one event by its id."""

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakes import Work, open_home
from peers import data_files
from sizes import BUNDLED_RECORDS

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.lookup import RecordName

_BUNDLE = "records.bundle"
_LOOKUPS = 200


def prove(file: Path, home: Path) -> Work:
    """One bundle of records taken at random from all of the lake, whose rows are compared with what was sealed."""
    from audit_pipeline.prove import prove_records

    lake = open_home(home)
    names = _some_records(lake, BUNDLED_RECORDS)

    def work() -> dict[str, Any]:
        bundle = prove_records(lake, names)
        (home / _BUNDLE).write_bytes(bundle)
        return {"records": len(names), "bundle_bytes": len(bundle)}

    return work


def check(file: Path, home: Path) -> Work:
    """That bundle, as an auditor checks it, with the standard library and `cryptography` alone."""
    from audit_pipeline.check import check_bundle
    from audit_pipeline.tlog import parse_vkey
    from audit_pipeline.tlog.trust import Trust

    bundle, trust = (home / _BUNDLE).read_bytes(), Trust((parse_vkey(open_home(home).vkey),))
    return lambda: {"records": len(check_bundle(bundle, trust).records)}


def hash_one_by_one(file: Path, home: Path) -> Work:
    """As many lines by hashlib, one call each: what no check in plain Python can do without."""
    with file.open("rb") as lines:
        records = [line for line, _ in zip(lines, range(BUNDLED_RECORDS), strict=False)]

    def work() -> dict[str, Any]:
        for record in records:
            hashlib.sha256(record).digest()
        return {"records": len(records)}

    return work


def find_event(file: Path, home: Path) -> Work:
    """One event by its id, again and again, in open tables: `p95_ms` is what 95 of a hundred keep below."""
    import pandas  # noqa: F401 - pyarrow imports it when it is first asked for values

    from audit_pipeline import lookup
    from audit_pipeline.lake.query import connect

    lake = open_home(home)
    table, ids = _some_events(connect(lake.places))
    events = lookup.open_events(lake)

    def find(event_id: str) -> None:
        assert lookup.find_event(events, table, event_id).num_rows == 1, event_id

    return _timed_each(find, ids)


def find_event_plainly(file: Path, home: Path) -> Work:
    """The same question to DuckDB over the bare Parquet files, without a table's log."""
    import duckdb

    from audit_pipeline.lake.query import connect

    table, ids = _some_events(connect(open_home(home).places))
    files, database = data_files(home, table), duckdb.connect()

    def find(event_id: str) -> None:
        database.execute(f"SELECT * FROM read_parquet({files}) WHERE event_id = ?", [event_id]).fetchall()

    return _timed_each(find, ids)


def _timed_each(find: Callable[[str], None], ids: list[str]) -> Work:
    for event_id in ids[:5]:  # warm
        find(event_id)

    def work() -> dict[str, Any]:
        taken_ms = []
        for event_id in ids:
            start = time.perf_counter()
            find(event_id)
            taken_ms.append(1000 * (time.perf_counter() - start))
        return {"p95_ms": sorted(taken_ms)[len(taken_ms) * 95 // 100], "p50_ms": sorted(taken_ms)[len(taken_ms) // 2]}

    return work


def _some_events(database: Any) -> tuple[str, list[str]]:
    """(event table, ids) of events taken at random from the largest event table."""
    from audit_pipeline.lake.declared import EVENTS

    sizes = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in _views(database)}
    table = max((name for name in sizes if name in EVENTS), key=lambda name: sizes[name])
    sample = f'SELECT event_id FROM "{table}" USING SAMPLE reservoir({_LOOKUPS} ROWS) REPEATABLE (7)'
    return table, [event_id for (event_id,) in database.execute(sample).fetchall()]


def _views(database: Any) -> list[str]:
    return [name for (name,) in database.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()]


def _some_records(lake: "Lake", count: int) -> "list[RecordName]":
    from audit_pipeline.lake.declared import SOURCES
    from audit_pipeline.lookup import RecordName

    table = lake.find(SOURCES)
    assert table is not None
    rows = table.read(["source_id", "generation", "snapshot", "position", "records"]).to_pylist()
    names = [
        RecordName(row["source_id"], row["generation"], row["snapshot"], position)
        for row in rows
        for position in range(row["position"], row["position"] + row["records"])
    ]
    return random.Random(5).sample(names, min(count, len(names)))
