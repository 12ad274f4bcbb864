"""What the noise of summaries does to numbers, and what a release costs beside exact aggregation.

    python benchmarks/privacy.py [--only memory|errors|cost] [--rows 1000000]

Errors: half of the interval that holds 95 of 100 published draws around the number without noise, on made-up
judgements, beside those that docs/privacy-promise.md lets expect; and how many draws say "too few to say". Cost: the
eight statistics at once from rows in memory to what is published, beside the same eight questions asked exactly,
without bounds, of DuckDB and Polars in the same run, on one thread each. Memory: the peak of such a release of ten
million rows.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

# One thread for each, as the release has: how well threads share work on this machine is not what is asked.
os.environ["POLARS_MAX_THREADS"] = "1"  # read at import
import polars as pl

from audit_pipeline.privacy.mechanisms import OpenDpNoise
from audit_pipeline.privacy.release import Question, Release
from audit_pipeline.privacy.rows import BoundedRows
from audit_pipeline.privacy.statistics import (
    Agreement,
    Count,
    DiscoveredKeys,
    DistinctAnnotators,
    Histogram,
    Mean,
    Quantiles,
    WinRate,
)
from audit_pipeline.privacy.unit import Cadence, ProtectedUnit

MODELS = ("m1", "m2", "m3", "m4")
PAIRS = tuple(combinations(MODELS, 2))
DRAWS = 400
ROUNDS = 5
GOAL = 1.25
MOST_MB = 2000
SCENARIOS: tuple[tuple[int, Cadence, str, Mapping[str, float]], ...] = (
    (1_000, "weekly", "0.0096", {"annotators": 0.045, "rating": 0.13, "wins": 0.21}),
    (10_000, "daily", "0.005", {"annotators": 0.006, "rating": 0.017, "wins": 0.031}),
    (100_000, "daily", "0.005", {"annotators": 0.0006, "rating": 0.002, "wins": 0.003}),
)
"""(annotators, window, rho, errors to expect): of annotators and win rates as shares, of ratings in points."""


def judgements(annotators: int, rows: int, seed: int = 1) -> pa.Table:
    rng = np.random.default_rng(seed)
    names = np.array([f"{n:032x}" for n in range(annotators)])
    who = np.concatenate([np.arange(annotators), rng.integers(0, annotators, max(0, rows - annotators))])
    first = rng.integers(0, len(MODELS), len(who))
    second = (first + rng.integers(1, len(MODELS), len(who))) % len(MODELS)
    hashes = rng.bytes(16 * len(who)).hex()
    models = np.array(MODELS)
    return pa.table(
        {
            "annotator_id": names[who],
            "annotator_kind": pa.repeat("human", len(who)),
            "bounding_hash": [hashes[32 * n : 32 * n + 32] for n in range(len(who))],
            "status": pa.repeat("submitted", len(who)),
            "source_id": pa.repeat("s", len(who)),
            "item_id": pa.array(rng.integers(0, max(1, len(who) // 3), len(who)).astype(str)),
            "question": np.array(["helpful", "harmless", "honest"])[rng.integers(0, 3, len(who))],
            "outcome": np.array(["a", "b", "tie", "both_bad"])[rng.choice(4, len(who), p=[0.42, 0.38, 0.15, 0.05])],
            "model_a": models[first],
            "model_b": models[second],
            "value_num": np.clip(rng.normal(3.4, 1.0, len(who)), 1, 5),
        }
    )


def bundle(cadence: Cadence, rho: str) -> Release:
    asked = {
        "judgements": Count(),
        "annotators": DistinctAnnotators(),
        "outcomes": Histogram("outcome", ("a", "b", "tie", "both_bad")),
        "wins": WinRate(PAIRS),
        "rating": Mean("value_num", 1.0, 5.0),
        "ratings": Quantiles("value_num", (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0), (0.25, 0.5, 0.75)),
        "agreement": Agreement(),
        "questions": DiscoveredKeys("question", 3, 1e-9),
    }
    questions = tuple(Question(name, one, Fraction(rho) / len(asked)) for name, one in asked.items())
    return Release("bundle", cadence, ProtectedUnit(20, 100 if cadence == "daily" else 52), questions)


class NoNoise:
    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        return exact

    def thresholded(self, exact: dict[str, int], scale: float, threshold: int) -> dict[str, int]:
        return exact


def errors() -> bool:
    print(
        "| annotators | window, rho | statistic | measured | expected | ratio | silent |\n|---|---|---|---|---|---|---|"
    )
    is_within = True
    for annotators, cadence, rho, expected in SCENARIOS:
        release = bundle(cadence, rho)
        with BoundedRows(release.unit, release.columns, [judgements(annotators, 5 * annotators)]) as rows:
            exact = release.exact(rows)
        few = Release("few", cadence, release.unit, tuple(q for q in release.questions if q.name in expected))
        truth = few.draw(exact, NoNoise())
        draws = [few.draw(exact, OpenDpNoise()) for _ in range(DRAWS)]
        for name, most in expected.items():
            pairs = [(n, t) for drawn in draws for n, t in zip(drawn[name], truth[name], strict=True)]
            off = [abs(n.value - t.value) for n, t in pairs if n.value is not None and t.value is not None]
            silent = 1 - len(off) / len(pairs)
            measured = float(np.quantile(off, 0.95)) / (annotators if name == "annotators" else 1)
            is_within &= measured <= GOAL * most
            said = f"{measured:.4g} | {most:g} | {measured / most:.2f}x | {silent:.0%} |"
            print(f"| {annotators:,} | {cadence}, {rho} | {name} | {said}")
    return is_within


def cost(rows: int) -> float:
    table = judgements(rows // 10, rows)
    release = bundle("daily", "0.005")
    works: dict[str, Callable[[], Any]] = {
        "release": lambda: _release(release, [table]),
        "DuckDB, exact": lambda: _duckdb(table),
        "Polars, exact": lambda: _polars(table),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = time.process_time()
            work()
            times[name].append(time.process_time() - began)
    medians = {name: float(np.median(took)) for name, took in times.items()}
    print(f"\n| {rows:,} rows | CPU seconds (median of {ROUNDS}) |\n|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} |")
    ratio = medians["release"] / min(medians["DuckDB, exact"], medians["Polars, exact"])
    print(f"\nrelease / fastest exact aggregation: {ratio:.2f} (goal: at most 2)")
    return ratio


def memory(rows: int) -> float:
    """Peak memory in MB of a process that makes a release of rows that come in parts of 250,000."""
    release, annotators, part = bundle("daily", "0.005"), min(200_000, rows), 250_000
    before = peak_mb()
    began = time.perf_counter()
    _release(release, (judgements(annotators, part, seed) for seed in range(max(1, rows // part))))
    took = peak_mb() - before
    seconds = time.perf_counter() - began
    print(
        f"\n{rows:,} rows, made meanwhile: {seconds:.0f} s; {took:.0f} MB, the process {peak_mb():.0f} MB at its peak"
    )
    return peak_mb()


def peak_mb() -> float:
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def _release(release: Release, tables: Iterable[pa.Table]) -> Any:
    with BoundedRows(release.unit, release.columns, tables) as rows:
        exact = release.exact(rows)
    return release.draw(exact, OpenDpNoise())


def _duckdb(given: pa.Table) -> None:
    with duckdb.connect(config={"threads": 1}) as database:
        database.register("given", given)
        database.execute("CREATE TABLE t AS FROM given WHERE annotator_kind = 'human'")
        for sql in (
            "SELECT count(*) FROM t",
            "SELECT count(DISTINCT annotator_id) FROM t",
            "SELECT outcome, count(*) FROM t GROUP BY ALL",
            "SELECT model_a, model_b, outcome, count(*) FROM t GROUP BY ALL",
            "SELECT avg(m) FROM (SELECT avg(value_num) m FROM t GROUP BY annotator_id)",
            "SELECT quantile_cont(m, [0.25, 0.5, 0.75]) FROM (SELECT median(value_num) m FROM t GROUP BY annotator_id)",
            "SELECT avg((a = b)::INT) FROM (SELECT min(outcome) a, max(outcome) b FROM t GROUP BY item_id)",
            "SELECT question, count(DISTINCT annotator_id) FROM t GROUP BY ALL",
        ):
            database.execute(sql).fetchall()


def _polars(given: pa.Table) -> None:
    t = pl.from_arrow(given).lazy().filter(pl.col("annotator_kind") == "human")  # type: ignore[union-attr]
    of_annotator = t.group_by("annotator_id").agg(pl.col("value_num").mean().alias("m"), pl.col("value_num").median())
    of_item = t.group_by("item_id").agg(pl.col("outcome").first().alias("a"), pl.col("outcome").last().alias("b"))
    pl.collect_all(
        [
            t.select(pl.len()),
            t.select(pl.col("annotator_id").n_unique()),
            t.group_by("outcome").len(),
            t.group_by("model_a", "model_b", "outcome").len(),
            of_annotator.select(pl.col("m").mean()),
            of_annotator.select(pl.col("value_num").quantile(q).alias(str(q)) for q in (0.25, 0.5, 0.75)),
            of_item.select((pl.col("a") == pl.col("b")).mean()),
            t.group_by("question").agg(pl.col("annotator_id").n_unique()),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["errors", "cost", "memory"], help="one of the three")
    parser.add_argument("--rows", type=int, help="of the cost (default: 1000000) or memory (10000000)")
    asked = parser.parse_args()
    # Memory first: its peak is the process's.
    works: dict[str, Callable[[], bool]] = {
        "memory": lambda: memory(asked.rows or 10_000_000) <= MOST_MB,
        "errors": errors,
        "cost": lambda: cost(asked.rows or 1_000_000) <= 2,
    }
    holds = [work() for name, work in works.items() if asked.only in (None, name)]
    raise SystemExit(0 if all(holds) else 1)


if __name__ == "__main__":
    main()
