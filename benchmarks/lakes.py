"""Works on a lake: what `audit-pipeline run` and `verify` do, step by step.

A work takes the file or folder it is given and the home of its lake, gets ready (imports, the lake opened, files
landed), and gives back what the clock is held to.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inputs import DAY

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake

_FOLDERS = ("landing", "lake", "evidence", "log", "keys", "marks", "reports", "dagster")
_DATA_FILES = "data-files.json"

Work = Callable[[], Any]
"""What is timed. Where it gives back a dict, these are figures besides its time, by name."""


def open_home(home: Path) -> "Lake":
    """The lake of a home, made with its keys if it is not there; and whatever works import late, imported."""
    import datafusion  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.acero
    import pyarrow.dataset  # noqa: F401

    from audit_pipeline.lake.keys import make_keys
    from audit_pipeline.lake.opened import open_lake
    from audit_pipeline.lake.places import Places

    places = Places(**{name: home / name for name in _FOLDERS})
    if not places.keys.exists():
        make_keys(places.keys, "localhost/bench", os.urandom, None)
    return open_lake(places)


def ingest(file: Path, home: Path) -> Work:
    """Records, salts, leaves, source trees, commits. Where it was done before: listing and state alone."""
    from audit_pipeline.ingest import ingest_day
    from audit_pipeline.sources.landing import Stream

    streams = [Stream("runs", "runs/{date}/**")]

    def take_in(landed: Path, lake_home: Path) -> Work:
        lake = open_home(lake_home)
        _land(landed, lake_home / "landing" / "runs" / DAY.isoformat())

        def work() -> None:
            counts = ingest_day(lake, streams, DAY, today=DAY, now=_now, entropy=os.urandom)
            # The daily job hands this on to the seal, as metadata of its asset.
            (lake_home / _DATA_FILES).write_text(json.dumps(counts["runs"].data_files))

        return work

    take_in(first_line(file, home), home / "first")()
    return take_in(file, home)


def derive(file: Path, home: Path) -> Work:
    """The event tables of what was taken in."""
    from audit_pipeline.derive import derive_events

    lake = open_home(home)

    def work() -> None:
        derive_events(lake, os.urandom, passphrase=None)

    return work


def seal(file: Path, home: Path) -> Work:
    """The day's tree, its entry, the signed head."""
    seal_one = _sealing(open_home(home), home)
    return lambda: seal_one(DAY)


def inventory(file: Path, home: Path) -> Work:
    """The signed list of what was stored."""
    from audit_pipeline.inventory import take_inventory

    lake = open_home(home)

    def work() -> None:
        take_inventory(lake, passphrase=None)

    return work


def verify(file: Path, home: Path) -> Work:
    """Every stored byte and every row hashed again, every tree rebuilt."""
    from audit_pipeline.verify import verify as verify_lake

    lake = open_home(home)

    def work() -> None:
        found = verify_lake(lake)
        assert not found.problems, found.problems[:3]

    return work


def run_days(file: Path, home: Path) -> Work:
    """The daily job for the days that a run without a date takes: those with something new, and the newest."""
    from audit_pipeline.derive import derive_events
    from audit_pipeline.ingest import days_to_run, ingest_day
    from audit_pipeline.inventory import take_inventory
    from audit_pipeline.sources.landing import Stream

    lake, streams = open_home(home), [Stream("runs", "runs/{date}/**")]
    seal_one = _sealing(lake, home)

    def work() -> None:
        for day in days_to_run(lake, streams, date.min, today=DAY):
            ingest_day(lake, streams, day, today=DAY, now=_now, entropy=os.urandom)
            derive_events(lake, os.urandom, passphrase=None)
            checked = seal_one(day)
            take_inventory(lake, passphrase=None, checked=checked)

    return work


def first_line(file: Path, home: Path) -> Path:
    """A file of the first line of a file, or of the first file of a folder: with it engines start."""
    whole = min(file.iterdir()) if file.is_dir() else file
    short = home / "first-line" / whole.name
    short.parent.mkdir(exist_ok=True)
    with whole.open() as lines:
        short.write_text(lines.readline())
    return short


def _sealing(lake: "Lake", home: Path) -> Callable[[date], int]:
    """Seals a day of a lake as the daily job does; gives back up to which commit it compared rows with entries."""
    from audit_pipeline.sealing import seal_day

    handed_on = home / _DATA_FILES
    written = json.loads(handed_on.read_text()) if handed_on.exists() else {}
    seal_it = partial(seal_day, lake, policy_digest="0" * 64, passphrase=None, now=_now, entropy=os.urandom)
    return lambda day: seal_it(day, today=DAY, written=written).checked


def _land(file: Path, landed: Path) -> None:
    landed.mkdir(parents=True, exist_ok=True)
    for each in sorted(file.iterdir()) if file.is_dir() else [file]:
        if not (landed / each.name).exists():
            os.link(each, landed / each.name)


def _now() -> datetime:
    return datetime.now(UTC)
