"""A lake for tests: real folders, a real key, a fixed clock, seeded randomness where a test asks for it."""

import os
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from audit_pipeline import tlog
from audit_pipeline.attest import NOBODY
from audit_pipeline.derive import derive_events
from audit_pipeline.ingest import StreamCounts, check_nothing_lost, ingest_day
from audit_pipeline.inventory import InventoryReport, take_inventory
from audit_pipeline.lake.declared import EVENTS, QUALITY_FINDINGS, RECORDS, SEALS, SOURCES
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.lake.places import Places
from audit_pipeline.rotation import freeze_log, rotate_key
from audit_pipeline.sealing import SealReport, seal_day
from audit_pipeline.sources.landing import Stream
from audit_pipeline.verify import Verification, verify

TODAY = date(2026, 3, 5)
POLICY_DIGEST = "ab" * 32
RUNS = Stream("runs", "runs/{date}/**")
TABLES = {table.name: table for table in (RECORDS, SOURCES, SEALS, QUALITY_FINDINGS, *EVENTS.values())}


class LakeForTests:
    """One lake below `root`, and short names for what is done to it."""

    def __init__(self, root: Path, *, seed: int | None = None, streams: Sequence[Stream] = (RUNS,)) -> None:
        self.root = root
        self.places = Places(
            landing=root / "landing",
            lake=root / "lake",
            evidence=root / "evidence",
            log=root / "log",
            keys=root / "keys",
            marks=root / "keys" / "marks",
            reports=root / "reports",
            dagster=root / "dagster",
        )
        self.streams = list(streams)
        self.now = datetime(2026, 3, 5, 12, tzinfo=UTC)
        self.entropy: Callable[[int], bytes] = os.urandom if seed is None else random.Random(seed).randbytes
        self.attesters = NOBODY
        self.places.landing.mkdir(parents=True, exist_ok=True)
        if not self.places.keys.exists():
            make_keys(self.places.keys, "example.com/audit", self.entropy, None)

    @property
    def lake(self) -> Lake:
        return open_lake(self.places)

    def land(self, name: str, content: bytes, day: date = TODAY) -> Path:
        """Put a file into the landing zone of the stream `runs`."""
        path = self.places.landing / "runs" / day.isoformat() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def ingest(self, day: date = TODAY, *, rehash: bool = False) -> dict[str, StreamCounts]:
        return ingest_day(
            self.lake,
            self.streams,
            day,
            today=TODAY,
            now=lambda: self.now,
            entropy=self.entropy,
            rehash=rehash,
        )

    def seal(self, day: date = TODAY, written: Mapping[str, str] | None = None) -> SealReport:
        return seal_day(
            self.lake,
            day,
            policy_digest=POLICY_DIGEST,
            passphrase=None,
            today=TODAY,
            now=lambda: self.now,
            entropy=self.entropy,
            written=written or {},
            attesters=self.attesters,
        )

    def run(self, day: date = TODAY) -> SealReport:
        """The daily job of one day."""
        self.ingest(day)
        derive_events(self.lake, self.entropy, passphrase=None)
        report = self.seal(day)
        self.take_inventory()
        return report

    def rotate(self) -> tlog.SealEntry:
        """Hand the log over to a new key file, as `key rotate` does."""
        return self._turn(rotate_key)

    def freeze(self) -> tlog.SealEntry:
        """End the log, as `freeze` does."""
        return self._turn(freeze_log)

    def _turn(self, turn: Callable[..., tlog.SealEntry]) -> tlog.SealEntry:
        entry = turn(
            self.lake,
            policy_digest=POLICY_DIGEST,
            passphrase=None,
            now=lambda: self.now,
            entropy=self.entropy,
            attesters=self.attesters,
        )
        self.take_inventory()
        return entry

    def take_inventory(self) -> InventoryReport | None:
        return take_inventory(self.lake, passphrase=None)

    def verify(self, **arguments: object) -> Verification:
        return verify(self.lake, **arguments)  # type: ignore[arg-type]

    def lost(self, day: date = TODAY) -> list[str]:
        return check_nothing_lost(self.lake, self.streams, day, today=TODAY)

    def rows(self, table: str) -> list[dict[str, object]]:
        """All rows of a table, in a stable order."""
        opened = self.lake.open(TABLES[table])
        rows = opened.read(opened.table.schema.names)
        keys = [
            name for name in ("index", "source_id", "generation", "snapshot", "position") if name in rows.schema.names
        ]
        return rows.sort_by([(key, "ascending") for key in keys]).to_pylist() if rows.num_rows else []

    def records(self) -> list[tuple[bytes, str, str]]:
        """(record, status, reason) of every row, by source, generation, snapshot and position."""
        return [(bytes(row["record"]), str(row["status"]), str(row["reason"])) for row in self.rows("records")]  # type: ignore[arg-type]

    def files(self) -> dict[str, bytes]:
        """Every file of lake, evidence, log and marks, by path below the root."""
        kept = [self.places.lake, self.places.evidence, self.places.log, self.places.marks]
        paths = [path for folder in kept for path in sorted(folder.rglob("*")) if path.is_file()]
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}

    def data_file(self, table: str = "records") -> Path:
        """The only data file of a table."""
        (path,) = [
            p for p in (self.places.lake / TABLES[table].area / table).rglob("*.parquet") if "_delta_log" not in p.parts
        ]
        return path


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite a Parquet file as someone with write access would, keeping its footer metadata."""
    import pyarrow.parquet as pq

    before = pq.read_table(path)
    footer = pq.read_metadata(path).metadata
    after = change(before)
    pq.write_table(after.replace_schema_metadata(footer), path, compression="zstd")
