"""One measured piece of work in a process of its own: prints its figures as JSON.

    python benchmarks/work.py WORK FILE HOME

WORK is one of the functions below. Each gets ready, imports included, before the clock starts; what it reads is in the
page cache by then, and what others wrote is on the disk.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import limits
import peers
import questions
from adapters import adapters
from lakes import derive, ingest, inventory, run_days, seal, verify

WORKS = {
    work.__name__: work
    for work in (
        ingest,
        derive,
        seal,
        inventory,
        verify,
        run_days,
        adapters,
        peers.plain_arro3,
        peers.plain_arro3_line,
        peers.plain_daft,
        peers.decode,
        limits.hash_content,
        limits.hash_records,
        limits.hash_trees,
        limits.compress,
        limits.parse,
        limits.hash_leaves,
        limits.openssl,
        limits.build_tree,
        limits.build_tree_in_c,
        limits.hash_files,
        limits.list_files,
        questions.prove,
        questions.check,
        questions.hash_one_by_one,
        questions.find_event,
        questions.find_event_plainly,
    )
}


def measured(name: str, file: Path, home: Path) -> dict[str, Any]:
    """Seconds by the clock and of the processors, peak memory in bytes, and what the work adds."""
    home.mkdir(parents=True, exist_ok=True)
    work = WORKS[name](file, home)
    for folder in (file, home / "lake"):
        _warm(folder)
    os.sync()
    ready_bytes, modules = _memory_bytes("VmRSS"), set(sys.modules)
    start, cpu_start = time.perf_counter(), time.process_time()
    given_back = work()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    late = sorted(name for name in set(sys.modules) - modules if not name.startswith("encodings."))
    if late:
        print(f"{name} imported while it was timed: {', '.join(late)[:200]}", file=sys.stderr)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ready_bytes": ready_bytes,
        "peak_bytes": _memory_bytes("VmHWM"),
        **(given_back if isinstance(given_back, dict) else {}),
    }


def _warm(path: Path) -> None:
    files = [path] if path.is_file() else path.rglob("*") if path.is_dir() else []
    for file in files:
        if file.is_file():
            with file.open("rb", buffering=0) as opened:
                while opened.read(1 << 20):
                    pass


def _memory_bytes(key: str) -> int:
    """VmHWM, not ru_maxrss, which would remember the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def main() -> None:
    from sha_ni import NotMeasured

    try:
        figures = measured(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except NotMeasured as why:
        figures = {"not_measured": str(why)}
    print(json.dumps(figures), flush=True)
    os._exit(0)  # some peers abort at exit after their work is done


if __name__ == "__main__":
    main()
