"""Noise and its price, by OpenDP's integer mechanisms; no other part of the project draws noise.

The sampler takes the operating system's entropy and no seed. OpenDP says what each mechanism costs (`map`), and that
is what is charged: zero-concentrated privacy loss (rho), and for unknown keys the chance (delta) of naming a rare one.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, Protocol

from audit_pipeline.errors import PolicyError
from audit_pipeline.privacy.price import Price

_HIGHEST_THRESHOLD = 1 << 24
_A_HAIR = 1 + 2**-50


class Noise(Protocol):
    """Where noise is drawn. What it gives is all that anybody may see of the exact integers."""

    def gaussian(self, exact: Sequence[int], scale: float) -> list[int]: ...

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        """Noisy counts of the keys whose noisy count is at least `threshold`; the others are not there."""


class OpenDpNoise:
    """Noise as it is published."""

    def gaussian(self, exact: Sequence[int], scale: float) -> list[int]:
        return [int(n) for n in _gaussian(scale)(list(exact))]

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        # Keys cross to OpenDP as numbers: a text may hold what its strings cannot.
        keys = list(exact)
        drawn = _thresholded(scale, threshold)({str(at): exact[key] for at, key in enumerate(keys)})
        return {keys[int(at)]: int(n) for at, n in drawn.items()}


def root_above(squared: int) -> float:
    """The least double found whose square is not below `squared`."""
    root = math.sqrt(squared)
    while Fraction(root) ** 2 < squared:
        root = math.nextafter(root, math.inf)
    return root


@cache
def scale_for(sensitivity: int, rho: Fraction) -> float:
    """The standard deviation with which a vector of this (squared) sensitivity costs at most `rho`, by OpenDP's map."""
    scale = root_above(sensitivity) / math.sqrt(2 * rho)
    while gaussian_price(sensitivity, scale).rho > rho:
        scale *= _A_HAIR
    return scale


def gaussian_price(sensitivity: int, scale: float) -> Price:
    return Price(Fraction(_gaussian(scale).map(root_above(sensitivity))))


@cache
def threshold_for(max_keys: int, scale: float, delta: float) -> int:
    """The least threshold at which a rare key is named with probability at most `delta`, as `threshold_price` says.

    Raises:
        PolicyError: there is none.
    """
    highest = range(2, _HIGHEST_THRESHOLD)
    at = bisect_left(highest, True, key=lambda t: threshold_price(max_keys, scale, t).delta <= Fraction(delta))
    if at == len(highest):
        raise PolicyError(f"delta {delta}: no threshold is high enough; give this statistic a larger share")
    return highest[at]


def threshold_price(max_keys: int, scale: float, threshold: int) -> Price:
    """Charged as for a threshold one lower: OpenDP 0.16 leaves out what falls on the threshold (opendp issue 2922)."""
    rho, delta = _thresholded(scale, threshold - 1).map((max_keys, root_above(max_keys), 1.0))
    return Price(Fraction(rho), Fraction(delta))


@cache
def epsilon_at(rho: Fraction, delta: float) -> float:
    """The epsilon of (epsilon, delta)-differential privacy that follows from `rho`."""
    if rho == 0:
        return 0.0
    scale = 1 / math.sqrt(2 * rho)
    while Fraction(_gaussian(scale).map(1.0)) < rho:
        scale /= _A_HAIR
    dp = _opendp()
    approximate = dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(_gaussian(scale)), delta)
    return float(approximate.map(1.0)[0])


def _gaussian(scale: float) -> Any:
    dp = _opendp()
    integers = dp.vector_domain(dp.atom_domain(T="i64"))
    return dp.m.make_gaussian(integers, dp.l2_distance(T="f64"), scale=scale)


def _thresholded(scale: float, threshold: int) -> Any:
    dp = _opendp()
    by_key = dp.map_domain(dp.atom_domain(T="String"), dp.atom_domain(T="i64"))
    distance = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    return dp.m.make_gaussian_threshold(by_key, distance, scale=scale, threshold=threshold)


@cache
def _opendp() -> Any:
    """OpenDP, loaded where it is needed: a policy is read by commands that draw nothing."""
    import opendp.prelude as dp

    dp.enable_features("contrib")  # and nothing else: the others weaken what is proved
    return dp
