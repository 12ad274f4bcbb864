"""The status rule: what is not shown is NOT_EVIDENCED, whatever else is there."""

from collections import Counter
from datetime import date, timedelta

import pytest

from audit_pipeline.report.catalogue import Control, load_catalogue
from audit_pipeline.report.evidence import create_tables, open_database
from audit_pipeline.report.facts import FAIL, NOT_APPLICABLE, NOT_EVIDENCED, PASS, DayEvidence, Period
from audit_pipeline.report.judging import OF_THE_LOG, Judge, Scope
from tests.report.complete import DAYS, PERIOD, complete_database, judge_all, judge_of, sound_days

OLD = date(2026, 8, 1)


@pytest.fixture
def judge() -> Judge:
    return judge_of(complete_database())


def control(judge: Judge, id_: str) -> Control:
    return next(one for one in judge.catalogue.controls if one.id == id_)


def test_an_empty_lake_evidences_nothing() -> None:
    database = open_database()
    create_tables(database)
    nothing = {day: DayEvidence(day, (), False, None, None) for day in DAYS}

    found = judge_all(judge_of(database, days=nothing))

    assert Counter(one.status for one in found.values()) == {NOT_EVIDENCED: 75}


def test_complete_evidence_passes_every_control(judge: Judge) -> None:
    found = judge_all(judge)

    assert {id_: (one.status, one.detail) for id_, one in found.items() if one.status != PASS} == {}
    assert len(found) == 75
    assert all(one.reason == one.detail == "" for one in found.values())


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (DayEvidence(DAYS[7], (), False, None, None), "unsealed"),
        (DayEvidence(DAYS[7], (), True, None, None), "unverified"),
        (DayEvidence(DAYS[7], (), True, sound_days()[DAYS[7]].verified_at, "rows do not match"), "integrity"),
    ],
)
def test_one_day_that_cannot_be_relied_on_takes_every_pass_but_the_logs_own(
    judge: Judge, day: DayEvidence, reason: str
) -> None:
    found = judge_all(judge_of(judge.database, days={**sound_days(), day.day: day}))

    others = [one for id_, one in found.items() if id_ not in OF_THE_LOG]
    assert {(one.status, one.reason) for one in others} == {(NOT_EVIDENCED, reason)}
    assert str(day.day) in others[0].detail


def test_a_day_outside_the_period_counts_for_the_controls_that_read_it(judge: Judge) -> None:
    bad = {**sound_days(), OLD: DayEvidence(OLD, (), True, None, None)}
    days_read = lambda table: frozenset({OLD}) if table == "incidents" else frozenset()  # noqa: E731

    found = judge_all(judge_of(judge.database, days=bad, days_read=days_read))

    assert {id_ for id_, one in found.items() if one.status != PASS} == {"EUA-20-01", "EUA-55-01", "EUA-73-01"}
    assert OLD in found["EUA-73-01"].days_read


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (Scope({"personal_data": "no"}, is_approved=True), NOT_APPLICABLE),
        (Scope({"personal_data": "no"}, is_approved=False), NOT_EVIDENCED),
        (Scope({}, is_approved=True), NOT_EVIDENCED),
        (Scope({"personal_data": "yes"}, is_approved=True), PASS),
    ],
)
def test_only_an_approved_scope_statement_makes_a_control_not_applicable(
    judge: Judge, scope: Scope, status: str
) -> None:
    assert judge_of(judge.database, scope=scope).judge(control(judge, "GDPR-17-01")).status == status


def test_a_scope_statement_of_an_unverified_day_makes_nothing_not_applicable(judge: Judge) -> None:
    unsure = judge_of(
        judge.database,
        scope=Scope({"personal_data": "no"}, is_approved=True),
        days={**sound_days(), OLD: DayEvidence(OLD, (), True, None, None)},
        days_read=lambda table: frozenset({OLD}) if table == "scope" else frozenset(),
    )

    found = unsure.judge(control(judge, "GDPR-17-01"))

    assert (found.status, found.reason) == (NOT_EVIDENCED, "unverified")


@pytest.mark.parametrize(
    ("role", "status"), [("gpai_provider_of_something_else", NOT_APPLICABLE), ("deployer, gpai_provider", PASS)]
)
def test_a_role_is_one_of_a_list_and_no_part_of_a_word(judge: Judge, role: str, status: str) -> None:
    found = judge_of(judge.database, scope=Scope({"role": role}, is_approved=True)).judge(control(judge, "EUA-53-05"))

    assert found.status == status


def test_an_empty_table_is_absence_only_with_a_heartbeat_on_every_day(judge: Judge) -> None:
    wanted = control(judge, "EUA-04A-01")
    judge.database.execute("DELETE FROM access_log")
    assert judge.judge(wanted).reason == "no_heartbeat"

    judge.database.executemany("INSERT INTO heartbeats VALUES ('access_log', ?)", [[day] for day in DAYS[1:]])
    assert judge.judge(wanted).reason == "no_heartbeat"

    judge.database.execute("INSERT INTO heartbeats VALUES ('access_log', ?)", [DAYS[0]])
    assert judge.judge(wanted).status == PASS


def test_a_violation_is_never_hidden_by_thin_evidence(judge: Judge) -> None:
    judge.database.execute("UPDATE iaa_daily SET ci_low = 0.1, n_overlap = 0")

    found = judge.judge(control(judge, "EUA-10-09"))

    assert (found.status, found.reason, found.violations) == (FAIL, "violations", len(DAYS))
    assert found.coverage == 0


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("SELECT nonsense FROM incidents", "the query fails"),
        ("SELECT 1, NULL, 0 FROM incidents WHERE false", "not one row"),
        ("SELECT 1, NULL FROM incidents LIMIT 1", "not one row"),
        ("SELECT 1, NULL, 0 FROM read_text('/etc/hostname')", "the query fails"),
        ("ATTACH 'x.db'; SELECT 1, NULL, 0", "the query fails"),
    ],
)
def test_a_query_that_cannot_answer_evidences_nothing_and_reaches_no_file(
    judge: Judge, query: str, detail: str
) -> None:
    found = judge.judge(control(judge, "EUA-73-01").model_copy(update={"query": query}))

    assert (found.status, found.reason) == (NOT_EVIDENCED, "error")
    assert detail in found.detail


def test_a_register_that_cannot_be_read_evidences_nothing(judge: Judge) -> None:
    found = judge_of(judge.database, problems={"incidents": "incidents.csv: has no column 'x'"}).judge(
        control(judge, "EUA-73-01")
    )

    assert (found.status, found.reason) == (NOT_EVIDENCED, "error")
    assert "has no column 'x'" in found.detail


def test_what_is_judged_before_a_law_applies_is_early_evidence(judge: Judge) -> None:
    judge.database.execute("UPDATE incidents SET reported_at = NULL")
    early = {id_ for id_, one in judge_all(judge).items() if one.is_early}
    law = judge.catalogue.law["high_risk"].applies_from
    later = judge_of(
        judge.database, period=Period(law - timedelta(days=1), law), days=sound_days([law - timedelta(days=1), law])
    )

    found = judge.judge(control(judge, "EUA-73-01"))

    assert (found.status, found.is_early) == (FAIL, True)
    assert early == {one.id for one in judge.catalogue.controls if one.law == "high_risk"}
    assert not later.judge(control(judge, "EUA-73-01")).is_early


def test_too_few_records_and_too_little_coverage_are_told_apart(judge: Judge) -> None:
    judge.database.execute("DELETE FROM roots WHERE day < DATE '2026-06-01'")
    younger = judge.judge(control(judge, "EUA-19-01"))
    judge.database.execute("UPDATE annotations SET ingest_method = NULL WHERE position = 0")
    partly = judge.judge(control(judge, "EUA-12-01"))

    assert (younger.status, younger.reason) == (NOT_EVIDENCED, "no_records")
    assert (partly.status, partly.reason, partly.coverage) == (NOT_EVIDENCED, "coverage", 0.9)


def test_a_late_segment_is_no_gap_and_a_missing_entry_is(judge: Judge) -> None:
    chain = control(judge, "INT-01")
    assert judge.judge(chain).status == PASS  # each day of the fixture has two segments

    judge.database.execute("DELETE FROM roots WHERE day = DATE '2026-10-09' AND segment = 2")
    assert judge.judge(chain).status == FAIL
    judge.database.execute("DELETE FROM roots WHERE day = DATE '2026-10-09'")
    assert judge.judge(chain).coverage == pytest.approx(30 / 31)


def test_the_period_has_both_of_its_days(judge: Judge) -> None:
    assert len(DAYS) == (PERIOD.last - PERIOD.first).days + 1 == 31
    assert load_catalogue().controls == judge.catalogue.controls
