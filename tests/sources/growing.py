"""What the tests of growing sources share: the same rows in every container, and a run after which all holds."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from audit_pipeline import tlog
from audit_pipeline.lake import evidence
from tests.lakes import LakeForTests
from tests.tfrecords import as_events

Compress = Callable[[bytes], bytes]
COMPRESSIONS: dict[str, Compress] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def as_array(count: int) -> bytes:
    return json.dumps([{"n": n} for n in range(count)], indent=1).encode()


def as_object(count: int) -> bytes:
    return json.dumps({"kind": "state", "log": [{"n": n} for n in range(count)]}).encode()


def as_csv(count: int) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("n", "text"), *((n, f"x{n}") for n in range(count))])
    return text.getvalue().encode()


def as_parquet(count: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": range(count)}), file)
    return file.getvalue()


CONTAINERS = {
    "array.json": as_array,
    "object.json": as_object,
    "rows.csv": as_csv,
    "rows.parquet": as_parquet,
    "events.out.tfevents.1.vm.1.0": as_events,
}


def step(lake: LakeForTests) -> None:
    """A day's run, after which everything holds and nothing is missing."""
    lake.run()
    assert lake.verify().problems == ()
    assert lake.lost() == []


def entries(lake: LakeForTests) -> list[tlog.SourceEntry]:
    return [tlog.parse_source(str(row["entry"]).encode()) for row in lake.rows("sources")]


def growths(lake: LakeForTests) -> list[str]:
    return [entry.growth for entry in entries(lake)]


def values(lake: LakeForTests, generation: int = 0) -> list[bytes]:
    return [bytes(row["record"]) for row in lake.rows("records") if row["generation"] == generation]  # type: ignore[arg-type]


def placed(lake: LakeForTests) -> list[tuple[object, ...]]:
    return [(row["position"], row["record"], row["status"], row["reason"]) for row in lake.rows("records")]


def kept(lake: LakeForTests) -> list[bytes | None]:
    """The source's bytes under `evidence/` that each snapshot names."""
    found: list[bytes | None] = []
    for row in lake.rows("sources"):
        if row["object"] is None:
            found.append(None)
        else:
            with evidence.open_object(lake.lake.evidence, str(row["object"])) as file:
                found.append(file.read())
    return found


def trainer_state(**changes: Any) -> bytes:
    """A `trainer_state.json` as the Trainer saves it."""
    state = {"best_metric": None, "global_step": 0, "is_world_process_zero": True, "log_history": [], "max_steps": 9}
    return json.dumps(state | changes, indent=2, sort_keys=True).encode()


def log(*steps: int) -> list[dict[str, Any]]:
    return [{"epoch": n / 10, "loss": 1 / n, "step": n} for n in steps]


def lines(*numbers: int) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in numbers)


def take_fresh(lake: LakeForTests, name: str, content: bytes) -> list[tuple[bytes, str, str]]:
    """The records of `content` in a lake of its own."""
    with tempfile.TemporaryDirectory(dir=lake.root) as root:
        fresh = LakeForTests(Path(root))
        fresh.land(name, content)
        fresh.ingest()
        return fresh.records()
