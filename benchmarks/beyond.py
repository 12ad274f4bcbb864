"""What 10**12 records would take, on paper: computed from what the growth curves found, and nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RECORDS = 10**12
_DAYS = 1_000
_SOURCES_A_DAY = 1_000
_TILE_WIDTH = 256  # C2SP tlog-tiles
_COUNTS = {"records": _RECORDS, "days": _DAYS, "sources": _SOURCES_A_DAY}

_ASSUMED = """\
## Beyond, on paper

Computed, not measured: {records:,} records, as {days:,} days of {sources:,} sources of {a_source:,} records each, at
what was measured of {measured:,} records in one file. A rate that falls with size would make it more: see the curves.
"""

_CHANGES = """\
What changes in the design at that size:

- **Batches are written by many machines.** A day of logs is {ingest_hours:.1f} CPU hours of ingest. Each (stream,
  day) has batch numbers and a Delta app transaction of its own, so a machine a stream and day shares with the others
  only the table's next version: a commit, {commits_a_day:,.0f} times a day, tried again where another was first.
- **The Delta log is read from its checkpoints.** {commits:,.0f} commits are not read one by one. Of `records` ingest
  needs the app transaction alone; of `sources` it reads a row a snapshot, {snapshots:,} of them, which must then go
  by day.
- **Sealing reads source entries alone.** {snapshots_a_day:,} a day here. Where ingest vouches for the data files it
  wrote, their rows are not read again, and their bytes are hashed where they are. The one serial step is a row of
  `seals`.
- **Verification goes by ranges of days, side by side.** All of it is {verify_hours:,.0f} CPU hours. `verify --from D
  --to D` on as many machines as there are ranges needs no word between them: each checks its days against the same
  signed log. Commits and inventories, which each of them reads whole today, must then be kept by range of days too.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Of the largest lake that was measured."""

    records: int
    figures: Mapping[str, Mapping[str, Any]]
    """Of ingest, seal and verify, what work.py printed."""
    stored: Mapping[str, int]
    """What stored.py counted."""

    def grown(self, key: str) -> float:
        """A count, of the lake on paper."""
        return self.stored[key] / self.records * _RECORDS

    def cpu_hours(self, work: str) -> float:
        """CPU hours of a work for the lake on paper, at the rate that was measured."""
        return float(self.figures[work]["cpu_seconds"]) / self.records * _RECORDS / 3600


def beyond(found: Found) -> str:
    """The section of docs/growth.md, in Markdown."""
    return "\n".join([*_size_lines(found), *_cost_lines(found), _CHANGES.format(**_numbers(found))])


def _size_lines(found: Found) -> list[str]:
    files, log_bytes = found.grown("data_files"), found.grown("commit_bytes")
    in_snapshot, in_day = found.stored["snapshot_records"], _snapshots_a_day(found)
    heights = [_height(in_snapshot), _height(in_day), _height(_DAYS)]
    kept = (
        ("landed, uncompressed", "landed_bytes"),
        ("data files of `records`", "data_bytes"),
        ("other tables of the lake", "other_bytes"),
        ("evidence", "evidence_bytes"),
    )
    rows = [
        *((name, _size(found.grown(key)), f"{found.stored[key] / found.records:.2f} B a record") for name, key in kept),
        ("data files", f"{files:,.0f}", f"{found.records / found.stored['data_files']:,.0f} records in each"),
        ("commits of `records`", f"{files:,.0f}", f"one a data file; {files / _DAYS:,.0f} a day"),
        ("Delta log of `records`", _size(log_bytes), f"{_size(log_bytes / files)} a commit, without checkpoints"),
        ("log entries", f"{_DAYS:,}", "a seal a day"),
        ("tiles of the log", f"{_tiles(_DAYS):,}", f"{_TILE_WIDTH} hashes wide, those of its last size"),
        (
            "inclusion proof",
            f"{sum(heights)} hashes",
            f"{heights[0]} in the snapshot, {heights[1]} in the day, rest: log",
        ),
    ]
    assumed = _ASSUMED.format(a_source=_RECORDS // _DAYS // _SOURCES_A_DAY, measured=found.records, **_COUNTS)
    return [assumed, "| what | how much | from |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _cost_lines(found: Found) -> list[str]:
    lines = ["| work | CPU hours | CPU hours a day of logs |", "|---|---|---|"]
    for work in ("ingest", "seal", "verify"):
        hours = found.cpu_hours(work)
        lines.append(f"| {work} | {hours:,.0f} | {hours / _DAYS:.2f} |")
    return [*lines, ""]


def _numbers(found: Found) -> dict[str, float]:
    return {
        "ingest_hours": found.cpu_hours("ingest") / _DAYS,
        "verify_hours": found.cpu_hours("verify"),
        "commits": found.grown("data_files"),
        "commits_a_day": found.grown("data_files") / _DAYS,
        "snapshots_a_day": _snapshots_a_day(found),
        "snapshots": _snapshots_a_day(found) * _DAYS,
        **_COUNTS,
    }


def _snapshots_a_day(found: Found) -> int:
    return _SOURCES_A_DAY * math.ceil(_RECORDS / _DAYS / _SOURCES_A_DAY / found.stored["snapshot_records"])


def _height(leaves: int) -> int:
    """Hashes in an inclusion proof, at most."""
    return math.ceil(math.log2(leaves)) if leaves > 1 else 0


def _tiles(entries: int) -> int:
    count, level = 0, entries
    while level:
        count += math.ceil(level / _TILE_WIDTH)
        level //= _TILE_WIDTH
    return count


def _size(count_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count_bytes < 1000:
            return f"{count_bytes:.1f} {unit}"
        count_bytes /= 1000
    return f"{count_bytes:,.1f} PB"
