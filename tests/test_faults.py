"""Every write fails once, both ways, and the next run ends in the bytes of a run that nothing disturbed."""

import csv
import gzip
import io
import json
import multiprocessing
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from cryptography.exceptions import InvalidSignature

from audit_pipeline import ingest
from audit_pipeline.derive import derive_events
from audit_pipeline.errors import AuditError, StorageError
from audit_pipeline.lake import tables
from audit_pipeline.lake.logs_on_disk import LAST_CHECKPOINT
from audit_pipeline.lake.objects import Folder
from tests.faults import FAULTS, Fault, WatchedLake, fault_at, unexpected
from tests.lakes import TODAY, rewrite
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

        with fault_at(0):
            lake.run(self.day)

        check_whole(lake, lake.landed)
        found = lake.files()
        names = sorted(found.keys() | self.ends_in.keys())
        different = [name for name in names if found.get(name) != self.ends_in.get(name)]
        assert [name for name in different if not self._may_differ(name)] == []
        self._made_good.add(digest)


def check_each_write(case: Case, faults_of: Callable[[int], Sequence[Fault]]) -> None:
    for number in range(1, case.writes + 1):
        for fault in faults_of(number):
            lake = case.copy()
            assert case.fail(lake, number, fault)
            case.check_made_good(lake)
            shutil.rmtree(lake.root)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_that_fails_at_any_write_is_finished_by_the_next_one(tmp_path: Path, scenario: str) -> None:
    """Byte for byte: what was drawn once stands, and nothing depends on who wrote it. At each write one way to fail."""
    check_each_write(Case(tmp_path, scenario), lambda number: FAULTS[number % 2 : number % 2 + 1])


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_run_that_fails_at_any_write_either_way_is_finished_by_the_next_one(tmp_path: Path, scenario: str) -> None:
    check_each_write(Case(tmp_path, scenario), lambda _: FAULTS)


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
    """Some of all pairs; the slow test takes half of them."""
    case = Case(tmp_path, scenario)

    for first in range(2, case.writes + 1, 9):
        check_two_faults(case, first, "landed", 7)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_faults_in_a_row_change_nothing(tmp_path: Path, scenario: str) -> None:
    """Every other pair: all of them take more than ten minutes. A second write that is lost leaves no other states."""
    case = Case(tmp_path, scenario)

    for first in range(1, case.writes + 1):
        check_two_faults(case, first, "landed", 2)


def test_a_run_of_several_batches_that_fails_at_any_write_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, but for how many commits of `records` one commit of `sources` covers, and what lists and names that.

    A run after a failed one completes `sources` before it takes in more; one that goes through does so at its end.
    """
    monkeypatch.setattr(ingest, "_BATCH_SOURCES", 3)
    case = Case(tmp_path, "empty", lambda name: name.startswith(DEPENDS_ON_GROUPING))

    for number in range(1, case.writes + 1):
        lake = case.copy()
        assert case.fail(lake, number, "landed" if number % 2 else "lost")
        case.check_made_good(lake)
        shutil.rmtree(lake.root)


def test_verify_finds_nothing_after_a_fault_that_the_next_run_does_not_cure(tmp_path: Path) -> None:
    """A run that ended early is no tampering, and where it looks like it, verify says what to do."""
    case, found = Case(tmp_path, "changed"), {}

    for number in range(1, case.writes + 1):
        lake = case.copy()
        case.fail(lake, number, "lost")
        if problems := unexpected(lake):
            found[number] = problems

    assert found == {}


@pytest.fixture(scope="module")
def before_a_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> WatchedLake:
    """The next commit of `records` is number 10, which leads to a Delta checkpoint."""
    lake = WatchedLake(tmp_path_factory.mktemp("made") / "lake")
    for number in range(9):
        lake.land(f"{number}.jsonl", b'{"n":%d}\n' % number)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ingest, "_BATCH_SOURCES", 1)
        lake.run()
    lake.land("last.jsonl", b'{"n":9}\n')
    return lake


@pytest.mark.parametrize("left", [(), ("checkpoint",), ("checkpoint", "pointer")], ids=["none", "half", "all"])
def test_a_fault_at_a_delta_checkpoint_costs_the_checkpoint_at_most(
    before_a_checkpoint: WatchedLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...]
) -> None:
    """delta-rs writes it in two steps. Engines do without one, so the next run does not make it good."""
    lake = before_a_checkpoint.copy(tmp_path / "lake")
    make = tables.OpenTable._checkpoint

    def fail(self: tables.OpenTable) -> None:
        if left:
            make(self)
        if left == ("checkpoint",):
            self.files.path(LAST_CHECKPOINT).unlink()
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


def test_a_batch_that_another_worker_commits_meanwhile_is_not_taken_for_a_planted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers find a data file that a third left. One commits it while the other looks whether it is ours."""
    lake = WatchedLake(tmp_path / "lake")
    lake.land("a.jsonl", b'{"a":1}\n')
    with fault_at(0) as written:
        lake.copy(tmp_path / "undisturbed").ingest()
    commit_of_batch = written.index("1.parquet") + 2
    with fault_at(commit_of_batch), pytest.raises(StorageError, match=f"{1:020}.json"):
        lake.ingest()

    find = Folder.file

    def find_after_the_other(self: Folder, name: str) -> Path:
        if name == f"runs/{TODAY}/1.parquet":
            monkeypatch.undo()
            lake.ingest()
        return find(self, name)

    monkeypatch.setattr(Folder, "file", find_after_the_other)
    lake.run()

    check_whole(lake, lake.landed)


@pytest.mark.parametrize("signed_by", ["seal", "run"])
def test_a_lake_from_before_the_newest_mark_takes_nothing_in(tmp_path: Path, signed_by: str) -> None:
    """Also where no inventory was made since: new batches beside the signed ones could never be brought together."""
    lake = WatchedLake(tmp_path / "lake")
    lake.run()
    older = lake.copy(tmp_path / "older")
    lake.land("a.jsonl", b'{"a":1}\n')
    lake.ingest()
    {"seal": lake.seal, "run": lake.run}[signed_by]()
    shutil.rmtree(older.places.marks)
    shutil.copytree(lake.places.marks, older.places.marks)
    before = older.files()

    for step in (older.ingest, older.seal):
        with pytest.raises(StorageError, match="An older backup"):
            step()

    assert older.files() == before


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
    check_two_workers(tmp_path, 40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> WatchedLake:
    """A lake with every kind of file, in the state that a run leaves."""
    lake = WatchedLake(tmp_path_factory.mktemp("made") / "lake")
    changed(lake)
    lake.run(YESTERDAY)
    check_whole(lake, lake.landed)
    return lake


def complains(lake: WatchedLake) -> bool:
    try:
        check_state(lake, lake.landed)
    except COMPLAINTS:
        return True
    return False


def test_a_changed_byte_of_any_kind_of_file_is_found_by_the_check_itself(whole: WatchedLake) -> None:
    """One file of each kind is changed, cut, and taken away."""
    kinds = {re.sub(r"[0-9a-f]{64}|[0-9]+", "#", name): name for name in whole.files()}
    silent = []

    for name in kinds.values():
        path = whole.root / name
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 1
        for changed_content in (bytes(flipped), content[:-1], None):
            path.unlink()
            if changed_content is not None:
                path.write_bytes(changed_content)
            if not complains(whole):
                silent.append((name, changed_content is None))
            path.write_bytes(content)

    newest_mark = max(int(path.name) for path in whole.places.marks.iterdir())
    # As in a run that ended before it: nothing but the log's own readers could miss these.
    may_be_missing = {(name, True) for name in ("log/checkpoint", "log/vkey", f"keys/marks/{newest_mark}")}
    assert [found for found in silent if found not in may_be_missing] == []
    assert len(kinds) > 20


def test_a_file_that_nothing_names_is_found(whole: WatchedLake) -> None:
    source = next(path for path in (whole.places.evidence / "runs").iterdir())
    names = ["x", "restricted/runs/9.parquet", "restricted/records/runs/9.parquet", "audit/seals/9.parquet"]
    paths = [whole.places.lake / name for name in names]
    paths += [source / "7-0.zst", whole.places.evidence / "_seals" / str(TODAY) / "9", whole.places.log / "tile/0/001"]

    for path in paths:
        path.write_bytes(b"")
        assert complains(whole), path
        path.unlink()
    assert not complains(whole)


def forge(table: Path, change: Callable[[pa.Table], pa.Table], file: str = "*.parquet") -> None:
    """Change rows as someone would who writes the commit to match."""
    path = next(path for path in sorted(table.rglob(file)) if "_delta_log" not in path.parts)
    rewrite(path, change)
    for commit in sorted((table / "_delta_log").glob("*.json"))[1:]:
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for add in (action["add"] for action in actions if "add" in action):
            rows = pq.read_metadata(table / add["path"]).num_rows
            add |= {"size": (table / add["path"]).stat().st_size, "stats": json.dumps({"numRecords": rows})}
        commit.write_text("".join(json.dumps(action) + "\n" for action in actions))


def with_value(column: str, value: object) -> Callable[[pa.Table], pa.Table]:
    """The first row has another value."""

    def change(rows: pa.Table) -> pa.Table:
        found = rows.to_pylist()
        found[0][column] = value
        return pa.Table.from_pylist(found, schema=rows.schema)

    return change


FORGERIES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "record changed": ("restricted/records", with_value("record", b'{"a":0}')),
    "salt changed": ("restricted/records", with_value("salt", b"s" * 16)),
    "status changed": ("restricted/records", with_value("status", "quarantined")),
    "position changed": ("restricted/records", with_value("position", 1)),
    "day changed": ("restricted/records", with_value("day", TODAY)),
    "row gone": ("restricted/records", lambda rows: rows.slice(1)),
    "row twice": ("restricted/records", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])),
    "source row changed": ("restricted/sources", with_value("size_bytes", 1)),
    "source row gone": ("restricted/sources", lambda rows: rows.slice(1)),
    "event gone": ("restricted/generations", lambda rows: rows.slice(1)),
    "event twice": ("restricted/generations", lambda rows: pa.concat_tables([rows, rows.slice(0, 1)])),
    "event of no record": ("restricted/training_metrics", with_value("position", 99)),
    "seal changed": ("audit/seals", with_value("records", 99)),
    "seal of other rows": ("audit/seals", with_value("entry", "audit-seal/v1\nkind seal\n")),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_rows_that_do_not_follow_are_found_without_any_inventory(tmp_path: Path, name: str) -> None:
    lake = WatchedLake(tmp_path / "lake")
    empty(lake)
    lake.ingest(YESTERDAY)
    derive_events(lake.lake, lake.entropy, passphrase=None)
    lake.seal(YESTERDAY)
    check_state(lake, lake.landed)
    table, change = FORGERIES[name]

    forge(lake.places.lake / table, lambda rows: rows)
    assert not complains(lake)
    forge(lake.places.lake / table, change)

    assert complains(lake)
