"""What takes minutes: killed workers, a 5 GB source."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lakes import TODAY, LakeForTests

ROOT = Path(__file__).resolve().parents[1]
WORK = """
import sys
from pathlib import Path
from tests.lakes import LakeForTests
print("ready", flush=True)
sys.stdin.readline()
LakeForTests(Path(sys.argv[1])).run()
"""


def start_worker(lake: LakeForTests) -> subprocess.Popen[str]:
    """A process that has imported everything and waits for a line before it runs the day."""
    command = [sys.executable, "-c", WORK, str(lake.root)]
    worker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def let_go(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_workers_lose_and_double_nothing(lake: LakeForTests, seed: int) -> None:
    """Two workers at once, killed at random moments, ten times over; then one that may finish."""
    chosen = random.Random(seed)
    lines = [b'{"n":%d,"text":"%s"}\n' % (n, b"x" * 400) for n in range(200_000)]
    lake.land("big.jsonl", b"".join(lines))
    for number in range(50):
        lake.land(f"small/{number}.jsonl", b'{"n":%d}\n' % number)
    lake.land("state.json", b'{"log_history":[{"step":1},{"step":2}]}')

    for _ in range(10):
        workers = [start_worker(lake) for _ in range(2)]
        for worker in workers:
            let_go(worker)
        time.sleep(chosen.uniform(0.05, 2.0))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
    lake.run()

    assert len(lake.rows("sources")) == 2 + 50 + 1
    assert len(lake.rows("records")) == 200_000 + 50 + 3
    assert lake.lost() == []
    found = lake.verify()
    assert found.problems == ()
    assert found.unsealed_records == 0
    data = {path.name for path in (lake.places.lake / f"restricted/records/runs/{TODAY}").iterdir()}
    assert data == {f"{n}.parquet" for n in range(1, len(data) + 1)}, "files that no commit has"


MEASURED = """
import resource, sys
from pathlib import Path
from tests.lakes import LakeForTests
lake = LakeForTests(Path(sys.argv[1]))
lake.ingest()
lake.seal()
assert lake.verify().problems == ()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
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
