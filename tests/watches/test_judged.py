"""Controls and budgets, by rows such as reports and releases write."""

import json

from audit_pipeline.alerts import Severity
from audit_pipeline.watches.judged import failed_controls, low_budgets


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


def reserved(number: int, day: str, rho: str, *, cadence: str = "daily", period: str = "2026") -> dict:
    row = {"number": number, "day": day, "scope": "s", "period": period, "cadence": cadence, "rho": rho}
    return {**row, "max_windows": 2}


def released(number: int, rho: str) -> dict:
    return {"reservation": number, "manifest": json.dumps({"privacy_loss": {"period_budget": {"rho": rho}}})}


def test_a_budget_is_low_from_the_share_of_the_policy_on() -> None:
    rows = [reserved(1, "2026-03-01", "4/10"), reserved(2, "2026-03-02", "4/10")]

    assert low_budgets(rows, [released(1, "1")], 81) == []
    (fault,) = low_budgets(rows, [released(1, "1")], 80)
    assert (fault.subject, fault.item, fault.severity) == ("s", "2026", Severity.WARNING)


def test_only_as_many_windows_count_as_one_annotator_may_enter() -> None:
    rows = [reserved(n, f"2026-03-0{n}", "1/10") for n in range(1, 9)]

    assert low_budgets(rows, [released(1, "1")], 21) == []
    assert low_budgets(rows, [released(1, "1")], 20)


def test_what_is_drawn_again_of_a_window_adds_up_and_so_do_cadences() -> None:
    rows = [
        reserved(1, "2026-03-02", "1/10"),
        reserved(2, "2026-03-02", "1/10"),
        reserved(3, "2026-03-02", "1/10", cadence="weekly"),
    ]

    assert low_budgets(rows, [released(1, "1")], 31) == []
    assert low_budgets(rows, [released(1, "1")], 30)


def test_a_new_period_begins_at_nothing() -> None:
    rows = [reserved(1, "2026-03-01", "1"), reserved(2, "2027-01-01", "1/10", period="2027")]

    assert low_budgets(rows, [released(1, "1")], 50) == []


def test_a_budget_that_is_spent_is_an_error() -> None:
    (fault,) = low_budgets([reserved(1, "2026-03-01", "1")], [released(1, "1")], 80)

    assert fault.severity is Severity.ERROR
