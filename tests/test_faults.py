"""Every write fails once, both ways, and the next run ends in the bytes of a run that nothing disturbed."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from cryptography.exceptions import InvalidSignature

from audit_pipeline import ingest
from audit_pipeline.errors import StorageError
from tests.faults import FAULTS, Fault, WatchedLake, fault_at
from tests.lakes import TODAY
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


SCENARIOS = {"empty": (empty, YESTERDAY), "second-day": (second_day, TODAY), "changed": (changed, YESTERDAY)}


DEPENDS_ON_GROUPING = ("lake/restricted/sources/_delta_log/", "evidence/_inventory/", "keys/marks/")


class Case:
    """A lake before a run, what the run writes, and the bytes that it ends in."""

    def __init__(self, folder: Path, scenario: str, may_differ: Callable[[str], bool] = lambda name: False) -> None:
        prepare, self.day = SCENARIOS[scenario]
        self.folder, self._may_differ = folder, may_differ
        self._copies = 0
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
        return self.before.copy(self.next_folder())

    def next_folder(self) -> Path:
        self._copies += 1
        return self.folder / str(self._copies)

    def fail(self, lake: WatchedLake, number: int, fault: Fault) -> bool:
        """Run with a fault at write `number`. False where the run has fewer writes."""
        with fault_at(number, fault) as written:
            try:
                lake.run(self.day)
            except StorageError as err:
                message = str(err)
            else:
                assert len(written) < number, f"the fault at write {number} ({written[number - 1]}) was passed over"
                return False
        assert f"write {number} {fault}" in message
        assert len(written) == number, "a run that failed writes nothing more"
        return True

    def check_made_good(self, lake: WatchedLake) -> None:
        """The state holds, and a run from here ends in the bytes of the undisturbed run."""
        if (digest := lake.digest()) in self._made_good:
            return
        check_state(lake, lake.landed)

        lake.run(self.day)

        check_whole(lake, lake.landed)
        found = lake.files()
        names = sorted(found.keys() | self.ends_in.keys())
        different = [name for name in names if found.get(name) != self.ends_in.get(name)]
        assert [name for name in different if not self._may_differ(name)] == []
        self._made_good.add(digest)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_that_fails_at_any_write_is_finished_by_the_next_one(tmp_path: Path, scenario: str) -> None:
    """Byte for byte: what was drawn once stands, and nothing depends on who wrote it."""
    case = Case(tmp_path, scenario)

    for number in range(1, case.writes + 1):
        for fault in FAULTS:
            lake = case.copy()
            assert case.fail(lake, number, fault)
            case.check_made_good(lake)
            shutil.rmtree(lake.root)


def check_two_faults(case: Case, first: int, then: Fault, step: int) -> None:
    """Write `first` is lost; in the run after it each `step`th write fails as `then` says."""
    failed = case.copy()
    assert case.fail(failed, first, "lost")
    second = 1 + first % step
    while True:
        lake = failed.copy(case.next_folder())
        if not case.fail(lake, second, then):
            break
        case.check_made_good(lake)
        shutil.rmtree(lake.root)
        second += step
    for copied in (lake, failed):
        shutil.rmtree(copied.root)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_second_fault_in_the_run_after_the_first_changes_nothing(tmp_path: Path, scenario: str) -> None:
    """Some of all pairs; the slow test takes them all."""
    case = Case(tmp_path, scenario)

    for first in range(2, case.writes + 1, 9):
        check_two_faults(case, first, "landed", 7)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_any_two_faults_change_nothing(tmp_path: Path, scenario: str) -> None:
    case = Case(tmp_path, scenario)

    for first in range(1, case.writes + 1):
        for then in FAULTS:
            check_two_faults(case, first, then, 1)


def test_a_run_of_several_batches_that_fails_at_any_write_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, but for how many commits of `records` one commit of `sources` covers, and what lists and names that.

    A run that goes on after a failed one completes `sources` before it takes in more; one that goes through, at its end.
    """
    monkeypatch.setattr(ingest, "_BATCH_SOURCES", 3)
    case = Case(tmp_path, "empty", lambda name: name.startswith(DEPENDS_ON_GROUPING))

    for number in range(1, case.writes + 1):
        lake = case.copy()
        assert case.fail(lake, number, "landed" if number % 2 else "lost")
        case.check_made_good(lake)
        shutil.rmtree(lake.root)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_verify_finds_nothing_after_a_fault_that_the_next_run_does_not_cure(tmp_path: Path, scenario: str) -> None:
    """A run that ended early is no tampering, and where it looks like it, verify says what to do."""
    case, found = Case(tmp_path, scenario), {}

    for number in range(1, case.writes + 1):
        lake = case.copy()
        case.fail(lake, number, "lost")
        if problems := unexpected(lake):
            found[number] = problems

    assert found == {}


def many_batches(lake: WatchedLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit of `records` is number 100, which leads to a Delta checkpoint."""
    monkeypatch.setattr(ingest, "_BATCH_SOURCES", 1)
    for number in range(99):
        lake.land(f"{number}.jsonl", b'{"n":%d}\n' % number)
    lake.run()
    lake.land("last.jsonl", b'{"n":99}\n')


@pytest.mark.parametrize("left", [(), ("checkpoint",), ("checkpoint", "pointer")], ids=["none", "half", "all"])
def test_a_fault_at_a_delta_checkpoint_costs_the_checkpoint_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...]
) -> None:
    """delta-rs writes it in two steps. Engines do without one, so the next run does not make it good."""
    lake = WatchedLake(tmp_path / "lake")
    many_batches(lake, monkeypatch)
    make = tables.OpenTable._checkpoint

    def fail(self: tables.OpenTable) -> None:
        if left:
            make(self)
        if left == ("checkpoint",):
            self.files.path(tables.LAST_CHECKPOINT).unlink()
        raise StorageError("the fault")

    with monkeypatch.context() as patched:
        patched.setattr(tables.OpenTable, "_checkpoint", fail)
        with pytest.raises(StorageError, match="the fault"):
            lake.run()
    check_state(lake, lake.landed)

    lake.run()

    check_whole(lake, lake.landed)
    assert lake.verify().problems == ()
    log = lake.places.lake / "restricted/records/_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == bool(left)


def _run_in_a_process(lake_of_turn: Any, start: Any, done: Any) -> None:
    """Run the days of one lake after the other, each time when the other worker is ready too."""
    while (root := lake_of_turn.get()) is not None:
        lake = WatchedLake(Path(root))
        start.wait(60)
        try:
            lake.run(YESTERDAY)
            lake.run()
        except AuditError as err:
            done.put(str(err))
        else:
            done.put("")


def check_two_workers(folder: Path, rounds: int) -> None:
    processes = multiprocessing.get_context("spawn")
    turns, start, done = [processes.Queue() for _ in range(2)], processes.Barrier(2), processes.Queue()
    workers = [processes.Process(target=_run_in_a_process, args=(turn, start, done)) for turn in turns]
    for worker in workers:
        worker.start()
    try:
        for number in range(rounds):
            lake = WatchedLake(folder / str(number))
            empty(lake)
            lake.land("rollouts/2.jsonl", rollouts(400))
            for turn in turns:
                turn.put(str(lake.root))

            assert [done.get(timeout=120) for _ in workers] == ["", ""]

            check_whole(lake, lake.landed)
            assert lake.verify().problems == ()
            assert len(lake.rows("records")) == sum(_RECORDS_OF_EMPTY) + 400
            assert len(lake.rows("seals")) == 2
    finally:
        for worker, turn in zip(workers, turns, strict=True):
            turn.put(None)
            worker.join(60)
            worker.kill()


_RECORDS_OF_EMPTY = (4, 3, 3, 2, 3, 3, 1, 1)


def test_two_workers_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    check_two_workers(tmp_path, 5)


@pytest.mark.slow
def test_two_workers_at_once_lose_and_double_nothing_many_times(tmp_path: Path) -> None:
    check_two_workers(tmp_path, 100)
