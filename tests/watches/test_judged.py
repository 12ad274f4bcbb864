"""Controls and budgets, by rows such as reports and releases write."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pyarrow as pa

from audit_pipeline.alerts import Severity
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import CONTROL_FINDINGS
from audit_pipeline.policy import Policy
from audit_pipeline.releasing.state import BudgetState
from audit_pipeline.watches.judged import failed_controls, low_budgets, see_controls
from tests.lakes import LakeForTests


def findings(*statuses: str) -> dict[str, str]:
    return failed_controls([{"control": "LOG-1", "status": status} for status in statuses], {})


def test_a_control_that_fails_after_it_passed_is_a_fault() -> None:
    assert findings("PASS", "FAIL") == {"LOG-1": "FAIL"}


def test_a_control_that_never_passed_is_no_news() -> None:
    assert findings("FAIL", "FAIL") == {}


def test_a_failed_control_is_not_cured_by_missing_evidence() -> None:
    assert findings("PASS", "FAIL", "NOT_EVIDENCED") == {"LOG-1": "FAIL"}


def test_a_failed_control_is_cured_by_a_pass_or_by_no_longer_applying() -> None:
    assert findings("PASS", "FAIL", "PASS") == {"LOG-1": "PASS"}
    assert findings("PASS", "FAIL", "NOT_APPLICABLE") == {}


def appended(lake: LakeForTests, *statuses: str, first: date | None = None, last: date | None = None) -> None:
    """Judgements of one control, each a commit, of one day unless a report's period is given."""
    table = lake.lake.open(CONTROL_FINDINGS)
    for number, status in enumerate(statuses, table.transaction("test") + 1):
        row = {field.name: _FILLED[field.type] for field in CONTROL_FINDINGS.schema}
        row |= {"control": "LOG-1", "status": status, "judged_at": NOW + timedelta(minutes=number)}
        row |= {"first_day": first or NOW.date(), "last_day": last or NOW.date()}
        rows = pa.Table.from_pylist([row], schema=CONTROL_FINDINGS.schema)
        assert append_rows(table, "test", number - 1, rows, NOW, lake.entropy(32))


NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
_FILLED = {
    pa.date32(): NOW.date(), pa.string(): "", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False,
    pa.timestamp("us", tz="UTC"): NOW,
}  # fmt: skip


def test_reports_and_days_of_before_cure_nothing_of_today(lake: LakeForTests) -> None:
    appended(lake, "PASS", "FAIL")
    today = see_controls(NO_POLICY, lake.lake, NOW, {})
    before = NOW.date() - timedelta(days=30)
    appended(lake, "PASS", first=before, last=NOW.date())
    appended(lake, "PASS", first=before, last=before)

    assert [fault.item for fault in today.faults] == ["LOG-1"]
    assert see_controls(NO_POLICY, lake.lake, NOW, today.memory).faults == today.faults


def test_judgements_are_read_from_where_the_last_look_ended(lake: LakeForTests) -> None:
    appended(lake, "PASS")
    first = see_controls(NO_POLICY, lake.lake, NOW, {})
    appended(lake, "FAIL")
    second = see_controls(NO_POLICY, lake.lake, NOW, first.memory)

    assert first.faults == []
    assert [(fault.kind, fault.subject) for fault in second.faults] == [("control_failed", "LOG-1")]
    assert see_controls(NO_POLICY, lake.lake, NOW, {}).faults == second.faults


NO_POLICY: Policy = None  # type: ignore[assignment]
"""Controls are looked at whatever the policy says."""


def state(budget: str, spent: str, reserved: str = "0") -> BudgetState:
    numbers = [Fraction(text) for text in (budget, spent, reserved)]
    return BudgetState("2026", *numbers, Fraction(0), Fraction(1), 1e-6, 1)


def test_a_budget_is_low_from_the_share_of_the_policy_on() -> None:
    assert low_budgets([state("1", "79/100")], 80) == []
    (fault,) = low_budgets([state("1", "8/10")], 80)
    assert (fault.kind, fault.item, fault.severity) == ("budget_low", "2026", Severity.WARNING)


def test_what_is_reserved_is_gone_too() -> None:
    assert low_budgets([state("1", "4/10", "4/10")], 80)


def test_a_budget_that_is_gone_is_an_error() -> None:
    (fault,) = low_budgets([state("1", "1")], 80)

    assert fault.severity is Severity.ERROR
