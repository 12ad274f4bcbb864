"""What the pipeline wrote about itself is evidence of controls, once it is sealed."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.errors import InputError
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import ALERTS, QUALITY_FINDINGS, Table
from audit_pipeline.privacy.ledger import loss
from audit_pipeline.privacy.mechanisms import epsilon_at
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Question, Release
from audit_pipeline.privacy.statistics import Count, Histogram
from audit_pipeline.privacy.unit import ProtectedUnit, Window
from audit_pipeline.releasing import check_ledger, release_window
from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.evidence import days_read, evidence_tables, fill, open_database
from audit_pipeline.report.facts import Period
from audit_pipeline.report.pages import read_pages
from audit_pipeline.reporting.judged import ReportPolicy
from audit_pipeline.reporting.making import make_report
from audit_pipeline.reporting.period import judge_verified
from audit_pipeline.reporting.reading import read_period
from audit_pipeline.signers import signer_in_force
from audit_pipeline.sources.landing import Stream
from audit_pipeline.verify import verify
from tests.lakes import RUNS, TODAY, LakeForTests

PERIOD = Period(TODAY, TODAY)
WEEK = Window("weekly", date(2026, 2, 23))
BUDGET = Budget(Fraction("0.5"), 1e-6, Fraction("1e-7"))
WAIVED = "waived until 2026-04-01 by Ada: known"


@pytest.fixture
def home(tmp_path: Path) -> LakeForTests:
    """A lake with a sealed day and a register of data sets, whose files all are of the data set `people`."""
    home = LakeForTests(tmp_path, streams=[RUNS, Stream("registers", "registers/**")])
    home.land("a.jsonl", b'{"a": 1}\n')
    supply(home, "collections.csv", "stream,path_prefix,dataset_id\nruns,,people\n")
    home.run()
    return home


def supply(home: LakeForTests, name: str, text: str) -> None:
    path = home.places.landing / "registers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def append(home: LakeForTests, table: Table, app: str, rows: list[dict[str, Any]]) -> None:
    opened = home.lake.open(table)
    columns = pa.Table.from_pylist(rows, schema=table.schema)
    assert append_rows(opened, app, opened.transaction(app), columns, home.now, home.entropy(32))


def found(expectation: str, state: str = "passed", **given: Any) -> dict[str, Any]:
    said = {
        "day": TODAY,
        "judged_table": "annotations",
        "expectation": expectation,
        "description": "",
        "type": "unexpected_rows_expectation",
        "expected": "{}",
        "severity": "warning",
        "is_blocking": False,
        "state": state,
        "reason": WAIVED if state == "waived" else "",
        "observed": "",
        "names": [],
        "rows": 3,
        "sample": [],
        "round": 1,
        "judged_at": None,
        "basis": "ba" * 32,
    }
    return {**said, **given}


def judged(home: LakeForTests, *findings: dict[str, Any]) -> None:
    append(home, QUALITY_FINDINGS, f"quality/{TODAY}", [{**one, "judged_at": home.now} for one in findings])


def seal_audit_rows(home: LakeForTests) -> None:
    assert take_in_audit_rows(home.lake, TODAY, now=lambda: home.now, entropy=home.entropy) is not None
    home.seal()
    home.take_inventory()


def read(home: LakeForTests, period: Period = PERIOD) -> duckdb.DuckDBPyConnection:
    database = open_database()
    fill(database, read_period(home.lake, period, "registers").evidence)
    return database


def rows(database: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return database.execute(sql).fetchall()


def test_what_is_not_sealed_yet_is_no_evidence(home: LakeForTests) -> None:
    judged(home, found("event_id_unique"))
    assert rows(read(home), "SELECT count(*) FROM dq_results") == [(0,)]

    seal_audit_rows(home)

    assert rows(read(home), "SELECT count(*) FROM dq_results") == [(2,)]


def test_the_days_that_vouch_for_findings_are_those_that_took_them_in(home: LakeForTests) -> None:
    judged(home, found("event_id_unique", day=TODAY - timedelta(days=3)))
    seal_audit_rows(home)

    evidence = read_period(home.lake, PERIOD, "registers").evidence

    assert evidence.lake_days["quality_findings"] == {TODAY}
    assert days_read(evidence, evidence_tables()["dq_results"]) == {TODAY}


def test_a_finding_is_a_result_for_its_table_and_for_the_data_sets_of_the_day(home: LakeForTests) -> None:
    judged(
        home,
        found("event_id_unique", type="expect_column_values_to_be_unique", is_blocking=True, observed_value=0.0),
        found("kind_known", "failed", type="expect_column_values_to_be_in_set", expected='{"mostly":0.9}'),
        found("volume", judged_table="runs", type="expect_table_row_count_to_be_between", expected='{"min_value":5}'),
        found("overlap", "not_judged"),
        found("no_flooding", "error"),
        found("responses_alike_in_pair", "waived"),
    )
    seal_audit_rows(home)

    got = rows(
        read(home),
        "SELECT check_id, dimension, asset, status, severity, threshold, threshold_version, disposition_ref "
        "FROM dq_results ORDER BY ALL",
    )

    basis = "ba" * 32
    assert got == [
        ("event_id_unique", "uniqueness", "annotations", "pass", "blocking", 1.0, basis, None),
        ("event_id_unique", "uniqueness", "people", "pass", "blocking", 1.0, basis, None),
        ("kind_known", "validity", "annotations", "fail", "warning", 0.9, basis, None),
        ("kind_known", "validity", "people", "fail", "warning", 0.9, basis, None),
        ("no_flooding", None, "annotations", "fail", "warning", 1.0, basis, None),
        ("no_flooding", None, "people", "fail", "warning", 1.0, basis, None),
        ("responses_alike_in_pair", None, "annotations", "fail", "warning", 1.0, basis, WAIVED),
        ("responses_alike_in_pair", None, "people", "fail", "warning", 1.0, basis, WAIVED),
        ("volume", "volume", "runs", "pass", "warning", 5.0, basis, None),
    ]


def test_the_plan_says_what_a_check_measures(home: LakeForTests) -> None:
    supply(home, "dq_plan.csv", "check_id,dimension,asset,cadence_days\nno_flooding,poisoning,people,1\n")
    home.run()
    judged(home, found("no_flooding"))
    seal_audit_rows(home)

    assert rows(read(home), "SELECT asset FROM dq_results WHERE dimension = 'poisoning'") == [("people",)]


def test_the_newest_judgement_of_a_day_counts_and_a_register_stands_beside_it(home: LakeForTests) -> None:
    supply(home, "dq_results.csv", "check_id,asset,day,status\nby_hand,people,2026-03-05,pass\n")
    home.run()
    judged(home, found("kind_known", "failed"))
    judged(home, found("kind_known", round=2))
    seal_audit_rows(home)

    got = rows(read(home), "SELECT check_id, asset, status FROM dq_results ORDER BY ALL")

    assert got == [
        ("by_hand", "people", "pass"),
        ("kind_known", "annotations", "pass"),
        ("kind_known", "people", "pass"),
    ]


def test_waivers_and_open_failures_are_on_the_pages(home: LakeForTests) -> None:
    judged(
        home,
        found("divergence_hidden", "waived", is_blocking=True),
        found("no_flooding", "failed", judged_table="generations"),
    )
    seal_audit_rows(home)

    pages = read_pages(read(home), PERIOD)

    assert pages["waivers"].rows == ((str(TODAY), "divergence_hidden", "annotations, people", WAIVED),)
    assert [row[:3] for row in pages["failed_checks"].rows] == [("no_flooding", "warning", "1")]


def test_agreement_comes_with_its_bounds_and_the_overlap_it_was_measured_on(home: LakeForTests) -> None:
    judged(
        home,
        found(
            "agreement",
            type="expect_agreement_to_be_at_least",
            expected='{"measure":"fleiss","min_value":0.2}',
            observed="0.5 [0.4, 6e-01]",
            observed_value=0.5,
        ),
        found("agreement_of_few", "not_judged", type="expect_agreement_to_be_at_least"),
    )
    seal_audit_rows(home)
    evidence = read_period(home.lake, PERIOD, "registers").evidence
    annotations = [("1", "ann"), ("1", "ben"), ("2", "ann"), ("2", "ann"), ("3", "ben")]
    schema = evidence.lake["annotations"].schema
    judgements = pa.Table.from_pylist(
        [
            {"day": TODAY, "source_id": "s", "item_id": item, "annotator_id": who, "annotator_kind": "human"}
            for item, who in annotations
        ],
        schema=pa.schema([schema.field(name) for name in schema.names]),
    )
    database = open_database()
    fill(database, type(evidence)(**{**_fields(evidence), "lake": {**evidence.lake, "annotations": judgements}}))

    assert rows(database, "FROM iaa_daily") == [(TODAY, "agreement", "fleiss", 0.5, 0.4, 0.6, 3, 1)]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}


class Fixed:
    """Noise that makes counts what a test asks for."""

    def __init__(self, counts: Iterator[list[int]]) -> None:
        self.counts = counts

    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        return next(self.counts)

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        raise NotImplementedError


def release(home: LakeForTests, questions: tuple[Question, ...], counts: list[list[int]], name: str = "sums") -> None:
    asked = Release(name, "weekly", ProtectedUnit(1, 52), questions)
    release_window(
        home.lake,
        asked,
        WEEK,
        BUDGET,
        today=TODAY,
        now=lambda: home.now,
        entropy=home.entropy,
        noise=Fixed(iter(counts)),
    )


COUNT = (Question("judgements", Count(), Fraction("0.1")),)


def test_a_release_is_published_and_its_loss_is_in_the_ledger(home: LakeForTests) -> None:
    release(home, COUNT, [[5]])
    release(home, COUNT, [[5]], "others")
    seal_audit_rows(home)

    database = read(home)

    (first, second) = rows(
        database, "SELECT budget_id, epsilon, cum_epsilon, cum_delta FROM privacy_ledger ORDER BY entry_id"
    )
    total = loss(check_ledger(home.lake), "2026")
    assert first == ("annotators 2026", first[1], first[1], 1e-6)
    assert second[2] == epsilon_at(total.rho, 1e-6) > first[2] > 0
    assert rows(database, "SELECT kind, ledger_entry_id FROM published ORDER BY ALL") == [
        ("dp_statistic", "1"),
        ("dp_statistic", "2"),
    ]
    assert [row[3] for row in read_pages(database, PERIOD)["privacy"].rows] == [f"{second[2]:g}"]


def test_of_an_earlier_period_the_last_reservation_is_kept_and_of_a_later_one_none(home: LakeForTests) -> None:
    release(home, COUNT, [[5]])
    release(home, COUNT, [[5]], "others")
    seal_audit_rows(home)
    tomorrow, yesterday = (Period(day, day) for day in (TODAY + timedelta(days=1), TODAY - timedelta(days=1)))

    assert rows(read(home, tomorrow), "SELECT entry_id FROM privacy_ledger") == [("2",)]
    assert rows(read(home, yesterday), "SELECT entry_id FROM privacy_ledger") == []


def test_a_budget_that_nobody_approved_is_shown_and_spent_of(home: LakeForTests) -> None:
    release(home, COUNT, [[5]])
    seal_audit_rows(home)

    (row,) = read_pages(read(home), PERIOD)["privacy"].rows

    assert (row[0], row[-1]) == ("annotators 2026", "\N{EN DASH}")


def test_rates_by_slice_are_those_of_histograms_where_noise_leaves_something_to_say(home: LakeForTests) -> None:
    outcomes = Histogram("outcome", ("a", "b"))
    asked = (
        Question("all", outcomes, Fraction("0.1")),
        Question("pairs", outcomes, Fraction("0.1"), {"kind": ("pairwise",)}),
        Question("few", outcomes, Fraction("0.1"), {"kind": ("rating",)}),
    )
    release(home, asked, [[50, 50], [80, 20], [2, 1]])
    seal_audit_rows(home)

    (row,) = rows(read(home), "SELECT task_id, slice, n_noisy, pref_rate_noisy, disparity FROM preference_stats")

    assert row == ("sums", "kind:pairwise", 100.0, 0.8, pytest.approx(0.3))


def alert(number: int, event: str, name: str = "one", **given: Any) -> dict[str, Any]:
    said = {"number": number, "day": TODAY, "alert": name, "event": event, "kind": "seal_missing", "subject": "runs"}
    return {**said, "severity": "error", **given}


def test_an_alert_was_judged_by_who_acknowledged_it_and_is_over_when_its_fault_is_gone(home: LakeForTests) -> None:
    supply(home, "alerts.csv", "alert_id,risk_ref,disposition\none,R-7,\nby_hand,,closed\n")
    home.run()
    append(
        home,
        ALERTS,
        "alerts",
        [
            {**row, "at": home.now + timedelta(minutes=row["number"])}
            for row in (
                alert(1, "raised"),
                alert(2, "raised", "two"),
                alert(3, "raised", "three", severity="warning"),
                alert(4, "grown", "three", severity="critical"),
                alert(5, "acknowledged", person="Ada"),
                alert(6, "resolved", "two"),
                alert(7, "resolved", "three"),
                alert(8, "reopened", "three"),
            )
        ],
    )
    home.land("b.jsonl", b'{"a": 2}\n')
    home.ingest()
    seal_audit_rows(home)

    database = read(home)
    got = rows(
        database,
        "SELECT alert_id, severity, disposition, disposed_at IS NULL, risk_ref, resolved_at IS NULL "
        "FROM alerts ORDER BY ALL",
    )

    assert got == [
        ("by_hand", None, "closed", True, None, True),
        ("one", "high", "acknowledged by Ada", False, "R-7", True),
        ("three", "critical", None, True, None, True),
        ("two", "high", None, True, None, False),
    ]
    assert read_pages(database, PERIOD)["alerts"].rows == (
        ("critical", "1", "0", "0", "1"),
        ("high", "2", "1", "1", "0"),
    )


def report(home: LakeForTests) -> None:
    clock: dict[str, Any] = {"now": lambda: home.now, "entropy": home.entropy}
    facts = judge_verified(home.lake, PERIOD, ReportPolicy(load_catalogue()), verifying=verify, **clock)
    make_report(home.lake, facts, [], signer_in_force(home.lake, None), TODAY, **clock)


@pytest.mark.parametrize("state", ["failed", "error"])
def test_a_blocking_check_that_failed_holds_the_report_back_until_it_is_waived(home: LakeForTests, state: str) -> None:
    judged(home, found("advice", "failed"), found("divergence_hidden", state, is_blocking=True))
    seal_audit_rows(home)
    with pytest.raises(
        InputError, match="2026-03-05: the blocking check divergence_hidden of annotations failed; mend"
    ):
        report(home)
    assert not home.places.reports.exists()

    judged(home, found("divergence_hidden", "waived", is_blocking=True, round=2))

    report(home)
    assert len(list(home.places.reports.rglob("report.json"))) == 1


def test_the_notice_waits_for_no_check(home: LakeForTests) -> None:
    judged(home, found("divergence_hidden", "failed", is_blocking=True))
    seal_audit_rows(home)
    path = next(home.places.lake.joinpath("restricted", "records").rglob("runs/*/*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])

    report(home)

    (made,) = home.places.reports.rglob("report.json")
    assert "2026-03-05" in made.read_text()
    assert json.loads(made.read_text())["no_reliance"]
