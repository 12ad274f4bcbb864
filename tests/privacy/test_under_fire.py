"""The ledger when processes compete and die: drawn <= reserved <= budget, whatever happens."""

import contextlib
import multiprocessing
import time
from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.errors import BudgetError, InputError, StorageError
from audit_pipeline.lake.declared import RELEASES
from audit_pipeline.privacy.ledger import loss
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Question, Release
from audit_pipeline.privacy.statistics import Count
from audit_pipeline.privacy.unit import ProtectedUnit, Window
from audit_pipeline.releasing import check_ledger, release_window
from tests.faults import FAULTS, Fault, fault_at
from tests.privacy.annotated import MONDAY, AnnotatedLake

BUDGET = Budget(Fraction("0.5"), 1e-6, Fraction("1e-7"))
PROCESSES, REQUESTS, AFFORDABLE = 4, 40, 20
WEEK = Window("weekly", MONDAY)


class Logged:
    """Noise of which each draw is written down, where the process's death cannot take it back."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        with self.log.open("a") as file:
            file.write("drawn\n")
        return exact

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        raise NotImplementedError


def count(name: str, rho: Fraction = BUDGET.rho / AFFORDABLE) -> Release:
    return Release(name, "weekly", ProtectedUnit(20, 52), (Question("judgements", Count(), rho),))


def ask(lake: AnnotatedLake, name: str, noise: Any = None) -> Any:
    return release_window(
        lake.lake,
        count(name),
        WEEK,
        BUDGET,
        today=MONDAY + timedelta(days=7),
        now=lake.now,
        entropy=lake.entropy,
        noise=noise or Logged(lake.files.root / "draws"),
    )


def check_sound(lake: AnnotatedLake) -> tuple[int, int, int]:
    """(draws, reservations, published), checked: no draw without its reservation, none beyond the budget."""
    log = lake.files.root / "draws"
    draws = len(log.read_text().splitlines()) if log.exists() else 0
    rows = check_ledger(lake.lake)
    releases = lake.lake.open(RELEASES).read(["release_key", "reservation"]).to_pylist()
    assert draws <= len(rows)
    assert loss(rows, "2026").rho <= BUDGET.rho
    assert len({row["release_key"] for row in releases}) == len(releases)
    assert {row["reservation"] for row in releases} <= {row.number for row in rows}
    return draws, len(rows), len(releases)


def ask_many(root: Path, process: int) -> int:
    """How many of this process's own requests were granted."""
    lake, granted = AnnotatedLake(root), 0
    for n in range(REQUESTS):
        with contextlib.suppress(BudgetError):
            granted += bool(ask(lake, f"r{process}_{n}").is_new)
    return granted


def ask_the_same(root: Path, process: int) -> Any:
    lake = AnnotatedLake(root)
    for _ in range(200):
        try:
            return ask(lake, "same").row["release_key"]
        except BudgetError:
            time.sleep(0.05)
    raise AssertionError("never published")


def in_processes(work: Any, root: Path) -> list[Any]:
    # Not forked: DuckDB's and OpenDP's threads would be missing in the child.
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return pool.starmap(work, [(root, n) for n in range(PROCESSES)])


def test_four_processes_with_forty_requests_each_get_what_the_budget_affords(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)

    granted = in_processes(ask_many, tmp_path)

    assert sum(granted) == AFFORDABLE
    assert check_sound(lake) == (AFFORDABLE, AFFORDABLE, AFFORDABLE)


def test_one_release_asked_for_by_four_processes_is_drawn_once(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)

    keys = in_processes(ask_the_same, tmp_path)

    assert len({*keys}) == 1
    assert check_sound(lake) == (1, 1, 1)


def writes_of_a_release(root: Path) -> int:
    lake = AnnotatedLake(root / "counted")
    with fault_at(0) as written:
        ask(lake, "one")
    return len(written)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_release_that_dies_at_any_write_is_done_by_the_next_run(tmp_path: Path, fault: Fault) -> None:
    """At most one reservation more, which is charged; and a draw whose file was put is published, not drawn again."""
    for number in range(1, writes_of_a_release(tmp_path) + 1):
        lake = AnnotatedLake(tmp_path / str(number))

        with fault_at(number, fault), pytest.raises(StorageError):
            ask(lake, "one")
        check_sound(lake)
        lake.time += timedelta(hours=1)
        row = ask(lake, "one").row

        assert row["numbers"]
        draws, reserved, published = check_sound(lake)
        assert (published, ask(lake, "one").row) == (1, row)
        assert draws <= reserved <= 2


class Gone:
    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        raise StorageError("the process is gone")

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        raise NotImplementedError


def test_a_release_is_tried_twice_and_then_given_up(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    for _ in range(2):
        with pytest.raises(StorageError, match="gone"):
            ask(lake, "one", Gone())
        lake.time += timedelta(hours=1)

    with pytest.raises(BudgetError, match="reserved 2 times and never published; it is given up"):
        ask(lake, "one")

    assert check_sound(lake) == (0, 2, 0)


def test_while_a_reservation_may_be_at_work_nobody_else_draws(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    with pytest.raises(StorageError, match="gone"):
        ask(lake, "one", Gone())

    with pytest.raises(BudgetError, match="another run may still be drawing it; run again after 2026-03-09 12:10"):
        ask(lake, "one")
    lake.time += timedelta(minutes=11)

    assert ask(lake, "one").is_new


def test_a_draw_that_comes_after_another_was_published_is_never_seen(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)

    class Slow(Logged):
        def gaussian(self, exact: list[int], scale: float) -> list[int]:
            lake.time += timedelta(hours=1)
            ask(lake, "one", Fixed(lake.files.root / "draws", 4))
            return Fixed(self.log, 9).gaussian(exact, scale)

    found = ask(lake, "one", Slow(lake.files.root / "draws"))

    assert not found.is_new
    assert [number["value"] for number in found.row["numbers"]] == [4]
    assert check_sound(lake) == (2, 2, 1)


class Fixed(Logged):
    def __init__(self, log: Path, value: int) -> None:
        super().__init__(log)
        self.value = value

    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        return [self.value for _ in super().gaussian(exact, scale)]


def test_nothing_is_released_before_the_first_seal(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path, is_sealed=False)

    with pytest.raises(InputError, match="nothing is sealed yet"):
        ask(lake, "one")


def test_a_window_that_is_not_over_is_refused(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)

    with pytest.raises(InputError, match="ends with 2026-03-08; it is released from the day after"):
        release_window(
            lake.lake,
            count("one"),
            WEEK,
            BUDGET,
            today=MONDAY + timedelta(days=6),
            now=lake.now,
            entropy=lake.entropy,
            noise=Gone(),
        )


def test_a_revision_is_due_on_its_day_and_paid_for_by_itself(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    release = Release("r", "weekly", ProtectedUnit(20, 52), count("r").questions, revisions=(30,))
    last = WEEK.last

    def at(days: int) -> Any:
        return release_window(
            lake.lake,
            release,
            WEEK,
            BUDGET,
            today=last + timedelta(days=days),
            now=lake.now,
            entropy=lake.entropy,
            noise=Logged(lake.files.root / "draws"),
        )

    first, same, revised = at(1), at(30), at(31)

    assert [one.row["revision"] for one in (first, same, revised)] == [0, 0, 1]
    assert [one.is_new for one in (first, same, revised)] == [True, False, True]
    assert loss(check_ledger(lake.lake), "2026").rho == 2 * release.price().rho
