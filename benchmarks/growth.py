"""What grows how: records of one day, files of one day, days of a lake. Writes docs/growth.md.

    python benchmarks/growth.py [--most-records N] [--most-files N] [--most-days N]

Each figure is one process on a lake of its own, measured once: the shape is what counts, not the second digit.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from run import HERE, machine, measure, write_rollouts
from work import DAY


def records(home: Path, most: int) -> list[list[str]]:
    rows, count = [], 10_000
    while count <= most:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        file = home / "rollouts.jsonl"
        write_rollouts(file, count)
        rows.append([f"{count:,}", *_figures(file, home / "lake", ("ingest", "seal", "verify"))])
        count *= 10
    return rows


def files(home: Path, most: int) -> list[list[str]]:
    rows, count = [], 100
    while count <= most:
        shutil.rmtree(home, ignore_errors=True)
        (home / "small").mkdir(parents=True)
        for number in range(count):
            lines = (
                {"input": f"question {number}", "output": "a", "gts": None, "score": n, "step": 1} for n in range(3)
            )
            (home / "small" / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        works = ("ingest_small", "derive", "seal", "verify", "ingest_again")
        rows.append([f"{count:,}", *_figures(home / "x", home / "lake", works)])
        count *= 10
    return rows


def days(home: Path, most: int) -> list[list[str]]:
    """Of one small file each, up to today; then a run that finds nothing new."""
    rows = []
    for count in (number for number in (1, 10, 100, 365) if number <= most):
        shutil.rmtree(home, ignore_errors=True)
        for number in range(count):
            landed = home / "lake" / "landing" / "runs" / (DAY - timedelta(days=number)).isoformat()
            landed.mkdir(parents=True)
            (landed / "a.jsonl").write_text('{"a":1}\n' * 100)
        rows.append([f"{count:,}", *_figures(home / "x", home / "lake", ("run_days", "run_days", "verify"))])
    return rows


def _figures(file: Path, home: Path, works: Sequence[str]) -> list[str]:
    found = [measure(work, file, home) for work in works]
    seconds = [f"{one['seconds']:.2f}" for one in found]
    return [*seconds, f"{max(one['peak_bytes'] for one in found) / 1e6:,.0f}"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--most-records", type=int, default=10_000_000)
    options.add_argument("--most-files", type=int, default=100_000)
    options.add_argument("--most-days", type=int, default=365)
    options.add_argument("--home", type=Path, default=HERE.parent / "bench-home")
    given = options.parse_args()
    of_files = ["files", "ingest", "derive", "seal", "verify", "nothing new", "peak, MB"]
    parts = [
        ("Records of one day, in one file", ["records", "ingest", "seal", "verify", "peak, MB"]),
        ("Files of one day, three records each", of_files),
        ("Days of a lake, a hundred records each", ["days", "first run", "nothing new", "verify", "peak, MB"]),
    ]
    made = [
        records(given.home, given.most_records),
        files(given.home, given.most_files),
        days(given.home, given.most_days),
    ]
    lines = [
        "# What grows how",
        "",
        f"Made by `make bench-growth`; do not edit. In seconds, measured once each. {machine()}.",
    ]
    for (title, columns), rows in zip(parts, made, strict=True):
        lines += ["", f"## {title}", "", f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    page = "\n".join(lines) + "\n"
    (HERE.parent / "docs" / "growth.md").write_text(page)
    print(page)
    shutil.rmtree(given.home)


if __name__ == "__main__":
    main()
