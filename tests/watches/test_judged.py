"""Controls and budgets, by rows such as reports and releases write."""

from datetime import timedelta
from fractions import Fraction

from audit_pipeline.alerts import Severity
from audit_pipeline.policy import Policy
from audit_pipeline.releasing.state import BudgetState
from audit_pipeline.watches.judged import failed_controls, low_budgets, see_controls
from tests.lakes import LakeForTests
from tests.watches.judgements import NOW, append_judgements


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


def test_reports_and_days_of_before_cure_nothing_of_today(lake: LakeForTests) -> None:
    append_judgements(lake.lake, "PASS", "FAIL")
    today = see_controls(NO_POLICY, lake.lake, NOW, {})
    before = NOW.date() - timedelta(days=30)
    append_judgements(lake.lake, "PASS", first=before)
    append_judgements(lake.lake, "PASS", first=before, last=before)

    assert [fault.item for fault in today.faults] == ["LOG-1"]
    assert see_controls(NO_POLICY, lake.lake, NOW, today.memory).faults == today.faults


def test_judgements_are_read_from_where_the_last_look_ended(lake: LakeForTests) -> None:
    append_judgements(lake.lake, "PASS")
    first = see_controls(NO_POLICY, lake.lake, NOW, {})
    append_judgements(lake.lake, "FAIL")
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
