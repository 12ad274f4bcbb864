"""The shipped suites on a day with exactly one fault: its expectation fails, alone, and names the right rows."""

from typing import Any

import pytest

from audit_pipeline.quality.findings import SAMPLE, Finding
from tests.quality.day import SUITES, Day, clean_day, judged, usual
from tests.quality.planted import FAULTS

JOINED = {"generations": ("annotations", "reward_scores")}
"""Tables whose suites look at another's rows too."""


def unwell(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state != "passed"]


def test_every_expectation_holds_on_a_clean_day_and_none_is_left_unjudged() -> None:
    day = clean_day()

    findings = judged(day, usual(day))

    assert [(one.table, one.expectation.name, one.state, one.observed) for one in unwell(findings)] == []
    assert len(findings) == sum(len(suite.expectations) for suite in SUITES)


def test_there_is_a_fault_for_every_expectation() -> None:
    assert set(FAULTS) == {(suite.table, one.name) for suite in SUITES for one in suite.expectations}


def each_kind_first() -> list[Any]:
    """The faults; all but the first of each type of expectation, and those that hold back reports, are slow."""
    seen, found = set(), []
    for suite in SUITES:
        for one in suite.expectations:
            is_quick = one.type not in seen or (one.is_blocking and one.name != "event_id_unique")
            seen.add(one.type)
            marks = [] if is_quick else [pytest.mark.slow]
            found.append(pytest.param(suite.table, one.name, marks=marks, id=f"{suite.table}-{one.name}"))
    return found


@pytest.mark.parametrize(("table", "name"), each_kind_first())
def test_a_fault_fails_its_expectation_alone_and_names_its_rows(table: str, name: str) -> None:
    day = clean_day()
    before = usual(day)

    failing = FAULTS[table, name](day)

    suites = tuple(suite for suite in SUITES if suite.table in (table, *JOINED.get(table, ())))
    bad = unwell(judged(day, before, suites))
    assert [(one.table, one.expectation.name) for one in bad if one.state != "not_judged"] == [(table, name)]
    (finding,) = [one for one in bad if one.state != "not_judged"]
    assert finding.state == "failed"
    if failing is not None:
        assert finding.failing is not None
        assert set(finding.sample) <= failing
        assert len(set(finding.sample)) == min(len(failing), SAMPLE)


def test_a_day_without_rows_is_not_judged_good() -> None:
    day: Day = {name: [] for name in clean_day()}

    findings = judged(day, {name: {} for name in day})

    assert {finding.state for finding in findings} == {"not_judged"}


def test_a_day_without_rows_after_days_with_some_fails_on_volume() -> None:
    before = usual(clean_day())
    day: Day = {name: [] for name in before}

    findings = judged(day, before)

    failed = {(one.table, one.expectation.name) for one in findings if one.state == "failed"}
    assert failed == {(suite.table, "volume") for suite in SUITES if "volume" in suite.names}
