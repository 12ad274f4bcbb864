"""Agreement beyond chance, beside textbook arithmetic."""

import random
from collections import Counter
from itertools import permutations

import pytest

from audit_pipeline.quality.agreement import LEAST_ITEMS, MEASURES, Agreement, Judged, agreement


def judged(answers: list[list[str]]) -> list[Judged]:
    """The answers of each item as the query counts them."""
    return [Judged(item, answer, n) for item, said in enumerate(answers) for answer, n in Counter(said).items()]


def textbook_alpha(answers: list[list[str]]) -> float:
    """Krippendorff's alpha of nominal answers by its definition: pairs within items beside pairs of all."""
    units = [said for said in answers if len(said) > 1]
    within = sum(sum(a != b for a, b in permutations(said, 2)) / (len(said) - 1) for said in units)
    together = [answer for said in units for answer in said]
    among = sum(a != b for a, b in permutations(together, 2)) / (len(together) - 1)
    return 1 - within / among


def textbook_fleiss(answers: list[list[str]]) -> float:
    """Fleiss' kappa by its definition, of items with as many judges each."""
    n, judges = len(answers), len(answers[0])
    kinds = sorted({answer for said in answers for answer in said})
    counts = [Counter(said) for said in answers]
    agreed = sum((sum(c[k] ** 2 for k in kinds) - judges) / (judges * (judges - 1)) for c in counts) / n
    chance = sum((sum(c[k] for c in counts) / (n * judges)) ** 2 for k in kinds)
    return (agreed - chance) / (1 - chance)


def simulated(share: float, items: int = 80, judges: int = 3, seed: int = 1) -> list[list[str]]:
    """Judges who know the answer with this probability, and guess else."""
    rng = random.Random(seed)
    truths = [rng.choice("abc") for _ in range(items)]
    return [[truth if rng.random() < share else rng.choice("abc") for _ in range(judges)] for truth in truths]


def found(answers: list[list[str]], measure: str = "krippendorff_nominal") -> Agreement:
    one = agreement(judged(answers), measure)
    assert one is not None
    return one


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_alpha_and_kappa_are_those_of_the_textbook(share: float) -> None:
    answers = simulated(share)

    assert found(answers).value == pytest.approx(textbook_alpha(answers))
    assert found(answers, "fleiss").value == pytest.approx(textbook_fleiss(answers))


def test_alpha_counts_items_with_fewer_judges_and_leaves_out_those_of_one() -> None:
    answers = simulated(0.6)
    ragged = [said[: 1 + at % 3] for at, said in enumerate(answers)]

    assert found(ragged).value == pytest.approx(textbook_alpha(ragged))
    assert found(ragged).items == sum(len(said) > 1 for said in ragged)


def test_kappa_takes_the_items_of_one_number_of_judges() -> None:
    answers = simulated(0.6) + [["a", "b"]] * 5

    assert found(answers, "fleiss").value == pytest.approx(textbook_fleiss(answers[:80]))


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of 60 samples of a crowd whose alpha is known, 95% should; fewer than 85% would be a wrong interval."""
    truth = found(simulated(0.5, items=20_000, seed=7)).value
    samples = [found(simulated(0.5, items=100, seed=seed)) for seed in range(60)]

    assert sum(one.low <= truth <= one.high for one in samples) >= 0.85 * len(samples)
    assert all(one.high - one.low < 0.5 for one in samples)


def test_the_same_answers_give_the_same_interval() -> None:
    assert found(simulated(0.5)) == found(simulated(0.5))


@pytest.mark.parametrize("measure", list(MEASURES))
def test_too_few_items_or_one_answer_alone_say_nothing(measure: str) -> None:
    assert agreement(judged(simulated(0.9, items=LEAST_ITEMS - 1)), measure) is None
    assert agreement(judged([["a", "a", "a"]] * 50), measure) is None
    assert agreement([], measure) is None


def test_distances_of_numbers_count_where_the_measure_says_so() -> None:
    """Judges who are one apart on a scale of five nearly agree as intervals, and hardly as names."""
    near = [Judged(item, value, 1) for item in range(60) for value in (float(item % 5), float(item % 5) + 0.1)]

    interval, nominal = agreement(near, "krippendorff_interval"), agreement(near, "krippendorff_nominal")

    assert interval is not None
    assert nominal is not None
    assert interval.value > 0.9 > 0.1 > nominal.value
