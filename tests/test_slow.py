"""What takes minutes: hundreds of killed runs, a 5 GB source."""

import itertools
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults import WatchedLake
from tests.lakes import TODAY, LakeForTests
from tests.restated import check_state, check_whole
from tests.test_faults import as_csv, empty, rollouts, trainer_state

ROOT = Path(__file__).resolve().parents[1]
YESTERDAY = TODAY - timedelta(days=1)
KILLS = 300
WORKERS = 2


def run_both_days(root: str) -> None:
    lake = LakeForTests(Path(root))
    lake.run(YESTERDAY)
    lake.run()


def first_files(lake: WatchedLake) -> None:
    empty(lake)
    lake.land("rollouts/2.jsonl", rollouts(400))
    for number in range(20):
        lake.land(f"small/{number}.jsonl", b'{"n":%d}\n' % number)


def more_files(lake: WatchedLake) -> None:
    """Files of both days grow, are rewritten, and come late."""
    lake.land("rollouts/1.jsonl", rollouts(6), YESTERDAY)
    lake.land("odd.jsonl", b'{"b":1}\n', YESTERDAY)
    lake.land("trainer_state.json", trainer_state(4), YESTERDAY)
    lake.land("late.csv", as_csv(300), YESTERDAY)
    lake.land("rollouts/2.jsonl", rollouts(900))


class Killer:
    """Starts runs in processes of their own, which have everything imported, and kills them."""

    def __init__(self) -> None:
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["tests.test_slow"])
        self.kills = 0

    def run(self, lake: WatchedLake, end_after_s: float | None) -> float:
        """Seconds that a run took, or took until it was killed; a run that had ended before is no kill."""
        worker = self._processes.Process(target=run_both_days, args=(str(lake.root),))
        begun = time.monotonic()
        worker.start()
        worker.join(end_after_s)
        worker.kill()
        worker.join()
        assert worker.exitcode in (0, -signal.SIGKILL)
        self.kills += worker.exitcode != 0
        return time.monotonic() - begun


def check_killed_runs(folder: Path, killer: Killer, chosen: random.Random, longest_s: float) -> None:
    """A lake's first files, then more: runs that are killed, each of which leaves a state that holds; one that ends."""
    lake = WatchedLake(folder)
    landings: list[Callable[[WatchedLake], None]] = [first_files, more_files]
    for land in landings:
        land(lake)
        for _ in range(3):
            killer.run(lake, chosen.uniform(0, longest_s))
            check_state(lake, lake.landed)
        killer.run(lake, None)
        check_whole(lake, lake.landed)
        assert lake.lost() == lake.lost(YESTERDAY) == []
        found = lake.verify()
        assert found.problems == ()
        assert (found.unsealed_records, found.records) == (0, len(lake.rows("records")))


def kill_runs(folder: Path, seed: int, kills: int) -> int:
    """Kill so many runs, on one lake after another; gives back how many were."""
    killer, chosen = Killer(), random.Random(seed)
    trial = WatchedLake(folder / "trial")
    first_files(trial)
    killer.run(trial, None)  # the first one waits for the imports
    again = WatchedLake(folder / "again")
    first_files(again)
    longest_s = killer.run(again, None)
    for number in itertools.count():
        if killer.kills >= kills:
            break
        check_killed_runs(folder / f"lake-{number}", killer, chosen, longest_s)
    return killer.kills


@pytest.mark.slow
def test_three_hundred_killed_runs_lose_and_double_nothing(tmp_path: Path) -> None:
    """Moments are spread over a whole run. `check_whole` finds a file that no commit names, too."""
    # Not threads: two that wait for processes of one parent take each other's exit codes.
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(kill_runs, tmp_path / f"{seed}", seed, KILLS // WORKERS) for seed in range(WORKERS)]
        assert sum(part.result() for part in parts) >= KILLS


MEASURED = """
import sys
from pathlib import Path
from tests.lakes import LakeForTests
from tests.machine import peak_bytes
lake = LakeForTests(Path(sys.argv[1]))
lake.ingest()
lake.seal()
assert lake.verify().problems == ()
print(peak_bytes())
"""


@pytest.mark.slow
def test_five_gigabytes_are_taken_in_sealed_and_verified_within_one_gigabyte_of_memory(lake: LakeForTests) -> None:
    chosen = random.Random(1)
    lines = b"".join(
        b'{"id":"%016x","step":%d,"reward":%.6f,"text":"%s"}\n'
        % (chosen.getrandbits(64), n, chosen.random(), chosen.randbytes(100).hex().encode())
        for n in range(200_000)
    )
    path = lake.land("big.jsonl", b"")
    with path.open("wb") as file:
        for _ in range(5 * 10**9 // len(lines) + 1):
            file.write(lines)
    assert path.stat().st_size > 5 * 10**9

    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(lake.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 10**9
    path.unlink()
