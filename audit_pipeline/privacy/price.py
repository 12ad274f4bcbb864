"""What a draw costs, as exact numbers."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Price:
    """What a draw costs one annotator at most. Exact: sums of many are compared with a budget."""

    rho: Fraction
    delta: Fraction = Fraction(0)

    def __add__(self, other: "Price") -> "Price":
        return Price(self.rho + other.rho, self.delta + other.delta)

    @classmethod
    def parse(cls, rho: str, delta: str) -> "Price":
        return cls(Fraction(rho), Fraction(delta))


NOTHING = Price(Fraction(0))


@dataclass(frozen=True, slots=True)
class Budget:
    """What a period may cost one annotator at most."""

    rho: Fraction
    delta: float
    """At which rho is also told as an epsilon; nothing is spent of it."""
    threshold_delta: Fraction
    """Sum of the chances of naming a rare key."""
