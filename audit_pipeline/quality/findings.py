"""What judging a day comes to: one finding for each expectation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, get_args

from audit_pipeline.quality.suites import Expectation

State = Literal["passed", "failed", "waived", "not_judged", "error"]
"""`waived`: failed, and a waiver of the policy says to go on. `not_judged`: too little to judge by; never a pass.
`error`: Great Expectations could not evaluate it."""

STATES: tuple[State, ...] = get_args(State)
SAMPLE = 20
"""References in a finding, at most: enough to look at, too few to be a copy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one expectation of one table came to on one day."""

    table: str
    expectation: Expectation
    state: State
    reason: str = ""
    """Why it is not judged, or who waived it and why, or what kind of error it was."""
    observed: str = ""
    """What was observed, in words: a number, bounds in brackets. Never a value of a row."""
    observed_value: float | None = None
    """The same as a number, where it is one: what later days are compared with."""
    rows: int = 0
    """Rows of the table on the day."""
    failing: int | None = None
    """Rows that fail, where the expectation is about rows."""
    sample: tuple[str, ...] = ()
    """References of the first failing rows."""
    names: tuple[str, ...] = ()
    """Names that were observed, of fields or formats, where the expectation is about names."""

    @property
    def holds_back_reports(self) -> bool:
        return self.expectation.is_blocking and self.state in ("failed", "error")


@dataclass(frozen=True, slots=True)
class Waiver:
    """A failing expectation that somebody answers for until a day."""

    table: str
    expectation: str
    who: str
    why: str
    until: date
    """The last day, by the clock, on which it counts."""


def waive(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    """The finding, waived where it failed and a waiver in force names it."""
    if finding.state != "failed":
        return finding
    for waiver in waivers:
        is_for_it = (waiver.table, waiver.expectation) == (finding.table, finding.expectation.name)
        if is_for_it and today <= waiver.until:
            return replace(finding, state="waived", reason=f"waived until {waiver.until} by {waiver.who}: {waiver.why}")
    return finding
