"""Judging a day beside plain Great Expectations on pandas: the same rows and expectations, each in a process alone.

python benchmarks/quality.py [--rows 1000000] [--rounds 3] [--only ours|pandas]

Both read the same Parquet files of twelve columns within the clock, since a day lies in files. Printed are the seconds,
those of CPU (on a machine that others use they are fairer) and the peak memory of each round, above what a process has
that imported the libraries, and the ratios of the medians.
Of ten million rows plain Great Expectations takes what a small machine has not: give --only ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE_ROWS = 250_000
Found = dict[str, tuple[bool, int | None]]
"""Whether each expectation holds, and how many rows fail."""

SUITE = [
    ("expect_column_values_to_be_unique", {"column": "event_id"}),
    ("expect_column_values_to_not_be_null", {"column": "run_id"}),
    ("expect_column_values_to_not_be_null", {"column": "loss", "mostly": 0.5}),
    ("expect_column_values_to_be_in_set", {"column": "split", "value_set": ["train", "eval"]}),
    ("expect_column_values_to_be_in_set", {"column": "state", "value_set": ["finite", "nan"]}),
    ("expect_column_values_to_be_between", {"column": "step", "min_value": 0}),
    ("expect_column_values_to_be_between", {"column": "loss", "min_value": -10, "max_value": 10}),
    ("expect_column_values_to_be_between", {"column": "kl", "min_value": -1, "max_value": 100}),
    ("expect_column_values_to_be_between", {"column": "reward", "min_value": -3, "max_value": 3, "mostly": 0.9}),
    ("expect_column_value_lengths_to_be_between", {"column": "metric", "min_value": 1, "max_value": 40}),
    ("expect_column_mean_to_be_between", {"column": "reward", "min_value": -0.5, "max_value": 0.5}),
    ("expect_column_median_to_be_between", {"column": "loss", "min_value": -1, "max_value": 1}),
    ("expect_column_max_to_be_between", {"column": "step", "max_value": 10_000_000}),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "ended", "column_B": "started"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["run_id", "position"]}),
]  # fmt: skip


def make_files(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(1)
    for at in range(0, rows, FILE_ROWS):
        n = min(FILE_ROWS, rows - at)
        position = np.arange(at, at + n)
        started = rng.random(n)
        table = pa.table(
            {
                "event_id": [f"{'ab' * 32}-0-0-{i}-0" for i in position],
                "run_id": [f"run-{i % 50}" for i in position],
                "position": position,
                "step": position // 100,
                "split": np.where(position % 10 == 0, "eval", "train"),
                "metric": [f"rewards/{i % 30}" for i in position],
                "state": np.where(position % 1000 == 0, "nan", "finite"),
                "loss": pa.array(rng.normal(size=n), mask=position % 1000 == 0),
                "kl": rng.random(n),
                "reward": rng.normal(size=n),
                "started": started,
                "ended": started + 0.1 + rng.random(n),
            }
        )
        pq.write_table(table, folder / f"{at:09}.parquet")


def judge_ours(folder: Path) -> Callable[[], Found]:
    from audit_pipeline.quality.day_database import day_database
    from audit_pipeline.quality.judging import judge
    from audit_pipeline.quality.suites import Expectation, Suite, needed_columns

    files = sorted(folder.glob("*.parquet"))
    schema = pq.read_schema(files[0])
    expectations = tuple(Expectation(f"e{at}", kind, kwargs) for at, (kind, kwargs) in enumerate(SUITE))
    suite = Suite("day", expectations, "", "")

    def work() -> Found:
        columns = needed_columns([suite], {"day": schema.names})["day"]
        wanted = pa.schema([schema.field(name) for name in columns])
        parts = (pq.read_table(file, columns=columns) for file in files)
        with day_database({"day": (wanted, parts)}) as database:
            return {one.expectation.name: (one.state == "passed", one.failing) for one in judge(suite, database, {})}

    return work


def judge_pandas(folder: Path) -> Callable[[], Found]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    import pandas as pd

    def work() -> Found:
        frame = pd.read_parquet(folder)
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas("p").add_dataframe_asset("day")
        batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
        wanted = [
            {"type": kind, "kwargs": kwargs, "meta": {"name": f"e{at}"}} for at, (kind, kwargs) in enumerate(SUITE)
        ]
        found = batch.validate(gx.ExpectationSuite(name="s", expectations=wanted), result_format="SUMMARY")
        return {
            one.expectation_config.meta["name"]: (one.success, one.result.get("unexpected_count"))  # type: ignore[union-attr]
            for one in found.results
        }

    return work


def child(which: str, folder: Path) -> None:
    """One round: imports before the clock, and before the memory that is counted from."""
    if which == "ours":
        import great_expectations

        from audit_pipeline.quality import gx_expectations

        assert great_expectations
        assert gx_expectations
    work = (judge_ours if which == "ours" else judge_pandas)(folder)
    before = peak_mb()
    began, began_cpu = time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu_seconds, peak = time.perf_counter() - began, time.process_time() - began_cpu, peak_mb()
    measured = {"seconds": seconds, "cpu_seconds": cpu_seconds, "mb": peak - before, "peak_mb": peak}
    print(json.dumps({**measured, "found": found}))


def peak_mb() -> float:
    """Peak memory of this process; `getrusage` would give that of the parent where it was larger."""
    said = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(said["VmHWM"].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["ours", "pandas"])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.child:
        child(said.child[0], Path(said.child[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), said.rows)
        rounds: dict[str, list[dict[str, float]]] = {}
        for _ in range(said.rounds):
            for which in [said.only] if said.only else ["ours", "pandas"]:
                command = [sys.executable, __file__, "--child", which, folder]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rounds.setdefault(which, []).append(json.loads(done.stdout.splitlines()[-1]))
    for which, found in rounds.items():
        shown = ", ".join(
            f"{one['seconds']:.2f} s ({one['cpu_seconds']:.2f} of CPU) {one['mb']:.0f} MB" for one in found
        )
        print(f"{which:7} {shown}; peak of the process {max(one['peak_mb'] for one in found):.0f} MB")
    if len(rounds) == 2:
        assert rounds["ours"][0]["found"] == rounds["pandas"][0]["found"], (rounds["ours"][0], rounds["pandas"][0])
        for unit in ("seconds", "cpu_seconds", "mb"):
            ours, plain = (median(one[unit] for one in rounds[which]) for which in ("ours", "pandas"))
            print(f"{unit}: ours / pandas = {ours / plain:.2f}")


if __name__ == "__main__":
    main()
