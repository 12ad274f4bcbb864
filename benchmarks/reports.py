"""How many reports a second are made of prepared facts, and how long controls take to judge.

    python benchmarks/reports.py [--rounds N]
    python benchmarks/reports.py --month RECORDS --home FOLDER

The facts are those of the tests, of a day and of a month, in which all 75 controls have evidence. With `--month` a lake
of 31 days with so many judgements is made in FOLDER, which must not be there yet, and that month is judged once.
Only the typed view is made, and no verification: what `verify` takes is in docs/growth.md.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from audit_pipeline.check import check_report
from audit_pipeline.derive import DERIVE_APP
from audit_pipeline.derive.event_files import event_file
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.data_files import put_rows
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.events import EVENT_SCHEMAS
from audit_pipeline.report.bundle import bundle_report
from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.facts import Facts, Period, Verified
from audit_pipeline.reporting.judged import ReportPolicy, judge_period
from audit_pipeline.reporting.making import render
from audit_pipeline.tlog.trust import Trust
from tests.lakes import TODAY, LakeForTests
from tests.report.complete import complete_database, judge_all, judge_of
from tests.report.made import SIGNER, complete_facts

DAYS = [TODAY - timedelta(days=n) for n in reversed(range(31))]
ANNOTATORS = 1000


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median of the rounds in time of the processor, after one that warms up."""
    work()
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return median(taken)


def others(facts: Facts) -> Iterator[Facts]:
    """The same of ever other lakes, so that nothing is made of one report for another but what all have in common."""
    number = 0
    while True:
        number += 1
        yield replace(facts, origin=f"{facts.origin}/{number}")


def day_of(facts: Facts) -> Facts:
    """What a report of the month's last day alone says."""
    last = facts.period.last
    findings = tuple(replace(finding, days_read=(last,)) for finding in facts.findings)
    return replace(facts, period=Period(last, last), days=facts.days[-1:], proofs=facts.proofs[-1:], findings=findings)


def made_of_facts(rounds: int) -> None:
    month, judge = complete_facts(), judge_of(complete_database())
    trust = Trust((SIGNER.verifier,))
    for name, facts in (("a day", day_of(month)), ("a month", month)):
        of = others(facts)
        bundle = bundle_report(facts, render(facts, ["html", "oscal"]), SIGNER)
        shown("HTML, JSON and OSCAL of " + name, seconds(lambda of=of: render(next(of), ["html", "oscal"]), rounds))
        shown(f"a bundle of {name} checked", seconds(lambda bundle=bundle: check_report(bundle, trust), rounds))
    shown("75 controls judged", seconds(lambda: judge_all(judge), rounds))


def shown(name: str, taken: float) -> None:
    print(f"{name:35} {taken * 1000:8.1f} ms {1 / taken:8.1f} /s")


def month_judged(records: int, home: Path) -> None:
    lake = month_lake(records, home)
    policy, verified = ReportPolicy(load_catalogue()), Verified(datetime.now(UTC), (), 0, None)
    begun = time.perf_counter()
    facts = judge_period(lake, Period(DAYS[0], DAYS[-1]), policy, verified)
    taken = time.perf_counter() - begun
    most = max(finding.n for finding in facts.findings)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"a month of {records} judgements read and judged: {taken:.1f} s, at most {memory} MB; examined {most}")


def month_lake(records: int, home: Path) -> Lake:
    """A lake of sealed days, each with its share of the records in `annotations`."""
    home.mkdir(parents=True)
    made = LakeForTests(home)
    for day in DAYS:
        made.land("a.jsonl", b'{"a": 1}\n', day)
        made.run(day)
    opened = made.lake.open(EVENTS["annotations"])
    for number, day in enumerate(DAYS, opened.transaction(DERIVE_APP) + 1):
        file = put_rows(opened, event_file(number), judgements(day, records // len(DAYS)))
        assert opened.commit(Commit(milliseconds(made.now), DERIVE_APP, number, (file,)), number - 1)
    return made.lake


def judgements(day: date, count: int) -> pa.Table:
    """Judgements of a day, two of each item; columns that controls do not read are null."""
    position = pa.array(range(count), pa.int64())
    text = position.cast(pa.string())
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    values = {
        "day": day,
        "source_id": f"{day:%Y%m%d}" * 8,
        "generation": 0,
        "snapshot": 0,
        "position": position,
        "event_id": pc.binary_join_element_wise(day.isoformat(), text, "/"),
        "source_format": "made",
        "adapter_version": "1",
        "event_time": at,
        "event_time_quality": "utc",
        "run_id": "run",
        "item_id": pc.divide(position, 2).cast(pa.string()),
        "annotator_id": pc.binary_join_element_wise(
            "p", pc.subtract(position, pc.multiply(pc.divide(position, ANNOTATORS), ANNOTATORS)).cast(pa.string()), "-"
        ),
        "annotator_kind": "human",
        "question": "helpful",
        "kind": "pairwise",
        "outcome": "a",
        "extra_json": "{}",
    }
    schema = EVENT_SCHEMAS["annotations"]
    columns = [
        value.cast(field.type) if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, field.type), count)
        for field in schema
        for value in [values.get(field.name)]
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--month", type=int, metavar="RECORDS")
    parser.add_argument("--home", type=Path, default=Path("bench-home/month"))
    asked = parser.parse_args()
    if asked.month is None:
        made_of_facts(asked.rounds)
    else:
        month_judged(asked.month, asked.home)


if __name__ == "__main__":
    main()
