"""What grows how: records of one day, files of one day, days of a lake. Writes docs/growth.md and its pictures.

    python benchmarks/growth.py [--most-records N] [--most-files N] [--most-days N] [--out FOLDER] [--home FOLDER]

Each figure is one process on a lake of its own, measured once: the shape is what counts, not the second digit.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inputs
from beyond import Found, beyond
from measuring import HERE, machine, measure, versions
from plots import plot_growth
from stored import count_stored

_WORKS = ("ingest", "seal", "inventory", "verify")


@dataclass(frozen=True, slots=True)
class Curve:
    """What one count does to the time of some works."""

    name: str
    title: str
    unit: str
    counts: tuple[int, ...]
    points: tuple[dict[str, dict[str, Any]], ...]
    """Of each count, the figures of each work."""

    def seconds(self) -> dict[str, list[float]]:
        """Of each work, at each count."""
        return {work: [point[work]["seconds"] for point in self.points] for work in self.points[0]}


def grow_records(home: Path, most: int) -> tuple[Curve, Found]:
    """Records in one file of one day, and what the largest lake stores."""
    counts, points, file = _decades(10_000, most), [], home / "lines.jsonl"
    stored: dict[str, int] = {}
    for count in counts:
        _empty(home)
        inputs.write_lines(file, count)
        points.append(_figures(file, home / "lake", _WORKS))
        stored = count_stored(home / "lake", file)
    curve = Curve("records", "Records of one day, in one file", "records", counts, tuple(points))
    return curve, Found(counts[-1], points[-1], stored)


def grow_files(home: Path, most: int) -> Curve:
    """Files of one day, three rollouts each; then a run that finds nothing new."""
    counts, points = _decades(1, most), []
    for count in counts:
        _empty(home)
        inputs.write_rollouts(home / "1.jsonl", 3 * count)
        inputs.write_small(home / "small", home / "joined.jsonl", home / "1.jsonl", count)
        found = _figures(home / "small", home / "lake", ("ingest", "derive", "seal", "inventory", "verify"))
        found["ingest, nothing new"] = _measured("ingest", home / "small", home / "lake")
        points.append(found)
    return Curve("files", "Files of one day, three records each", "files", counts, tuple(points))


def grow_days(home: Path, most: int) -> Curve:
    """Days of one small file each; then a run that finds nothing new."""
    counts, points = tuple(n for n in (1, 10, 100, 365) if n <= most), []
    for count in counts:
        _empty(home)
        inputs.land_days(home / "lake" / "landing", count, count)
        inputs.write_lines(home / "none.jsonl", 1)
        runs = {
            name: _measured("run_days", home / "none.jsonl", home / "lake") for name in ("first run", "nothing new")
        }
        points.append({**runs, **_figures(home / "none.jsonl", home / "lake", ("verify",))})
    return Curve("days", "Days of a lake, one file of three records each", "days", counts, tuple(points))


def format_growth(curves: Sequence[Curve], found: Found) -> str:
    """The page, in Markdown."""
    lines = [
        "# What grows how",
        "",
        "Made by `make bench-growth`; do not edit. In seconds, measured once each; imports are not counted.",
        "",
        f"{machine()}. {versions()}.",
    ]
    for curve in curves:
        lines += ["", f"## {curve.title}", "", *_curve_lines(curve)]
    return "\n".join(lines) + "\n\n" + beyond(found)


def _curve_lines(curve: Curve) -> Iterator[str]:
    works = list(curve.points[0])
    yield f"![{curve.title}](images/growth-{curve.name}.svg)"
    yield ""
    yield f"| {curve.unit} | {' | '.join(works)} | peak memory, MB |"
    yield "|---" * (len(works) + 2) + "|"
    for count, point in zip(curve.counts, curve.points, strict=True):
        seconds = " | ".join(f"{point[work]['seconds']:.2f}" for work in works)
        yield f"| {count:,} | {seconds} | {max(one['peak_bytes'] for one in point.values()) / 1e6:,.0f} |"


def _figures(file: Path, home: Path, works: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {work: _measured(work, file, home) for work in works}


def _measured(work: str, file: Path, home: Path) -> dict[str, Any]:
    print(f"{home}: {work}", file=sys.stderr)
    return measure(work, file, home)


def _decades(least: int, most: int) -> tuple[int, ...]:
    counts = [least]
    while counts[-1] * 10 <= most:
        counts.append(counts[-1] * 10)
    return tuple(counts)


def _empty(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--most-records", type=int, default=10_000_000)
    options.add_argument("--most-files", type=int, default=100_000)
    options.add_argument("--most-days", type=int, default=365)
    options.add_argument("--out", type=Path, default=HERE.parent / "docs")
    options.add_argument("--home", type=Path, default=HERE.parent / "bench-home")
    given = options.parse_args()
    of_records, found = grow_records(given.home, given.most_records)
    curves = (of_records, grow_files(given.home, given.most_files), grow_days(given.home, given.most_days))
    page = format_growth(curves, found)
    for curve in curves:
        picture = given.out / "images" / f"growth-{curve.name}.svg"
        plot_growth(picture, curve.unit, curve.counts, curve.seconds())
    (given.out / "growth.md").write_text(page)
    print(page)
    shutil.rmtree(given.home)


if __name__ == "__main__":
    main()
