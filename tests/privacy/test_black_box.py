"""7. Black box: somebody who knows all rows but EVE's tells, from what is published alone, whether she is there.

How often they are right gives a lower bound of the epsilon that the release really has (Nasr and others 2023, "Tight
Auditing of Differentially Private Machine Learning", section 4), which must not be above what was charged. Nothing
inside is looked at, so that it sees bugs that nobody thought of, if they are gross: half the noise, not 95%.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import optimize, stats

from tests.privacy.audits import MAX_ROWS
from tests.privacy.building import Build, build_with
from tests.privacy.mutants import MUTANTS
from tests.privacy_rows import base_rows, table

DRAWS, DRAWS_OF_A_BUG = 1000, 600
"""With EVE, and as many without; one half chooses how to tell, the other is counted."""
FALSE_ALARM = 1e-6
DELTA = 1e-6
CAUGHT = ("no bounding", "event-level unit", "duplicates after bounding")


def release_of(build: Build) -> Any:
    made, rho = build.statistics, Fraction(1, 2)
    outcomes = made.Histogram("outcome", ("a", "b"))
    questions = (
        build.release.Question("judgements", made.Count(), rho),
        build.release.Question("outcomes", outcomes, rho),
    )
    return build.release.Release("judged", "weekly", build.unit.ProtectedUnit(MAX_ROWS, 1), questions)


def scores(build: Build, rows: pa.Table, draws: int) -> np.ndarray[Any, Any]:
    """What the attacker makes of each of many releases of the rows: judgements and outcomes a, where EVE's all are."""
    release, noise = release_of(build), build.mechanisms.OpenDpNoise()
    found = []
    for _ in range(draws):
        with build.rows.BoundedRows(release.unit, release.columns, [rows]) as bounded:
            published = release.draw(release.exact(bounded), noise)
        told = (published["judgements"][0], published["outcomes"][0])
        # Both move by as much, so each counts by how narrow its interval is.
        found.append(sum(number.value / (number.upper - number.lower) ** 2 for number in told))
    return np.array(found)


def epsilon_shown(build: Build, draws: int) -> float:
    """An epsilon, at `DELTA`, that the release has at least; wrong once in a million times."""
    base = base_rows(rows=40)
    eve = table([{"annotator_id": "EVE", "outcome": "a", "item_id": str(n)} for n in range(10 * MAX_ROWS)])
    absent, present = scores(build, base, draws), scores(build, pa.concat_tables([base, eve]), draws)
    half = draws // 2
    threshold = (absent[:half].mean() + present[:half].mean()) / 2
    right = _bounds(int((present[half:] > threshold).sum()), draws - half)[0]
    wrong = _bounds(int((absent[half:] > threshold).sum()), draws - half)[1]
    return epsilon_of(float(stats.norm.ppf(right) - stats.norm.ppf(wrong)))


def epsilon_of(mu: float) -> float:
    """Of Gaussian noise whose neighbours lie `mu` standard deviations apart (Dong, Roth, Su 2019, corollary 2.13)."""

    def too_much(epsilon: float) -> float:
        far = math.exp(min(epsilon + float(stats.norm.logcdf(-mu / 2 - epsilon / mu)), 0.0))
        return float(stats.norm.cdf(mu / 2 - epsilon / mu)) - far - DELTA

    return float(optimize.brentq(too_much, 0.0, mu * (mu / 2 + 10))) if mu > 1e-3 else 0.0


def epsilon_charged(build: Build) -> float:
    return epsilon_of(math.sqrt(2 * float(release_of(build).price().rho)))


def _bounds(hits: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's bounds of a probability, each wrong with half of `FALSE_ALARM`."""
    found = stats.binomtest(hits, n).proportion_ci(1 - FALSE_ALARM, method="exact")
    return float(found.low), float(found.high)


@pytest.mark.slow
def test_no_more_can_be_told_than_was_charged() -> None:
    with build_with({}) as build:
        shown, charged = epsilon_shown(build, DRAWS), epsilon_charged(build)

    assert shown <= charged
    assert shown >= charged / 3, "the attacker is blind, and would find nothing"


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT)
def test_a_gross_bug_is_seen_from_outside(name: str) -> None:
    mutant = MUTANTS[name]
    with build_with({mutant.file: mutant.changes}) as build:
        assert epsilon_shown(build, DRAWS_OF_A_BUG) > epsilon_charged(build)
