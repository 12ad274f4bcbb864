"""The ledger of privacy loss: reservations, each made before its draw, never taken back, in one hash chain.

What one annotator has lost at most in a period follows from the reservations alone: whether a reserved draw was made,
published or lost in a crash makes no difference. They are exact fractions.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from audit_pipeline.errors import BudgetError, ProofError
from audit_pipeline.privacy.price import NOTHING, Budget, Price
from audit_pipeline.privacy.unit import CADENCES, RHO_CAP, Window
from audit_pipeline.records import canonical

MOST_ATTEMPTS = 2
LEASE = timedelta(minutes=10)
"""How long a reservation may still be at work: a draw takes seconds, clocks are minutes apart."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """One row of the ledger: the right to draw one release of one window once."""

    number: int
    """Its place in the ledger, from 1."""
    scope: str
    period: str
    window: Window
    release: str
    revision: int
    attempt: int
    """Draws of this release that were reserved before."""
    key: str
    """Of the release: of what was asked, and of which window."""
    price: Price
    max_windows: int
    spec: str
    """Canonical JSON of what was asked."""
    input: str
    """Digest of which rows were read, hidden by `nonce`, hex."""
    input_version: int
    """Delta version of `annotations` that was read."""
    nonce: str
    writer: str
    """Random; tells a run which reservation is its own."""
    reserved_at: datetime
    previous: str | None
    """Digest of the row before."""

    @property
    def digest(self) -> str:
        row = {**asdict(self), "window": str(self.window), "price": [str(self.price.rho), str(self.price.delta)]}
        row["reserved_at"] = self.reserved_at.isoformat()
        return hashlib.sha256(b"audit-reservation/v1\n" + canonical.dump_canonical(row)).hexdigest()


def check_chain(rows: Sequence[Reservation]) -> None:
    """Check that the ledger is whole: rows 1, 2, 3, …, each naming the one before.

    Raises:
        ProofError: it is not.
    """
    previous = None
    for number, row in enumerate(rows, 1):
        if (row.number, row.previous) != (number, previous):
            raise ProofError(f"privacy_ledger: row {number} does not follow on the one before; the ledger was changed")
        previous = row.digest


def loss(rows: Iterable[Reservation], period: str) -> Price:
    """What one annotator has lost at most in a period, by all that was reserved.

    Everything drawn of one window adds up, be it of other releases, revisions or lost attempts. Windows add up too,
    as one person works on many days; but a person enters at most `max_windows` of a cadence, so the dearest count.
    """
    windows: dict[Window, Price] = defaultdict(lambda: NOTHING)
    most = dict.fromkeys(CADENCES, 0)
    for row in rows:
        if row.period == period:
            windows[row.window] += row.price
            most[row.window.cadence] = max(most[row.window.cadence], row.max_windows)
    total = NOTHING
    for cadence in CADENCES:
        prices = [price for window, price in windows.items() if window.cadence == cadence]
        rho = sum(sorted((price.rho for price in prices), reverse=True)[: most[cadence]], Fraction(0))
        delta = sum(sorted((price.delta for price in prices), reverse=True)[: most[cadence]], Fraction(0))
        total += Price(rho, delta)
    return total


def check_may_reserve(rows: Sequence[Reservation], new: Reservation, budget: Budget) -> None:
    """Check that a draw may be reserved after `rows`.

    Raises:
        BudgetError: it would cost more than is left, was tried too often, or may be at work elsewhere.
    """
    what = f"{new.release}, {new.window}"
    attempts = [row for row in rows if row.key == new.key]
    if attempts and new.reserved_at < (until := attempts[-1].reserved_at + LEASE):
        raise BudgetError(f"{what}: another run may still be drawing it; run again after {until:%F %H:%M} UTC")
    if len(attempts) >= MOST_ATTEMPTS:
        raise BudgetError(
            f"{what}: was reserved {len(attempts)} times and never published; it is given up, so that no more is lost"
        )
    after = loss([*rows, new], new.period)
    if after.rho > min(budget.rho, RHO_CAP) or after.delta > budget.threshold_delta:
        before = loss(rows, new.period)
        raise BudgetError(
            f"{what}: costs rho {float(new.price.rho):.3g} and delta {float(new.price.delta):.3g}; of the budget of "
            f"{new.period}, {float(budget.rho):.3g} and {float(budget.threshold_delta):.3g}, "
            f"{float(before.rho):.3g} and {float(before.delta):.3g} are reserved; nothing more of it is released"
        )


def other_windows(rows: Iterable[Reservation], window: Window) -> frozenset[Window]:
    """The windows of the same cadence and period that have been reserved, whichever release it was for.

    Nobody can have entered another one, so that an annotator with rows in fewer than `max_windows` of these may enter
    `window`, in whatever order windows are released and however late rows come.
    """
    reserved = {row.window for row in rows if row.period == window.period and row.window.cadence == window.cadence}
    return frozenset(reserved - {window})
