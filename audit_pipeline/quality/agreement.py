"""How far judges of the same items agree beyond chance, with the interval in which that lies.

The measures are those of the libraries `krippendorff` and `statsmodels`: of all judges together, or of pairs of them.
The interval is value +- 1.96 standard deviations over resampled items (bootstrap), with a fixed seed: the same answers
give the same interval.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

LEAST_ITEMS = 20
"""Items with two judges or more, or that a pair has in common, below which the interval would say nothing."""

COHEN = "cohen"
"""The measure that must know which judge gave an answer."""

_MOST_RESAMPLES, _LEAST_RESAMPLES = 300, 30
_RESAMPLED_ITEMS = 5_000_000  # together: half a minute at most
_MOST_PAIRS = 200  # those with the most items in common
_RESAMPLED_PAIRS = 50_000
_SEED = 20260101
_Z_95 = 1.96

_Counts = npt.NDArray[np.int64]


class Judged(NamedTuple):
    """How many judges gave an item an answer."""

    item: Any
    answer: Any
    judges: int


class Answered(NamedTuple):
    """Which judge gave an item an answer."""

    item: Any
    answer: Any
    judge: Any


@dataclass(frozen=True, slots=True)
class Agreement:
    """1 is full agreement, 0 what chance gives, below 0 is less."""

    value: float
    low: float
    high: float
    items: int


def agreement(judged: Sequence[Judged], measure: str) -> Agreement | None:
    """The agreement on items that two judges or more have judged; None where they are too few, or all answers alike."""
    answers = sorted({one.answer for one in judged})
    counts = _count(judged, answers)
    counts = _same_judges(counts) if measure == "fleiss" else counts[counts.sum(axis=1) > 1]
    if len(counts) < LEAST_ITEMS or np.count_nonzero(counts.sum(axis=0)) < 2:
        return None
    of = MEASURES[measure]
    domain = answers if all(isinstance(answer, int | float) for answer in answers) else list(range(len(answers)))
    rng = np.random.default_rng(_SEED)
    rounds = max(_LEAST_RESAMPLES, min(_MOST_RESAMPLES, _RESAMPLED_ITEMS // len(counts)))
    drawn = (counts[rng.integers(len(counts), size=len(counts))] for _ in range(rounds))
    resampled = [of(one, domain) for one in drawn if np.count_nonzero(one.sum(axis=0)) > 1]
    value, spread = of(counts, domain), _Z_95 * float(np.std(resampled, ddof=1))
    return Agreement(value, value - spread, value + spread, len(counts))


def agreement_of_pairs(answered: Sequence[Answered]) -> Agreement | None:
    """Cohen's kappa, in the mean over pairs of judges by how many items they have in common (Light's kappa).

    None where no pair has enough, or all answers are alike. Of two answers of a judge to one item the first counts.
    """
    answers = {answer: code for code, answer in enumerate(dict.fromkeys(one.answer for one in answered))}
    pairs = _pairs(answered, answers)
    if not pairs or len(answers) < 2:
        return None
    items = max(int(one[:, 0].max()) for one in pairs) + 1
    value = _mean_kappa(pairs, np.ones(items, dtype=np.int64), len(answers))
    rng = np.random.default_rng(_SEED)
    rounds = max(_LEAST_RESAMPLES, min(_MOST_RESAMPLES, _RESAMPLED_PAIRS // len(pairs)))
    drawn = (np.bincount(rng.integers(items, size=items), minlength=items) for _ in range(rounds))
    resampled = [kappa for weights in drawn if (kappa := _mean_kappa(pairs, weights, len(answers))) is not None]
    if value is None or len(resampled) < _LEAST_RESAMPLES // 2:
        return None
    spread = _Z_95 * float(np.std(resampled, ddof=1))
    return Agreement(
        value, value - spread, value + spread, len(np.unique(np.concatenate([one[:, 0] for one in pairs])))
    )


def _pairs(answered: Sequence[Answered], answers: Mapping[Any, int]) -> list[_Counts]:
    """Of each pair of judges with enough items in common: rows of item, the one's answer, the other's, as numbers."""
    by_item: dict[Any, dict[Any, int]] = {}
    for one in answered:
        by_item.setdefault(one.item, {}).setdefault(one.judge, answers[one.answer])
    common: dict[tuple[Any, Any], list[tuple[int, int, int]]] = defaultdict(list)
    for number, said in enumerate(by_item.values()):
        for one, other in combinations(sorted(said), 2):
            common[one, other].append((number, said[one], said[other]))
    enough = sorted((rows for rows in common.values() if len(rows) >= LEAST_ITEMS), key=len, reverse=True)
    return [np.array(rows, dtype=np.int64) for rows in enough[:_MOST_PAIRS]]


def _mean_kappa(pairs: Sequence[_Counts], weights: _Counts, answers: int) -> float | None:
    """Of pairs whose answers are not all alike; `weights`: how often each item counts."""
    from statsmodels.stats.inter_rater import cohens_kappa

    kappas, sizes = [], []
    for item, one, other in (rows.T for rows in pairs):
        cells = np.bincount(one * answers + other, weights=weights[item], minlength=answers**2)
        table = cells.reshape(answers, answers)
        if np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) > 1:
            kappas.append(float(cohens_kappa(table, return_results=False)))
            sizes.append(float(table.sum()))
    return float(np.average(kappas, weights=sizes)) if kappas else None


def _count(judged: Sequence[Judged], answers: Sequence[Any]) -> _Counts:
    """How many judges gave each item (row) each answer (column)."""
    rows = {item: row for row, item in enumerate(dict.fromkeys(one.item for one in judged))}
    columns = {answer: column for column, answer in enumerate(answers)}
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for one in judged:
        counts[rows[one.item], columns[one.answer]] += one.judges
    return counts


def _same_judges(counts: _Counts) -> _Counts:
    """The items with as many judges as most have: Fleiss' kappa is defined for one number of judges."""
    judges = counts.sum(axis=1)
    numbers, items = np.unique(judges[judges > 1], return_counts=True)
    return counts[judges == numbers[items.argmax()]] if len(numbers) else counts[:0]


def _krippendorff(level: Literal["nominal", "ordinal", "interval"]) -> Callable[[_Counts, Sequence[Any]], float]:
    def alpha(counts: _Counts, domain: Sequence[Any]) -> float:
        import krippendorff

        return float(krippendorff.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))

    return alpha


def _fleiss(counts: _Counts, domain: Sequence[Any]) -> float:
    from statsmodels.stats.inter_rater import fleiss_kappa

    return float(fleiss_kappa(counts, method="fleiss"))


MEASURES: dict[str, Callable[[_Counts, Sequence[Any]], float]] = {
    "krippendorff_nominal": _krippendorff("nominal"),
    "krippendorff_ordinal": _krippendorff("ordinal"),
    "krippendorff_interval": _krippendorff("interval"),
    "fleiss": _fleiss,
}
