"""One measured piece of work in a process of its own: prints its seconds and peak memory as JSON.

    python benchmarks/work.py WORK FILE HOME

WORK is one of the functions below. Each takes the JSONL file FILE and a fresh folder HOME.
"""

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

DAY = date(2026, 3, 5)


def opened(home: Path) -> tuple[object, list[object]]:
    from audit_pipeline.lake.keys import make_keys
    from audit_pipeline.lake.opened import open_lake
    from audit_pipeline.lake.places import Places
    from audit_pipeline.sources.landing import Stream

    names = ["landing", "lake", "evidence", "log", "keys", "marks", "reports", "dagster"]
    places = Places(**{name: home / name for name in names})
    if not places.keys.exists():
        make_keys(places.keys, "localhost/bench", os.urandom, None)
    return open_lake(places), [Stream("runs", "runs/{date}/**")]


def ingest(file: Path, home: Path) -> Callable[[], None]:
    """Records, salts, leaves, source trees, commits."""
    import datafusion  # noqa: F401 - imported before the clock starts, like the peers' engines

    from audit_pipeline.ingest import ingest_day

    lake, streams = opened(home)
    landed = home / "landing" / "runs" / DAY.isoformat()
    landed.mkdir(parents=True)
    for each in sorted(file.iterdir()) if file.is_dir() else [file]:
        os.link(each, landed / each.name)

    def work() -> None:
        ingest_day(lake, streams, DAY, today=DAY, now=lambda: datetime.now(UTC), entropy=os.urandom)  # type: ignore[arg-type]

    return work


def ingest_rollouts(file: Path, home: Path) -> Callable[[], None]:
    """The same for a file of verl's rollouts."""
    return ingest(file.with_name("1.jsonl"), home)


def ingest_metrics(file: Path, home: Path) -> Callable[[], None]:
    """The same for a file of verl's metrics."""
    return ingest(file.with_name("metrics.jsonl"), home)


def ingest_small(file: Path, home: Path) -> Callable[[], None]:
    """The same for many files of a kilobyte."""
    return ingest(file.with_name("small"), home)


def ingest_joined(file: Path, home: Path) -> Callable[[], None]:
    """The records of those files in one."""
    return ingest(file.with_name("joined.jsonl"), home)


def derive(file: Path, home: Path) -> Callable[[], None]:
    """The event tables of what was taken in."""
    import pandas  # noqa: F401 - pyarrow imports it when it is first asked for a column

    from audit_pipeline.derive import derive_events

    lake, _ = opened(home)

    def work() -> None:
        derive_events(lake, os.urandom, passphrase=None)  # type: ignore[arg-type]

    return work


def adapters() -> dict[str, float]:
    """Events per second of each adapter, on the small shapes of the tests, a thousand records at least."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
    from tests.formats.shapes import SHAPES
    from tests.formats.support import PEOPLE, source
    from tests.formats.test_fuzz import as_record

    rates = {}
    for name, shapes in sorted(SHAPES.items()):
        adapter, shape = ADAPTERS[name], shapes[0]
        once = [as_record(adapter, value) for value in shape.values]
        records = [(at, record, "ok") for at, record in enumerate(once * (1000 // len(once) + 1))]
        context = dataclasses.replace(source(shape.path), mapping=shape.mapping)
        seconds, events = [], 0
        for _ in range(3):
            start = time.perf_counter()
            events = sum(table.num_rows for table in derive_rows(name, context, records, PEOPLE).values())
            seconds.append(time.perf_counter() - start)
        rates[name] = events / sorted(seconds)[1]
    return rates


def seal(file: Path, home: Path) -> Callable[[], None]:
    """The day's tree, its entry, the signed head."""
    from audit_pipeline.sealing import seal_day

    lake, _ = opened(home)

    def work() -> None:
        seal_day(
            lake,  # type: ignore[arg-type]
            DAY,
            policy_digest="0" * 64,
            passphrase=None,
            today=DAY,
            now=lambda: datetime.now(UTC),
            entropy=os.urandom,
        )

    return work


def ingest_again(file: Path, home: Path) -> Callable[[], None]:
    """Listing and state, where nothing is new."""
    from audit_pipeline.ingest import ingest_day

    lake, streams = opened(home)

    def work() -> None:
        ingest_day(lake, streams, DAY, today=DAY, now=lambda: datetime.now(UTC), entropy=os.urandom)  # type: ignore[arg-type]

    return work


def run_days(file: Path, home: Path) -> Callable[[], None]:
    """The daily job for the days that a run without a date takes: those with something new, and the newest."""
    from audit_pipeline.derive import derive_events
    from audit_pipeline.ingest import days_to_run, ingest_day
    from audit_pipeline.inventory import take_inventory
    from audit_pipeline.sealing import seal_day

    lake, streams = opened(home)

    def now() -> datetime:
        return datetime.now(UTC)

    def work() -> None:
        for day in days_to_run(lake, streams, date.min, today=DAY):  # type: ignore[arg-type]
            ingest_day(lake, streams, day, today=DAY, now=now, entropy=os.urandom)  # type: ignore[arg-type]
            derive_events(lake, os.urandom, passphrase=None)  # type: ignore[arg-type]
            seal_day(lake, day, policy_digest="0" * 64, passphrase=None, today=DAY, now=now, entropy=os.urandom)  # type: ignore[arg-type]
            take_inventory(lake, passphrase=None)  # type: ignore[arg-type]

    return work


def verify(file: Path, home: Path) -> Callable[[], None]:
    """Every row hashed again, every tree rebuilt."""
    import datafusion  # noqa: F401

    from audit_pipeline.verify import verify as verify_lake

    lake, _ = opened(home)

    def work() -> None:
        found = verify_lake(lake)  # type: ignore[arg-type]
        assert not found.problems, found.problems

    return work


def decode(file: Path, home: Path) -> Callable[[], None]:
    """The limit beside `verify`: DuckDB decodes every column of the same Parquet files."""
    import duckdb

    files = [
        str(path) for path in (home / "lake/restricted/records").rglob("*.parquet") if "_delta_log" not in path.parts
    ]
    columns = [name for (name, *_) in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet({files})").fetchall()]
    query = f"SELECT {', '.join(f'max({name})' for name in columns)} FROM read_parquet({files})"
    connection = duckdb.connect(config={"threads": 2})

    def work() -> None:
        connection.execute(query).fetchall()

    return work


def plain_arro3(file: Path, home: Path) -> Callable[[], None]:
    """A peer: arro3 parses JSONL into typed columns, delta-rs writes them. No raw bytes, hashes or transaction."""
    import arro3.io
    import pyarrow as pa
    from deltalake import WriterProperties, write_deltalake

    head = file.open().readline()
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[type(value)]) for name, value in json.loads(head).items()])

    def work() -> None:
        rows = arro3.io.read_json(str(file), schema, batch_size=8192)
        write_deltalake(
            str(home / "plain"), rows, writer_properties=WriterProperties(compression="ZSTD", compression_level=1)
        )

    return work


def plain_daft(file: Path, home: Path) -> Callable[[], None]:
    """A peer: daft reads lines of text and writes them to Delta. No hashes or transaction."""
    import daft

    def work() -> None:
        daft.read_text(str(file)).write_deltalake(str(home / "daft"))

    return work


def main() -> None:
    if sys.argv[1] == "adapters":
        print(json.dumps(adapters()))
        return
    name, file, home = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    home.mkdir(parents=True, exist_ok=True)
    works = (
        ingest,
        ingest_again,
        run_days,
        ingest_rollouts,
        ingest_metrics,
        ingest_small,
        ingest_joined,
        derive,
        seal,
        verify,
        decode,
        plain_arro3,
        plain_daft,
    )
    work = {function.__name__: function for function in works}[name](file, home)
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}), flush=True)
    os._exit(0)  # some peers abort at exit after their work is done


if __name__ == "__main__":
    main()
