"""Controls that went from PASS to FAIL, and privacy budgets that are nearly spent."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from audit_pipeline.alerts import Fault, Severity, one_word
from audit_pipeline.lake.declared import CONTROL_FINDINGS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.releasing.state import BudgetState, read_budget
from audit_pipeline.watches.looking import Memory, Seen, new_rows

Row = Mapping[str, Any]
_PASS, _FAIL, _NOT_APPLICABLE = "PASS", "FAIL", "NOT_APPLICABLE"


def see_controls(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Controls that failed after they had passed, until they pass again or no longer apply.

    By the judgements of single days, the newest day's last: a report of an old month says nothing of today.
    """
    table = lake.find(CONTROL_FINDINGS)
    if table is None:
        return Seen()
    newest = date.fromisoformat(memory.get("day", date.min.isoformat()))
    columns = ["control", "status", "judged_at", "first_day", "last_day"]
    rows = [row for row in new_rows(table, memory, columns) if newest <= row["first_day"] == row["last_day"]]
    rows.sort(key=lambda row: (row["last_day"], row["judged_at"]))
    newest = max([newest, *(row["last_day"] for row in rows)])
    states = failed_controls(rows, memory.get("controls", {}))
    faults = [
        Fault("control_failed", one_word(control), one_word(control), Severity.ERROR)
        for control, state in states.items()
        if state == _FAIL
    ]
    return Seen(faults, {"version": table.version, "controls": states, "day": newest.isoformat()})


def failed_controls(rows: Iterable[Row], before: Mapping[str, str]) -> dict[str, str]:
    """By control: PASS, or FAIL where it failed after a PASS; one that never passed is no news and is not here."""
    states = dict(before)
    for row in rows:
        control, status = row["control"], row["status"]
        if status == _PASS or (status == _FAIL and states.get(control) == _PASS):
            states[control] = status
        elif status == _NOT_APPLICABLE:
            states.pop(control, None)
    return states


def see_budgets(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """The privacy budget of this year, where more of it is gone than the policy's share."""
    if policy.summaries is None:
        return Seen()
    state = read_budget(lake, policy.summaries.budget, str(now.astimezone(UTC).year))
    return Seen(low_budgets([state], policy.alerts.watch.budget_percent))


def low_budgets(states: Iterable[BudgetState], percent: int) -> list[Fault]:
    """A fault for each period whose budget is spent or reserved to `percent`; an error where nothing is left."""
    faults = []
    for state in states:
        if state.budget and 100 * (state.budget - state.left) >= percent * state.budget:
            severity = Severity.WARNING if state.left > 0 else Severity.ERROR
            said = f"{percent} percent are spent or more"
            faults.append(Fault("budget_low", "annotator_budget", one_word(state.period), severity, said))
    return faults
