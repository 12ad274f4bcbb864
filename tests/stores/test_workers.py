"""Workers that share nothing but the store."""

import multiprocessing
import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from audit_pipeline.derive import derive_events
from audit_pipeline.lake.places import Bucket
from tests.lakes import TODAY
from tests.stores.lakes import LakeAt, place_of
from tests.stores.servers import Server

WORKERS = 4


def _work(root: str, at: Bucket, days: list[date], start: object) -> None:
    """A process of a worker: takes in, derives and seals every day, as if it were alone."""
    lake = LakeAt(Path(root), at)
    start.wait()  # type: ignore[attr-defined]
    for day in days:
        lake.ingest(day)
        lake.seal(day)
    derive_events(lake.lake, os.urandom, passphrase=None)
    lake.take_inventory()


def let_work(lake: LakeAt, days: int) -> None:
    assert isinstance(lake.at, Bucket)
    dates = [TODAY - timedelta(days=n) for n in reversed(range(days))]
    for day in dates:
        lake.land("a.jsonl", b'{"day":"%s"}\n' % str(day).encode(), day)
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(WORKERS)
    # Each begins elsewhere in the days, so that they meet in all states.
    turned = [dates[n * days // WORKERS :] + dates[: n * days // WORKERS] for n in range(WORKERS)]
    workers = [spawn.Process(target=_work, args=(str(lake.root), lake.at, turn, start)) for turn in turned]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(500)

    assert [worker.exitcode for worker in workers] == [0] * WORKERS
    lake.take_inventory()
    found = lake.verify()
    assert not found.problems
    assert (found.days, found.log_size) == (days, days)
    assert sorted(record for record, _, _ in lake.records()) == [b'{"day":"%s"}' % str(day).encode() for day in dates]
    assert lake.rows("seals")[-1]["index"] == days - 1


@pytest.mark.slow
@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_four_workers_on_one_lake_make_one_log_of_thirty_days(server: Server, tmp_path: Path) -> None:
    let_work(LakeAt(tmp_path, place_of(server)), 30)
