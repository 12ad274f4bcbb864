"""Any order of landings, changes, runs, faults and restores: the state holds after every step."""

import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit_pipeline.derive import derive_events
from audit_pipeline.errors import ProofError, StorageError
from tests.faults import FAULTS, Fault, WatchedLake, fault_at, unexpected
from tests.lakes import TODAY
from tests.restated import check_state, check_whole
from tests.test_faults import as_csv, as_parquet, rollouts, trainer_state
from tests.tfrecords import as_events

DAYS = (TODAY - timedelta(days=1), TODAY)
CONTENTS: dict[str, Callable[[int], bytes]] = {
    "rollouts/1.jsonl": rollouts,
    "half.jsonl": lambda count: rollouts(count)[:-1],
    "odd.txt": lambda count: b"\xff\n" * count,
    "trainer_state.json": trainer_state,
    "rows.csv": as_csv,
    "rows.parquet": as_parquet,
    "events.out.tfevents.1.vm.1.0": as_events,
}
days, names, counts = st.sampled_from(DAYS), st.sampled_from(sorted(CONTENTS)), st.integers(1, 4)
STEPS = ("ingest", "derive", "seal", "inventory", "run")


class AnyOrder(RuleBasedStateMachine):
    """A lake, what landed, and one backup of what a backup has: lake, evidence and log, without marks and landing."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.lake = WatchedLake(self.folder / "lake", seed=1)
        self.marks_at_backup: int | None = None

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.lake.run()

    # at the source

    @rule(day=days, name=names, count=counts)
    def land(self, day: date, name: str, count: int) -> None:
        """A file is new, grows, is the same again, or has lost its end."""
        self.lake.land(name, CONTENTS[name](count), day)

    @rule(day=days, name=names, count=counts)
    def rewrite(self, day: date, name: str, count: int) -> None:
        self.lake.land(name, CONTENTS[name](count + 1).replace(b"1", b"7"), day)

    @precondition(lambda self: self.landed_files())
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.landed_files())).unlink()

    @precondition(lambda self: self.landed_files())
    @rule(data=st.data(), day=days)
    def rename(self, data: st.DataObject, day: date) -> None:
        """The same bytes under another name are another source, whose time does not change."""
        path = data.draw(st.sampled_from(self.landed_files()))
        time_ns = path.stat().st_mtime_ns
        renamed = self.lake.land(f"renamed/{path.name}", path.read_bytes(), day)
        os.utime(renamed, ns=(0, time_ns))
        if path != renamed:
            path.unlink()

    def landed_files(self) -> list[Path]:
        return sorted(path for path in (self.lake.places.landing).rglob("*") if path.is_file())

    # runs

    def do(self, step: str, day: date) -> None:
        steps: dict[str, Callable[[], object]] = {
            "ingest": lambda: self.lake.ingest(day),
            "derive": lambda: derive_events(self.lake.lake, self.lake.entropy, passphrase=None),
            "seal": lambda: self.lake.seal(day),
            "inventory": self.lake.take_inventory,
            "run": lambda: self.lake.run(day),
        }
        steps[step]()

    @rule(step=st.sampled_from(STEPS), day=days)
    def go(self, step: str, day: date) -> None:
        with fault_at(0):
            self.do(step, day)

    @rule(day=days)
    def run(self, day: date) -> None:
        """Besides what `go` does: a run takes in all of its day."""
        self.go("run", day)
        assert self.lake.lost(day) == []

    @rule(step=st.sampled_from(STEPS), day=days, number=st.integers(1, 25), fault=st.sampled_from(FAULTS))
    def crash(self, step: str, day: date, number: int, fault: Fault) -> None:
        with fault_at(number, fault):
            try:
                self.do(step, day)
            except StorageError as err:
                message = str(err)
            else:
                return
        assert f"write {number} {fault}" in message

    # backups

    @rule()
    def back_up(self) -> None:
        self.save("backup")
        self.marks_at_backup = self.count_marks()

    @precondition(lambda self: self.marks_at_backup is not None)
    @rule(day=days, since=st.sampled_from([(), ("seal",), ("ingest", "seal"), ("run",)]))
    def restore(self, day: date, since: tuple[str, ...]) -> None:
        """What was signed since is missed by everything that would add to it, until the newer state is brought back.

        Where nothing was signed since, the older state is as good a beginning as it was.
        """
        for step in since:
            self.do(step, day)
        self.save("newer")
        self.bring_back("backup")
        if self.count_marks() == self.marks_at_backup:
            return
        before = self.lake.files()
        for step in ("ingest", "seal", "run"):  # a seal without an inventory, too, was signed
            with pytest.raises((StorageError, ProofError)):
                self.do(step, day)
        assert self.lake.verify().problems != ()
        assert self.lake.files() == before, "what was refused wrote something"
        self.bring_back("newer")

    def save(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in self.backed_up():
            shutil.copytree(path, self.folder / name / path.name)

    def bring_back(self, name: str) -> None:
        for path in self.backed_up():
            shutil.rmtree(path)
            shutil.copytree(self.folder / name / path.name, path)

    def backed_up(self) -> list[Path]:
        places = self.lake.places
        return [places.lake, places.evidence, places.log]

    def count_marks(self) -> int:
        return len(list(self.lake.places.marks.iterdir()))

    # what holds

    @invariant()
    def the_state_holds(self) -> None:
        if self.lake.places.lake.exists():
            check_state(self.lake, self.lake.landed)

    @invariant()
    def nothing_is_found(self) -> None:
        if self.lake.places.lake.exists():
            assert unexpected(self.lake) == []

    @rule()
    def finish(self) -> None:
        """A run of each day leaves nothing that waits for another."""
        for day in DAYS:
            self.lake.run(day)
        check_whole(self.lake, self.lake.landed, may_leave_objects=True)
        assert self.lake.verify().problems == ()


def check_machine(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_state_holds_in_any_order_of_steps() -> None:
    check_machine(12, 12)


@pytest.mark.slow
def test_the_state_holds_in_any_order_of_many_steps() -> None:
    check_machine(25, 25)
