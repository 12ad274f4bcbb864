"""Controls that went from PASS to FAIL, privacy budgets that are nearly spent: by the rows that say so.

The tables are those of reports and releases; a lake without them has nothing to see here.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from audit_pipeline.alerts import Fault, Severity, one_word
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.watches.looking import Memory, Seen, new_rows

Row = Mapping[str, Any]
_PASS, _FAIL, _NOT_APPLICABLE = "PASS", "FAIL", "NOT_APPLICABLE"


def see_controls(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Controls that failed after they had passed, until they pass again or no longer apply."""
    table = lake.find_named("control_findings")
    if table is None:
        return Seen()
    rows = new_rows(table, memory, ["control", "status", "judged_at"])
    states = failed_controls(sorted(rows, key=lambda row: row["judged_at"]), memory.get("controls", {}))
    faults = [
        Fault("control_failed", one_word(control), one_word(control), Severity.ERROR)
        for control, state in states.items()
        if state == _FAIL
    ]
    return Seen(faults, {"version": table.version, "controls": states})


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
    """Privacy budgets of this period of which more is spent than the policy's share."""
    ledger, releases = lake.find_named("privacy_ledger"), lake.find_named("releases")
    if ledger is None or releases is None:
        return Seen()
    columns = ["number", "day", "scope", "period", "cadence", "rho", "max_windows"]
    manifests = releases.read(["reservation", "manifest"]).to_pylist()
    rows = ledger.read(columns).to_pylist()
    return Seen(low_budgets(rows, manifests, policy.alerts.watch.budget_percent))


def low_budgets(ledger: Sequence[Row], releases: Iterable[Row], percent: int) -> list[Fault]:
    """A fault for each scope whose newest period has spent `percent` of its budget, as the newest release names it.

    Spent is what one annotator has lost at most: the dearest windows of a cadence, as many as one may enter.
    """
    scopes = {row["number"]: row["scope"] for row in ledger}
    budgets = {}
    for row in sorted(releases, key=lambda row: int(row["reservation"])):
        said = json.loads(row["manifest"])["privacy_loss"]["period_budget"]
        budgets[scopes.get(row["reservation"])] = Fraction(said["rho"])
    faults = []
    for scope, budget in budgets.items():
        of_scope = [row for row in ledger if row["scope"] == scope]
        if not of_scope or not budget:
            continue
        period = max(row["period"] for row in of_scope)
        used = int(100 * _spent([row for row in of_scope if row["period"] == period]) / budget)
        if used >= percent:
            severity = Severity.ERROR if used >= 100 else Severity.WARNING
            faults.append(
                Fault(
                    "budget_low",
                    one_word(str(scope)),
                    one_word(period),
                    severity,
                    f"{percent} percent are spent or more",
                )
            )
    return faults


def _spent(rows: Sequence[Row]) -> Fraction:
    windows: dict[tuple[str, Any], Fraction] = defaultdict(Fraction)
    most: dict[str, int] = defaultdict(int)
    for row in rows:
        windows[row["cadence"], row["day"]] += Fraction(row["rho"])
        most[row["cadence"]] = max(most[row["cadence"]], row["max_windows"])
    total = Fraction(0)
    for cadence, count in most.items():
        prices = sorted((rho for (of, _), rho in windows.items() if of == cadence), reverse=True)
        total += sum(prices[:count], Fraction(0))
    return total
