"""docs/benchmarks.md, from what the rounds found."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from measuring import Round, machine, versions
from rows import IDEAL, Row
from sizes import Sizes

_NAMES = {
    "ingest": "ingest: records, salts, leaves, trees, commits",
    "malformed": "the same with malformed lines",
    "plain_daft": "peer: daft read_text → write_deltalake, lines as text",
    "plain_arro3": "peer: arro3 read_json → write_deltalake, typed columns",
    "plain_arro3_line": "peer: the same, and the line's bytes as a column",
    "hash_content": "ideal: SHA-256 of the content",
    "hash_records": "ideal: leaf hashes",
    "hash_trees": "ideal: tree hashes",
    "compress": "ideal: zstd, level 1",
    "parse": "ideal: arro3 parses the lines",
    "seal": "seal the day",
    "verify": "verify everything",
    "decode": "limit: DuckDB decodes every column of the same files",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A row over all rounds."""

    row: Row
    values: tuple[float, ...]
    limits: tuple[float, ...]
    missing: str
    """Why it was not measured here, or empty."""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool:
        return self.row.holds(self.median)


def judge(rows: Sequence[Row], rounds: Sequence[Round]) -> list[Judged]:
    """Each row over all rounds."""
    return [_judged(row, rounds) for row in rows]


def format_page(
    judged: Sequence[Judged], rounds: Sequence[Round], sizes: Sizes, lines_bytes: int, rates: Mapping[str, float]
) -> str:
    """The page, in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; do not edit. What counts is the ratio, of works of the same round: machines differ,",
        "and this one may be shared. Each work is a process of its own; when its clock starts, imports are done,",
        f"engines have started and files are in the page cache. Rounds: {len(rounds)}.",
        "",
        f"{machine()}. {versions()}.",
        "",
        "![Each figure as a share of its goal](images/benchmarks.svg)",
        "",
        "| work | goal | median | lowest to highest round | met | beside it, in the same rounds |",
        "|---|---|---|---|---|---|",
        *map(_row_line, judged),
        "",
        *_seconds_lines(rounds, sizes, lines_bytes),
        "",
        *_adapter_lines(rates),
    ]
    return "\n".join(lines) + "\n"


def amount(value: float, unit: str) -> str:
    """A figure with its unit, in as many digits as it deserves."""
    if unit in ("", "s"):
        return f"{value:{'.2f' if value >= 0.1 else '.2g'}} {unit}".rstrip()
    return f"{value:,.0f}{unit}" if unit.startswith("/") else f"{value:,.0f} {unit}"


def _judged(row: Row, rounds: Sequence[Round]) -> Judged:
    reasons = [
        figures[key]["not_measured"] for figures in rounds for key in row.needs if "not_measured" in figures[key]
    ]
    if reasons:
        return Judged(row, (), (), reasons[0])
    limits = tuple(map(row.limit, rounds)) if row.limit else ()
    return Judged(row, tuple(map(row.of, rounds)), limits, "")


def _row_line(judged: Judged) -> str:
    row = judged.row
    if judged.missing:
        return f"| {row.work} | {_goal(row)} | not measured here: {judged.missing} | | | |"
    met = "" if row.goal is None else "yes" if judged.is_met else "no"
    if met and row.full_size:
        met += ", at this size"
    spread = f"{amount(min(judged.values), row.unit)} to {amount(max(judged.values), row.unit)}"
    beside = f"{row.beside}: {amount(statistics.median(judged.limits), row.unit)}" if judged.limits else ""
    return f"| {row.work} | {_goal(row)} | {amount(judged.median, row.unit)} | {spread} | {met} | {beside} |"


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    bound = "at most" if row.at_least is None else "at least"
    unit = row.unit if row.unit.startswith("/") else f" {row.unit}".rstrip()
    return f"{bound} {row.goal:,}{unit}" + (f" for {row.full_size}" if row.full_size else "")


def _seconds_lines(rounds: Sequence[Round], sizes: Sizes, lines_bytes: int) -> Iterator[str]:
    yield "## The one file of lines"
    yield ""
    yield f"{sizes.lines:,} JSONL records, {lines_bytes / 1e6:,.0f} MB. Medians; of peak memory the highest."
    yield ""
    yield "| work | seconds | CPU seconds | records/s | MB/s | peak memory, MB |"
    yield "|---|---|---|---|---|---|"
    for key, name in _NAMES.items():
        seconds, cpu = (statistics.median(r[key][of] for r in rounds) for of in ("seconds", "cpu_seconds"))
        peak = max(r[key]["peak_bytes"] for r in rounds) / 1e6
        rates = f"{sizes.lines / seconds:,.0f} | {lines_bytes / 1e6 / seconds:,.0f}"
        yield f"| {name} | {seconds:.2f} | {cpu:.2f} | {rates} | {peak:,.0f} |"
    means = sorted({rounds[0][part]["means"] for part in IDEAL if "means" in rounds[0][part]})
    yield ""
    yield (
        "The ideal is the CPU seconds of its parts on the same bytes, divided by the cores. "
        f"Leaf and tree hashes by {' and '.join(means)}."
    )


def _adapter_lines(rates: Mapping[str, float]) -> Iterator[str]:
    yield "## Adapters"
    yield ""
    yield "Events per second of each, on the small records of the tests, in one process, measured once."
    yield ""
    yield "| format | events/s |"
    yield "|---|---|"
    for name, rate in rates.items():
        yield f"| {name} | {rate:,.0f} |"
