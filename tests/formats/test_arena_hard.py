"""Events of Arena-Hard judgments."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import PEOPLE, derive, json_lines

JUDGE = "judge-model-7"


def game(score: Any, number: int = 1) -> dict[str, Any]:
    asked = [{"role": "system", "content": f"judge-{number}"}, {"role": "user", "content": f"asked-{number}"}]
    return {"score": score, "judgment": {"answer": f"because-{number}"}, "prompt": asked}


def record(*games: Any, **more: Any) -> dict[str, Any]:
    named = {"uid": "u1", "category": "hard_prompt", "judge": JUDGE, "model": "model-m", "baseline": "model-base"}
    return {**named, "games": list(games), **more}


BOTH = record(game("A>B", 1), game("A>>B", 2))
OLDER = {
    "question_id": "q1",
    "model": "model-m",
    "games": [{"user_prompt": f"asked-{n}", "judgment": f"because-{n}", "score": "A=B"} for n in (1, 2)],
}


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("arena_hard", "model_judgment/j/m.jsonl", values)


def test_the_baseline_is_shown_first_in_the_first_game_only() -> None:
    rows = rows_of(BOTH)

    baseline, model = rows["generations"]
    first, second = rows["annotations"]
    assert [(r["model_name"], r["sample_index"], r["group_id"]) for r in (baseline, model)] == [
        ("model-base", 0, "u1"),
        ("model-m", 1, "u1"),
    ]
    assert (first["question"], first["outcome"], first["strength"], first["value_text"]) == ("game 1", "a", 1.0, "A>B")
    assert (first["response_a_id"], first["response_b_id"]) == (baseline["event_id"], model["event_id"])
    assert (first["chosen_id"], first["rejected_id"]) == (baseline["event_id"], model["event_id"])
    assert (second["question"], second["outcome"], second["strength"]) == ("game 2", "a", 2.0)
    assert (second["response_a_id"], second["response_b_id"]) == (model["event_id"], baseline["event_id"])
    assert (second["chosen_id"], second["rejected_id"]) == (model["event_id"], baseline["event_id"])
    assert {row["item_id"] for row in (first, second)} == {"u1"}


@pytest.mark.parametrize(
    ("score", "outcome", "strength"),
    [
        ("A>>B", "a", 2),
        ("B<<A", "a", 2),
        ("B<A", "a", 1),
        ("A=B", "tie", 0),
        ("B=A", "tie", 0),
        ("A<B", "b", 1),
        ("B>A", "b", 1),
        ("B>>A", "b", 2),
        ("A<<B", "b", 2),
        (None, "unparsed", None),
        ("A", None, None),
        (5, None, None),
        (["A>B"], None, None),
    ],
)
def test_a_verdict_has_a_winner_and_a_strength(score: Any, outcome: str | None, strength: float | None) -> None:
    judged = rows_of(record(game(score), None))["annotations"]

    assert [(row["outcome"], row["strength"]) for row in judged] == [(outcome, strength)]


def test_a_game_that_was_not_judged_is_no_judgment() -> None:
    assert [row["question"] for row in rows_of(record(None, game("A>B")))["annotations"]] == ["game 2"]
    assert rows_of(record(None, None)).keys() == {"generations"}


def test_older_files_do_not_name_the_baseline() -> None:
    rows = rows_of(OLDER)

    assert [row["model_name"] for row in rows["generations"]] == [None, "model-m"]
    assert [(row["outcome"], row["annotator_id"]) for row in rows["annotations"]] == [("tie", None)] * 2


def test_a_judge_is_a_pseudonym_and_nothing_else() -> None:
    rows = rows_of(BOTH)

    assert {row["annotator_id"] for row in rows["annotations"]} == {PEOPLE.pseudonym(JUDGE)}
    assert JUDGE not in json.dumps(rows, default=str)


def test_nothing_is_lost() -> None:
    row = {**BOTH, "new_key": ["deep-value"]}

    assert lost({key: value for key, value in row.items() if key != "judge"}, rows_of(row)) == []
    assert lost(OLDER, rows_of(OLDER)) == []
    odd = record(game(["odd-score"]), None, model=["odd-model"], baseline={"x": "odd-base"})
    assert lost({key: value for key, value in odd.items() if key != "judge"}, rows_of(odd)) == []


def test_the_columns_given_are_those_declared() -> None:
    assert columns_given(rows_of(BOTH)) == ADAPTERS["arena_hard"].fields.keys()


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        (BOTH, True),
        (OLDER, True),
        (record(None, None), True),
        (record(game("A>B")), False),
        (record(), False),
        (record({"winner": "a"}, None), False),
        ({"uid": "u", "games": [None, None]}, False),
        ({"model": "m", "games": [None, None]}, False),
    ],
)
def test_files_are_known_by_their_games(value: Any, is_ours: bool) -> None:
    content = json_lines([value] * 2)

    found = detect("model_judgment/j/m.jsonl", content, len(content)).format
    assert found == ("arena_hard" if is_ours else "generic_jsonl")
    assert ("log_findings" in rows_of(value)) == (not is_ours)
