"""What is published of noisy integers: estimates with 95% intervals. It sees nothing but them, so it costs nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054  # the normal distribution's; of the discrete Gaussian at these scales it is as near as a double
_LEAST_SIGMAS = 4  # of a total that is divided by: below, the interval of a ratio would say too little


@dataclass(frozen=True, slots=True)
class Number:
    """One published number. `value` and its interval are None where noise leaves nothing to say."""

    key: str
    value: float | None
    lower: float | None
    upper: float | None


def count(key: str, noisy: int, sigma: float) -> Number:
    """A count as it was drawn: below zero where noise is larger than the count, so that sums stay unbiased."""
    return Number(key, float(noisy), noisy - Z95 * sigma, noisy + Z95 * sigma)


def ratio(key: str, tops: Sequence[tuple[float, float, int]], sigma: float, least: float) -> Number:
    """Sum of a*y over sum of b*y, for (a, b, y) of independent noisy cells y; between `least` and 1.

    The interval is that of top - ratio * bottom, whose noise is that of its cells (the delta method).
    """
    top, bottom = sum(a * y for a, _, y in tops), sum(b * y for _, b, y in tops)
    if bottom < _LEAST_SIGMAS * sigma * math.sqrt(sum(b * b for _, b, _ in tops)):
        return Number(key, None, None, None)
    value = min(1.0, max(least, top / bottom))
    half = Z95 * sigma * math.sqrt(sum((a - value * b) ** 2 for a, b, _ in tops)) / bottom
    return Number(key, value, max(least, value - half), min(1.0, value + half))


def scaled(number: Number, middle: float, half: float) -> Number:
    """A number between -1 and 1 as one between middle - half and middle + half."""
    if number.value is None or number.lower is None or number.upper is None:
        return number
    value, lower, upper = (middle + half * x for x in (number.value, number.lower, number.upper))
    return Number(number.key, value, lower, upper)


def quantile(q: float, edges: Sequence[float], noisy: Sequence[int], sigma: float) -> Number:
    """The `q` quantile of a noisy histogram over `edges`, and where it lies when counts are off by their noise."""
    key, total, bins = f"{q:g}", sum(noisy), len(noisy)
    if total < _LEAST_SIGMAS * sigma * math.sqrt(bins):
        return Number(key, None, None, None)
    below = next((n for n in range(bins) if sum(noisy[: n + 1]) >= q * total), bins - 1) + 1
    half = Z95 * sigma * math.sqrt(below * (1 - q) ** 2 + (bins - below) * q**2)
    lower, value, upper = (_crossing(edges, noisy, q * total + off) for off in (-half, 0.0, half))
    return Number(key, value, lower, upper)


def _crossing(edges: Sequence[float], noisy: Sequence[int], wanted: float) -> float:
    """Where the running total of a histogram first comes to `wanted`, straight within a bin."""
    before = 0
    for n, cell in enumerate(noisy):
        if before + cell >= wanted:
            share = (wanted - before) / cell if cell > 0 else 0.0
            return edges[n] + (edges[n + 1] - edges[n]) * min(1.0, max(0.0, share))
        before += cell
    return edges[-1]
