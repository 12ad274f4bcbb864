"""Files of a lake changed in place, one at a time, and verified by a process that may end or hang without harm.

A worker is one process with a copy of the lake: it writes the changed bytes, verifies, puts the old ones back and says
what it found. Where it ends, the command's own way of verifying (`verify_apart`) has to find the change.
"""

import base64
import json
import random
import select
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.verify import verify
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import LakeForTests
from tests.machine import peak_bytes

SLOWEST_S = 30
_WORKERS = 2
_KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Flip:
    path: str
    """Below the lake's root."""
    byte: int
    bit: int

    def of(self, content: bytes) -> bytes:
        return content[: self.byte] + bytes([content[self.byte] ^ 1 << self.bit]) + content[self.byte + 1 :]


@dataclass(frozen=True, slots=True)
class Changed:
    """A file and the bytes it is to have."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Found:
    path: str
    problems: int
    message: str
    """Of the first problem."""
    is_apart: bool
    """Whether the reading process ended, so that only `verify_apart` could tell."""
    peak_bytes: int
    """Most memory of the worker so far; 0 where it ended."""


def kind_of_file(path: str) -> str:
    """What kind of stored file this is, for counting."""
    name = path.rpartition("/")[2]
    areas = {
        "log/checkpoint": "checkpoint",
        "log/vkey": "vkey of the log",
        "log/tile": "tiles",
        "evidence/_seals": "drafts",
        "evidence/_inventory": "inventories",
        "evidence": "evidence objects",
        "keys/marks": "marks (outside the lake)",
    }
    if "_delta_log" in path:
        if name == "_last_checkpoint":
            return "_last_checkpoint"
        return "Delta checkpoints" if name.endswith(".parquet") else "commits"
    if path.startswith("lake/"):
        table = path.split("/")[2]
        return f"data files of {table if table in ('records', 'sources', 'seals') else 'event tables'}"
    return next(kind for area, kind in areas.items() if path.startswith(area))


def choose_flips(lake: LakeForTests, count: int, seed: int, of: Sequence[str] = ()) -> list[Flip]:
    """Random single bits, of the kinds `of` or of all: one of each kind, then of each file, then of any."""
    chosen = random.Random(seed)
    files = lake.files()
    paths = sorted(path for path in files if not of or kind_of_file(path) in of)
    chosen.shuffle(paths)
    kinds = {kind_of_file(path): path for path in paths}
    order = [*kinds.values(), *(path for path in paths if path not in kinds.values())][:count]
    order += chosen.choices(paths, k=count - len(order))
    return [Flip(path, chosen.randrange(len(files[path])), chosen.randrange(8)) for path in order]


def run_changes(root: Path, changes: Sequence[Changed], folder: Path) -> list[Found]:
    """What a verification finds of each change of the lake at `root`; by two workers, each on a copy in `folder`."""
    copies = [folder / f"copy-{number}" for number in range(_WORKERS)]
    for copy in copies:
        shutil.copytree(root, copy)
    parts = [changes[number::_WORKERS] for number in range(_WORKERS)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        done = [list(one) for one in pool.map(_work, copies, parts)]
    return [done[number % _WORKERS][number // _WORKERS] for number in range(len(changes))]


def count_kinds(found: Iterable[Found]) -> dict[str, tuple[int, int, int]]:
    """(files of one lake, changes, changes that were found) by kind of file, sorted."""
    all_found = list(found)
    files = Counter(kind_of_file(path) for path in {one.path for one in all_found})
    changes = Counter(kind_of_file(one.path) for one in all_found)
    seen = Counter(kind_of_file(one.path) for one in all_found if one.problems)
    return {kind: (files[kind], changes[kind], seen[kind]) for kind in sorted(changes)}


def _work(root: Path, changes: Sequence[Changed]) -> Iterator[Found]:
    worker: subprocess.Popen[bytes] | None = None
    for change in changes:
        worker = worker or _start(root)
        answer = _ask(worker, change)
        if answer is None:
            worker.kill()
            worker.wait()
            worker = None
            answer = _ask_apart(root, change)
        yield answer
    if worker is not None:
        worker.communicate()


def _start(root: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.flips", str(root)]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _ask(worker: "subprocess.Popen[bytes]", change: Changed) -> Found | None:
    """The worker's answer; None where it ended or said nothing in time."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps([change.path, base64.b64encode(change.content).decode()]).encode() + b"\n")
    worker.stdin.flush()
    ready, _, _ = select.select([worker.stdout], [], [], SLOWEST_S)
    line = worker.stdout.readline() if ready else b""
    return Found(change.path, *json.loads(line)) if line else None


def _ask_apart(root: Path, change: Changed) -> Found:
    lake, path = LakeForTests(root), root / change.path
    before = (root / _KEPT).read_bytes()  # the worker kept it before it changed the file
    path.write_bytes(change.content)
    verification = verify_apart(_without_marks(lake, change.path))
    path.write_bytes(before)
    problems = verification.problems
    return Found(change.path, len(problems), problems[-1].message if problems else "", True, 0)


def _without_marks(lake: LakeForTests, path: str) -> Lake:
    """The lake with its marks out of sight, unless they are what changed: signatures and trees alone must tell."""
    places = lake.places
    return open_lake(places if path.startswith("keys/") else replace(places, marks=lake.root / "nowhere"))


def _serve(root: Path) -> None:
    lake = LakeForTests(root)
    for line in sys.stdin:
        name, encoded = json.loads(line)
        path = root / name
        before = path.read_bytes()
        (root / _KEPT).write_bytes(before)
        path.write_bytes(base64.b64decode(encoded))
        problems = verify(_without_marks(lake, name)).problems
        path.write_bytes(before)
        print(json.dumps([len(problems), problems[0].message if problems else "", False, peak_bytes()]), flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
