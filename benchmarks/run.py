"""Every work beside a peer or a limit, in one run, as ratios. Writes docs/benchmarks.md and its picture.

    python benchmarks/run.py [--records N] [--rounds N] [--full] [--minutes N] [--out FOLDER] [--home FOLDER]

`--records`: in the file that ingest and the plain tools are given; others get sizes to match. `--full`: the goals that
name a size are measured at that size, which takes long. `--minutes`: no round begins that would most likely end later.
"""

import argparse
import shutil
import time
from pathlib import Path

import inputs
from measuring import HERE, Step, measure, measure_rounds
from page import format_page, judge
from plots import plot_goals
from rows import fastest_peer, rows_for
from sizes import MALFORMED_EVERY, SOURCES, Sizes, sizes_for

LINES, MALFORMED, ROLLOUTS, METRICS = "lines.jsonl", "malformed.jsonl", "rollouts/1.jsonl", "metrics/metrics.jsonl"
EVENTS, SMALL, JOINED, MANY = "events/1.jsonl", "small", "joined/1.jsonl", "sources"
_KEPT = frozenset({"days-lake", "events-lake"})  # made once: asking them changes nothing

GROUPS = (
    (
        Step("ingest", "ingest", LINES, "lake"),
        *(Step(work, work, LINES, work) for work in ("plain_daft", "plain_arro3", "plain_arro3_line")),
        Step("malformed", "ingest", MALFORMED, "malformed-lake"),
        *(
            Step(work, work, LINES, "ideal")
            for work in ("hash_content", "hash_records", "hash_trees", "compress", "parse")
        ),
        *(Step(work, work, LINES, "lake") for work in ("seal", "inventory", "verify", "decode", "prove", "check")),
        Step("hash_one_by_one", "hash_one_by_one", LINES, "ideal"),
    ),
    (
        Step("rollouts", "ingest", ROLLOUTS, "rollouts-lake"),
        Step("rollouts_derive", "derive", ROLLOUTS, "rollouts-lake"),
        Step("metrics", "ingest", METRICS, "metrics-lake"),
        Step("metrics_derive", "derive", METRICS, "metrics-lake"),
    ),
    tuple(Step(work, work, LINES, "hashing") for work in ("hash_leaves", "openssl", "build_tree", "build_tree_in_c")),
    (
        Step("sources", "ingest", MANY, "sources-lake"),
        Step("sources_seal", "seal", MANY, "sources-lake"),
        Step("hash_files", "hash_files", MANY, "sources-lake"),
    ),
    tuple(Step(work, work, EVENTS, "events-lake") for work in ("find_event", "find_event_plainly")),
    (
        Step("small", "ingest", SMALL, "small-lake"),
        Step("small_derive", "derive", SMALL, "small-lake"),
        Step("joined", "ingest", JOINED, "joined-lake"),
    ),
    (
        Step("days", "run_days", LINES, "days-lake"),
        Step("list_files", "list_files", LINES, "days-lake"),
    ),
)


def write_inputs(home: Path, sizes: Sizes) -> None:
    """All files that the works are given, in an empty bench home."""
    for file in (ROLLOUTS, METRICS, EVENTS, JOINED):
        (home / file).parent.mkdir()
    inputs.write_lines(home / LINES, sizes.lines)
    inputs.write_malformed(home / MALFORMED, home / LINES, MALFORMED_EVERY)
    inputs.write_sources(home / MANY, sizes.sealed, SOURCES)
    inputs.write_rollouts(home / ROLLOUTS, sizes.rollouts)
    inputs.write_rollouts(home / EVENTS, sizes.events)
    inputs.write_metrics(home / METRICS, sizes.metrics)
    inputs.write_small(home / SMALL, home / JOINED, home / ROLLOUTS, sizes.small_files)
    inputs.land_days(home / "days-lake" / "landing", sizes.days, sizes.day_files)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--full", action="store_true")
    options.add_argument("--minutes", type=float, default=11)
    options.add_argument("--out", type=Path, default=HERE.parent / "docs")
    options.add_argument("--home", type=Path, default=HERE.parent / "bench-home")
    given = options.parse_args()
    until = time.monotonic() + 60 * (float("inf") if given.full else given.minutes)
    sizes = sizes_for(given.records, is_full=given.full)
    shutil.rmtree(given.home, ignore_errors=True)
    given.home.mkdir(parents=True)
    write_inputs(given.home, sizes)
    for work, file, home in (
        ("run_days", LINES, "days-lake"),
        ("ingest", EVENTS, "events-lake"),
        ("derive", EVENTS, "events-lake"),
    ):
        measure(work, given.home / file, given.home / home)
    rates = measure("adapters", given.home / LINES, given.home / "adapters")["events_per_s"]
    rounds = measure_rounds(given.home, GROUPS, given.rounds, _KEPT, until)
    judged = judge(rows_for(sizes, fastest_peer(rounds)), rounds)
    page = format_page(judged, rounds, sizes, (given.home / LINES).stat().st_size, rates)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "benchmarks.md").write_text(page)
    plot_goals(given.out / "images" / "benchmarks.svg", judged)
    print(page)
    shutil.rmtree(given.home)


if __name__ == "__main__":
    main()
