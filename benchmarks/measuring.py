"""Works measured in rounds: each a process of its own, the rounds in turn, so that a slow minute meets all works."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_TIMEOUT_S = 6 * 3600
_LIBRARIES = ("deltalake", "pyarrow", "datafusion", "duckdb", "arro3-io", "daft", "numpy", "cryptography")

Round = Mapping[str, Mapping[str, Any]]
"""Of each step, by its key, the figures that work.py printed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One work of a round."""

    key: str
    work: str
    """A function of work.py."""
    file: str
    """What it is given, in the bench home."""
    home: str
    """Where it works. Steps that share one follow each other."""


def measure(work: str, file: Path, home: Path) -> dict[str, Any]:
    """The figures of one work."""
    command = [sys.executable, str(HERE / "work.py"), work, str(file), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode:
        sys.exit(f"{work} failed: {done.stderr[-2000:]}")
    sys.stderr.write(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def measure_rounds(
    bench_home: Path, groups: Sequence[Sequence[Step]], rounds: int, kept: frozenset[str], until: float
) -> list[Round]:
    """So many rounds, or as many as most likely end before `until`, a reading of the monotonic clock; one at least.

    Homes are new in each round but the `kept`. A round begins with another group each time: what a group leaves the
    disk to do meets another one.
    """
    found: list[Round] = []
    start = now = time.monotonic()
    while len(found) < rounds and (not found or now + (now - start) / len(found) < until):
        figures: dict[str, dict[str, Any]] = {}
        first = len(found) % len(groups)
        for group in [*groups[first:], *groups[:first]]:
            for step in group:
                print(f"round {len(found) + 1} of {rounds}: {step.key}", file=sys.stderr)
                figures[step.key] = measure(step.work, bench_home / step.file, bench_home / step.home)
            for home in {step.home for step in group} - kept:
                shutil.rmtree(bench_home / home)
        found.append(figures)
        now = time.monotonic()
    return found


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    return (
        f"{cpu}, {cores()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, "
        f"Linux {platform.release()}"
    )


def versions() -> str:
    """What was measured, and what it was measured against."""
    return ", ".join([*(f"{name} {version(name)}" for name in _LIBRARIES), *_openssl_version()])


def _openssl_version() -> list[str]:
    if program := shutil.which("openssl"):
        return [" ".join(subprocess.run([program, "version"], capture_output=True, text=True).stdout.split()[:2])]
    return []
