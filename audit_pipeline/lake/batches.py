"""A batch: whole snapshots in one data file, whose footer says what the commit will say.

The file is the intent (docs/evidence-format.md section 4): nonces, salts and roots are decided when it is created, and
a worker that finds it commits it as it is.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical

FOOTER_KEY = b"audit.batch"
FOOTER_VERSION = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """What a data file says of itself: one description per snapshot, in the order of the rows."""

    stream: str
    day: str
    number: int
    time: datetime
    snapshots: tuple[dict[str, Any], ...]

    def entry_texts(self) -> list[str]:
        return [snapshot["entry"] for snapshot in self.snapshots]


def batch_file(stream: str, day: str, number: int) -> str:
    return f"{stream}/{day}/{number}.parquet"


def read_batch(open_: OpenTable, name: str) -> Batch:
    """What the data file `name` says of itself.

    Raises:
        StorageError: it is not one of ours, or is damaged.
    """
    path = open_.files.path(name)
    with decoding(path):
        footer = json.loads(pq.read_metadata(open_.files.file(name)).metadata[FOOTER_KEY])
        if footer["version"] != FOOTER_VERSION:
            raise StorageError(
                f"{path}: batch of version {footer['version']}; this program reads version {FOOTER_VERSION}"
            )
        snapshots = tuple(map(dict, footer["snapshots"]))
        time = datetime.fromisoformat(footer["time"])
        return Batch(footer["stream"], footer["day"], footer["batch"], time, snapshots)


def format_footer(batch: Batch) -> dict[str, str]:
    """What `read_batch` reads, as metadata of the file."""
    footer = {
        "version": FOOTER_VERSION,
        "stream": batch.stream,
        "day": batch.day,
        "batch": batch.number,
        "time": batch.time.isoformat(),
    }
    encoded = canonical.dump_canonical({**footer, "snapshots": list(batch.snapshots)})
    return {FOOTER_KEY.decode(): encoded.decode()}
