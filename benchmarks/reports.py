"""How many reports a second are made of prepared facts, and how long controls take to judge.

    python benchmarks/reports.py [--rounds N]

The facts are those of the tests: a month in which all 75 controls have evidence.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audit_pipeline.check import check_report
from audit_pipeline.report.bundle import bundle_report
from audit_pipeline.reporting.making import render
from audit_pipeline.tlog.trust import Trust
from tests.report.complete import complete_database, judge_all, judge_of
from tests.report.made import SIGNER, complete_facts


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median of the rounds in time of the processor, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    facts, judge = complete_facts(), judge_of(complete_database())
    files = render(facts, ["html", "oscal"])
    bundle, trust = bundle_report(facts, files, SIGNER), Trust((SIGNER.verifier,))
    works: dict[str, Callable[[], object]] = {
        "HTML, JSON and OSCAL rendered": lambda: render(facts, ["html", "oscal"]),
        "the same, bundled and signed": lambda: bundle_report(facts, render(facts, ["html", "oscal"]), SIGNER),
        "a bundle checked": lambda: check_report(bundle, trust),
        "75 controls judged": lambda: judge_all(judge),
    }
    for name, work in works.items():
        taken = seconds(work, rounds)
        print(f"{name:35} {taken * 1000:8.1f} ms {1 / taken:8.1f} /s")


if __name__ == "__main__":
    main()
