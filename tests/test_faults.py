"""Every write fails once, both ways, and the next run ends in the bytes of a run that nothing disturbed."""

import base64
import csv
import gzip
import io
import json
import multiprocessing
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from cryptography.exceptions import InvalidSignature

from audit_pipeline import derive, ingest, inventory
from audit_pipeline.derive import derive_events
from audit_pipeline.errors import AuditError, StorageError
from audit_pipeline.lake import tables
from audit_pipeline.lake.landing import Stream
from tests.faults import FAULTS, Fault, WatchedLake, fault_at
from tests.lakes import RUNS, TODAY, rewrite
from tests.restated import check_state, check_whole

YESTERDAY = TODAY - timedelta(days=1)
ROLLOUT = b'{"input":"q","output":"a","gts":null,"score":%d,"step":1}'
COMPLAINTS = (AssertionError, ValueError, KeyError, OSError, InvalidSignature, zstandard.ZstdError)


def rollouts(count: int) -> bytes:
    return b"".join(ROLLOUT % n + b"\n" for n in range(count))


def trainer_state(steps: int) -> bytes:
    history = [{"step": n, "epoch": n / 10, "loss": 1 / n} for n in range(1, steps + 1)]
    return json.dumps({"global_step": steps, "max_steps": 9, "log_history": history}).encode()


def as_csv(count: int) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("n", "text"), *((n, f"x{n}") for n in range(count))])
    return text.getvalue().encode()


def as_parquet(count: int) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"n": range(count)}), file)
    return file.getvalue()


def empty(lake: WatchedLake) -> None:
    """Nothing was ever run; files of every container have landed."""
    lake.land("rollouts/1.jsonl", rollouts(3) + ROLLOUT % 3, YESTERDAY)
    lake.land("odd.jsonl", b'{"a":1}\nnot json\n\xff\n', YESTERDAY)
    lake.land("trainer_state.json", trainer_state(2), YESTERDAY)
    lake.land("zipped.jsonl.gz", gzip.compress(b'{"a":1}\n{"a":2}\n', mtime=0), YESTERDAY)
    lake.land("rows.csv", as_csv(3), YESTERDAY)
    lake.land("rows.parquet", as_parquet(3), YESTERDAY)
    lake.land("notes.bin", b"weights", YESTERDAY)
    lake.land("whole.dat", bytes(range(256)), YESTERDAY)


def second_day(lake: WatchedLake) -> None:
    """A day is sealed, and files of the next have landed."""
    empty(lake)
    lake.run(YESTERDAY)
    lake.land("rollouts/2.jsonl", rollouts(2))
    lake.land("items.json", b'[{"a":1},{"a":2}]')


def changed(lake: WatchedLake) -> None:
    """Both days are sealed; then files of the first grow, change, come late or go."""
    second_day(lake)
    lake.run()
    lake.land("rollouts/1.jsonl", rollouts(6), YESTERDAY)
    lake.land("odd.jsonl", b'{"b":1}\n', YESTERDAY)
    lake.land("trainer_state.json", trainer_state(4), YESTERDAY)
    lake.land("rows.csv", as_csv(5), YESTERDAY)
    lake.land("late/rollouts/3.jsonl", rollouts(1), YESTERDAY)
    (lake.places.landing / "runs" / str(YESTERDAY) / "whole.dat").unlink()


def two_streams(lake: WatchedLake) -> None:
    """Two streams, one of them without dates."""
    lake.streams = [RUNS, Stream("undated", "undated/*.jsonl")]
    (lake.places.landing / "undated").mkdir(parents=True)
    lake.land("a.jsonl", b'{"a":1}\n')


SCENARIOS = {"empty": (empty, YESTERDAY), "second-day": (second_day, TODAY), "changed": (changed, YESTERDAY)}


class Case:
    """A lake before a run, what the run writes, and the bytes that it ends in."""

    def __init__(self, folder: Path, scenario: str) -> None:
        prepare, self.day = SCENARIOS[scenario]
        self.folder = folder
        self.before = WatchedLake(folder / "before")
        # The same bytes whenever they are drawn, and the key's signatures are the same each time: runs can be compared.
        self.before.entropy = bytes
        prepare(self.before)
        undisturbed = self.copy()
        with fault_at(0) as written:
            undisturbed.run(self.day)
        self.writes = len(written)
        self.ends_in = undisturbed.files()
        check_whole(undisturbed, undisturbed.landed)
        assert undisturbed.verify().problems == ()
        self._made_good = set[str]()
        """Digests of the states from which a run was seen to end as it should: it reads nothing else."""

    def copy(self) -> WatchedLake:
        return self.before.copy(self.folder / str(len(list(self.folder.iterdir()))))

    def fail(self, lake: WatchedLake, number: int, fault: Fault) -> bool:
        """Run with a fault at write `number`. False where the run has fewer writes."""
        with fault_at(number, fault) as written:
            try:
                lake.run(self.day)
            except StorageError as err:
                assert f"write {number} {fault}" in str(err)
                assert len(written) == number, "a run that failed writes nothing more"
            else:
                assert len(written) < number, f"the fault at write {number} ({written[number - 1]}) was passed over"
                return False
        return True

    def check_made_good(self, lake: WatchedLake) -> None:
        """The state holds, and a run from here ends in the bytes of the undisturbed run."""
        if (digest := lake.digest()) in self._made_good:
            return
        check_state(lake, lake.landed)
        assert lake.verify_if_there() == ()

        lake.run(self.day)

        check_whole(lake, lake.landed)
        found = lake.files()
        assert found.keys() == self.ends_in.keys()
        assert [name for name, content in found.items() if content != self.ends_in[name]] == []
        self._made_good.add(digest)
