"""The exact integers beside a textbook: the statistics' definitions in plain Python, row by row."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from tests.privacy.audits import MAX_ROWS, bundle, exact_of
from tests.privacy.building import build_with
from tests.privacy_rows import adversaries, base_rows, table

ONE = 1 << 16
Row = dict[str, Any]


def bounded(rows: pa.Table) -> dict[str, list[Row]]:
    """Each annotator's rows that may count, in the order of their hashes."""
    found = defaultdict(list)
    for row in rows.to_pylist():
        is_handed_in = (row["status"] or "unknown") in ("submitted", "unknown")
        if row["annotator_id"] is not None and row["annotator_kind"] == "human" and is_handed_in:
            found[row["annotator_id"]].append({**row, "hash": int(row["bounding_hash"][:16], 16)})
    return {who: sorted(mine, key=lambda row: row["hash"])[:MAX_ROWS] for who, mine in found.items()}


def textbook(people: dict[str, list[Row]]) -> dict[str, Any]:
    rows = [row for mine in people.values() for row in mine]
    outcomes = Counter(row["outcome"] for row in rows)
    return {
        "judgements": [len(rows)],
        "annotators": [len(people)],
        "outcomes": [outcomes[key] for key in ("a", "b", "tie", "both_bad")],
        "wins": wins(people.values(), (("m1", "m2"), ("m1", "m3"), ("m2", "m3"))),
        "rating": rating(people.values()),
        "ratings": ratings(people.values()),
        "agreement": agreement(rows),
        "questions": questions(people.values()),
    }


def wins(people: Any, pairs: Sequence[tuple[str, str]]) -> list[int]:
    cells = [0] * (3 * len(pairs))
    for mine in people:
        votes = []
        for row in mine:
            for n, (first, second) in enumerate(pairs):
                shown = (row["model_a"], row["model_b"])
                if {first, second} == {*shown} and row["outcome"] in ("a", "b", "tie", "both_bad"):
                    winner = {"a": shown[0], "b": shown[1]}.get(row["outcome"])
                    votes.append(3 * n + {first: 0, second: 1, None: 2}[winner])
        for cell in votes:
            cells[cell] += ONE // len(votes)
    return cells


def rating(people: Any) -> list[int]:
    means = []
    for mine in people:
        said = [row["value_num"] for row in mine if row["value_num"] is not None and not math.isnan(row["value_num"])]
        fixed = [int((min(max(value, 1.0), 5.0) - 3.0) / 2.0 * ONE) for value in said]
        if fixed:
            means.append(int(math.copysign(abs(sum(fixed)) // len(fixed), sum(fixed))))
    return [sum(means), len(means) * ONE]


def ratings(people: Any) -> list[int]:
    bins = [0] * 4
    for mine in people:
        said = [row["value_num"] for row in mine if row["value_num"] is not None and not math.isnan(row["value_num"])]
        of_values = sorted(sum(value >= edge for edge in (2.0, 3.0, 4.0)) for value in said)
        if of_values:
            bins[of_values[(len(of_values) - 1) // 2]] += 1
    return bins


def agreement(rows: list[Row]) -> list[int]:
    items: dict[Any, dict[str, Row]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row["hash"]):
        if row["item_id"] is not None and row["outcome"] is not None:
            item = (row["source_id"], row["item_id"], row["question"])
            items[item].setdefault(row["annotator_id"], row)
    judged = [[*said.values()] for said in items.values() if len(said) > 1]
    return [sum(said[0]["outcome"] == said[-1]["outcome"] for said in judged), len(judged)]


def questions(people: Any) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for mine in people:
        counted.update(list(dict.fromkeys(row["question"] for row in mine if row["question"] is not None))[:3])
    return dict(counted)


def of_many_answers() -> pa.Table:
    """Annotators who judge an item again, and say another thing."""
    said: list[Callable[[int], Row]] = [
        lambda n: {"annotator_id": f"t{n % 5}", "item_id": str(n % 7), "outcome": "ab"[n % 2], "salt": n},
        lambda n: {"annotator_id": f"t{n % 3}", "item_id": str(n % 7), "outcome": "tie", "salt": n, "value_num": 1.5},
    ]
    return table([make(n) for make in said for n in range(40)])


@pytest.mark.parametrize("name", ["nobody", "answers again", *adversaries()])
def test_exact_integers_are_those_of_the_textbook(name: str) -> None:
    eve = {"nobody": base_rows(rows=0), "answers again": of_many_answers(), **adversaries()}[name]
    rows = pa.concat_tables([base_rows(), eve])

    with build_with({}) as build:
        found, asked = exact_of(build, rows), [question.name for question in bundle(build).questions]

    expected = textbook(bounded(rows))
    assert [*expected] == asked
    assert found == expected
