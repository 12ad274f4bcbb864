"""Agreement beyond chance, beside textbook arithmetic."""

import random
from collections import Counter
from itertools import combinations, permutations

import pyarrow as pa
import pytest

from audit_pipeline.quality.agreement import (
    LEAST_ITEMS,
    MEASURES,
    Agreement,
    Answered,
    Judged,
    agreement,
    agreement_of_pairs,
)
from audit_pipeline.quality.day_database import day_database
from audit_pipeline.quality.judging import judge
from audit_pipeline.quality.suites import Expectation, Suite


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


def answered(answers: list[list[str]]) -> list[Answered]:
    """The answers of each item, the first of them by judge 0, and so on."""
    return [Answered(item, answer, judge) for item, said in enumerate(answers) for judge, answer in enumerate(said)]


def textbook_cohen(one: list[str], other: list[str]) -> float:
    """Cohen's kappa by its definition."""
    n = len(one)
    agreed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    chance = sum(one.count(kind) * other.count(kind) for kind in {*one, *other}) / n**2
    return (agreed - chance) / (1 - chance)


def found_of_pairs(answers: list[list[str]]) -> Agreement:
    one = agreement_of_pairs(answered(answers))
    assert one is not None
    return one


@pytest.mark.parametrize("share", [0.0, 0.4, 0.9])
def test_kappa_of_pairs_is_the_mean_of_the_textbooks_by_common_items(share: float) -> None:
    answers = simulated(share)
    ragged = [said if at < 50 else said[:2] for at, said in enumerate(answers)]
    pairs = [
        ([said[one] for said in ragged if len(said) > other], [said[other] for said in ragged if len(said) > other])
        for one, other in combinations(range(3), 2)
    ]

    expected = sum(len(one) * textbook_cohen(one, other) for one, other in pairs) / sum(len(one) for one, _ in pairs)
    assert found_of_pairs(ragged).value == pytest.approx(expected)
    assert found_of_pairs(ragged).items == 80


def test_pairs_with_few_items_in_common_do_not_count() -> None:
    answers = simulated(0.6, judges=2)
    with_a_third = [[*said, "a"] if at < LEAST_ITEMS - 1 else said for at, said in enumerate(answers)]

    assert found_of_pairs(with_a_third) == found_of_pairs(answers)


def test_the_interval_of_pairs_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = found_of_pairs(simulated(0.5, items=20_000, seed=7)).value
    samples = [found_of_pairs(simulated(0.5, items=100, seed=seed)) for seed in range(40)]

    assert sum(one.low <= truth <= one.high for one in samples) >= 0.85 * len(samples)
    assert all(one.high - one.low < 0.5 for one in samples)


def test_the_first_of_two_answers_of_a_judge_counts() -> None:
    answers = simulated(0.6, judges=2)
    again = [Answered(item, "c", 0) for item in range(len(answers))]

    assert agreement_of_pairs([*answered(answers), *again]) == found_of_pairs(answers)


def test_pairs_without_enough_in_common_or_one_answer_alone_say_nothing() -> None:
    assert agreement_of_pairs(answered(simulated(0.9, items=LEAST_ITEMS - 1))) is None
    assert agreement_of_pairs(answered([["a", "a"]] * 50)) is None
    assert agreement_of_pairs(answered([["a"], ["b"]] * 50)) is None
    assert agreement_of_pairs([]) is None


@pytest.mark.parametrize(("above", "state"), [(-0.01, "passed"), (0.01, "failed")])
def test_a_suite_may_ask_for_the_kappa_of_pairs(above: float, state: str) -> None:
    answers = simulated(0.6)
    expected = found_of_pairs(answers)
    rows = pa.Table.from_pylist([one._asdict() for one in answered(answers)])
    query = "SELECT item, answer, judge FROM {batch} ORDER BY ALL"
    kwargs = {"query": query, "min_value": expected.high + above, "measure": "cohen"}
    suite = Suite("answers", (Expectation("pairs", "expect_agreement_to_be_at_least", kwargs),), "", "")

    with day_database({"answers": (rows.schema, [rows])}) as database:
        (finding,) = judge(suite, database, {})

    assert finding.state == state
    assert finding.observed_value == pytest.approx(expected.value)
