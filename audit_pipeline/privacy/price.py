"""What a draw costs, as exact numbers."""

from dataclasses import dataclass
from fractions import Fraction

from audit_pipeline.errors import ProofError


@dataclass(frozen=True, slots=True)
class Price:
    """What a draw costs one annotator at most. Exact: sums of many are compared with a budget."""

    rho: Fraction
    delta: Fraction = Fraction(0)

    def __add__(self, other: "Price") -> "Price":
        return Price(self.rho + other.rho, self.delta + other.delta)

    @classmethod
    def parse(cls, rho: str, delta: str) -> "Price":
        """A price as the ledger has it.

        Raises:
            ProofError: it is no number, or below nothing: it would give back what was spent.
        """
        try:
            price = cls(Fraction(rho), Fraction(delta))
        except (ValueError, ZeroDivisionError) as err:
            raise ProofError(f"privacy_ledger: a price of {rho[:40]!r} and {delta[:40]!r} is none") from err
        if price.rho < 0 or price.delta < 0:
            raise ProofError(f"privacy_ledger: a price of {rho[:40]!r} and {delta[:40]!r} is below nothing")
        return price


NOTHING = Price(Fraction(0))


@dataclass(frozen=True, slots=True)
class Budget:
    """What a period may cost one annotator at most."""

    rho: Fraction
    delta: float
    """At which rho is also told as an epsilon; nothing is spent of it."""
    threshold_delta: Fraction
    """Sum of the chances of naming a rare key."""
