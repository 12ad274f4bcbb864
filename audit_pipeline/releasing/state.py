"""What of a period's budget is spent, reserved and left."""

from dataclasses import dataclass
from fractions import Fraction

from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.reservations import read_reservations
from audit_pipeline.privacy.ledger import loss
from audit_pipeline.privacy.mechanisms import epsilon_at
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Release


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One period's budget, in rho but for what is named otherwise. What one annotator may have lost, at most."""

    period: str
    budget: Fraction
    spent: Fraction
    """Of what was published."""
    reserved: Fraction
    """Beside that: draws at work, or lost in a crash, which are never given back."""
    threshold_delta: Fraction
    """Of all that was reserved."""
    threshold_delta_budget: Fraction
    delta: float
    """At which losses are told as epsilon."""
    releases: int

    @property
    def left(self) -> Fraction:
        return self.budget - self.spent - self.reserved

    @property
    def epsilon(self) -> float:
        """Of what is spent and reserved."""
        return epsilon_at(self.spent + self.reserved, self.delta)

    def windows_left(self, release: Release) -> int:
        """How many more windows of a release the budget has room for."""
        return max(0, int(self.left / release.rho))


def read_budget(lake: Lake, budget: Budget, period: str) -> BudgetState:
    """The state of a period's budget, as the tables have it. Nothing is written."""
    ledger, releases = lake.find(LEDGER), lake.find(RELEASES)
    rows = [row for row in read_reservations(ledger) if row.period == period] if ledger else []
    published = set(releases.read(["reservation"]).column("reservation").to_pylist()) if releases else set()
    spent = loss([row for row in rows if row.number in published], period)
    all_ = loss(rows, period)
    return BudgetState(
        period=period,
        budget=budget.rho,
        spent=spent.rho,
        reserved=all_.rho - spent.rho,
        threshold_delta=all_.delta,
        threshold_delta_budget=budget.threshold_delta,
        delta=budget.delta,
        releases=sum(row.number in published for row in rows),
    )
