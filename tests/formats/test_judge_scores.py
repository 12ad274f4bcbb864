"""Events of MT-Bench judgments."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import MTIME, PEOPLE, derive, json_lines

JUDGE = "judge-model-7"
WHEN = datetime(2023, 11, 14, 22, 13, 20, 500000, UTC)
SINGLE = {
    "question_id": 81,
    "model": "model-m",
    "judge": [JUDGE, "single-v1"],
    "user_prompt": "Rate this.",
    "judgment": "Good. Rating: [[9]]",
    "score": 9,
    "turn": 1,
    "tstamp": 1_700_000_000.5,
}
PAIR = {
    "question_id": 81,
    "model_1": "model-m",
    "model_2": "model-n",
    "g1_winner": "model_1",
    "g2_winner": "tie",
    "judge": [JUDGE, "pair-v2"],
    "g1_user_prompt": "first prompt",
    "g1_judgment": "first judgment",
    "g2_user_prompt": "second prompt",
    "g2_judgment": "second judgment",
    "turn": 2,
    "tstamp": 1_700_000_000.5,
}


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("judge_scores", "model_judgment/single.jsonl", values)


def test_a_rating_is_an_annotation_and_a_score_of_the_answer() -> None:
    rows = rows_of(SINGLE)

    [answer], [judged], [scored] = rows["generations"], rows["annotations"], rows["reward_scores"]
    assert (answer["model_name"], answer["group_id"], answer["split"], answer["sample_index"]) == (
        "model-m",
        "81",
        "dataset",
        0,
    )
    assert (judged["kind"], judged["value_num"], judged["outcome"], judged["item_id"]) == ("rating", 9.0, None, "81")
    assert (judged["question"], judged["status"], judged["annotator_kind"]) == ("single-v1", "submitted", "model")
    assert (scored["scorer"], scored["scorer_kind"], scored["score"], scored["score_state"]) == (
        "single-v1",
        "judge",
        9.0,
        "finite",
    )
    assert judged["response_a_id"] == scored["generation_id"] == answer["event_id"]
    assert json.loads(judged["extra_json"]) == {"judgment": SINGLE["judgment"], "turn": 1, "user_prompt": "Rate this."}


def test_a_judgment_has_its_own_time_and_an_answer_none() -> None:
    rows = rows_of(SINGLE)

    assert {(r["event_time"], r["event_time_quality"]) for t in ("annotations", "reward_scores") for r in rows[t]} == {
        (WHEN, "epoch_s")
    }
    assert (rows["annotations"][0]["created_at"], rows["generations"][0]["event_time"]) == (WHEN, MTIME)


@pytest.mark.parametrize("tstamp", [None, "now", -5, 1e18, float("nan"), [1]])
def test_a_time_that_is_none_is_kept_aside(tstamp: Any) -> None:
    [judged] = rows_of({**SINGLE, "tstamp": tstamp})["annotations"]

    assert (judged["event_time"], judged["created_at"]) == (MTIME, None)
    assert "tstamp" in json.loads(judged["extra_json"])


@pytest.mark.parametrize(
    ("score", "value", "outcome", "state"),
    [
        (7.5, 7.5, None, "finite"),
        (0, 0.0, None, "finite"),
        (-1, None, "unparsed", "sentinel"),
        (-1.0, None, "unparsed", "sentinel"),
        (None, None, None, "null"),
        (float("nan"), None, None, "nan"),
        (float("inf"), None, None, "inf"),
        ("9", None, None, None),
        ([9], None, None, None),
        (True, None, None, None),
    ],
)
def test_only_a_rating_is_a_value(score: Any, value: float | None, outcome: str | None, state: str | None) -> None:
    """A mean of the ratings must not count the -1 that stands for none."""
    rows = rows_of({**SINGLE, "score": score})

    [judged] = rows["annotations"]
    assert (judged["value_num"], judged["outcome"]) == (value, outcome)
    assert ("score" in json.loads(judged["extra_json"])) == (value is None)
    assert [row["score_state"] for row in rows.get("reward_scores", [])] == ([] if state is None else [state])
    assert state != "sentinel" or rows["reward_scores"][0]["score"] is None


def test_two_games_are_two_comparisons_in_the_order_shown() -> None:
    rows = rows_of(PAIR)

    one, two = rows["generations"]
    first, second = rows["annotations"]
    assert [row["model_name"] for row in (one, two)] == ["model-m", "model-n"]
    assert (first["kind"], first["outcome"], first["value_text"]) == ("pairwise", "a", "model_1")
    assert (first["response_a_id"], first["response_b_id"]) == (one["event_id"], two["event_id"])
    assert (first["chosen_id"], first["rejected_id"]) == (one["event_id"], two["event_id"])
    assert (second["outcome"], second["chosen_id"], second["rejected_id"]) == ("tie", None, None)
    assert (second["response_a_id"], second["response_b_id"]) == (two["event_id"], one["event_id"])
    assert json.loads(first["extra_json"]) == {
        "g1_judgment": "first judgment",
        "g1_user_prompt": "first prompt",
        "turn": 2,
    }
    assert json.loads(second["extra_json"])["g2_judgment"] == "second judgment"
    assert "reward_scores" not in rows


@pytest.mark.parametrize(
    ("winner", "outcomes", "chosen"),
    [
        ("model_1", ["a", "b"], 0),
        ("model_2", ["b", "a"], 1),
        ("error", ["unparsed", "unparsed"], None),
        ("C", [None, None], None),
        (None, [None, None], None),
        (["model_1"], [None, None], None),
    ],
)
def test_a_winner_is_told_by_who_was_shown_first(winner: Any, outcomes: list[str | None], chosen: int | None) -> None:
    rows = rows_of({**PAIR, "g1_winner": winner, "g2_winner": winner})

    assert [row["outcome"] for row in rows["annotations"]] == outcomes
    won = None if chosen is None else rows["generations"][chosen]["event_id"]
    assert {row["chosen_id"] for row in rows["annotations"]} == {won}


@pytest.mark.parametrize("judge", [[JUDGE, "single-v1"], JUDGE, [JUDGE, None]])
def test_a_judge_is_a_pseudonym_and_nothing_else(judge: Any) -> None:
    rows = rows_of({**SINGLE, "judge": judge}, {**PAIR, "judge": judge})

    assert {row["annotator_id"] for row in rows["annotations"]} == {PEOPLE.pseudonym(JUDGE)}
    assert JUDGE not in json.dumps(rows, default=str)
    assert rows["reward_scores"][0]["scorer"] == ("single-v1" if judge == [JUDGE, "single-v1"] else "score")


def test_nothing_is_lost() -> None:
    single = {**SINGLE, "new_key": {"x": ["deep-value"]}, "score": 8.125}
    pair = {**PAIR, "m1_score": 6.125, "m2_score": 5.125}

    assert lost({**single, "judge": "single-v1", "tstamp": "2023-11-14"}, rows_of(single)) == []
    assert lost({**pair, "judge": "pair-v2", "tstamp": "2023-11-14"}, rows_of(pair)) == []


def test_the_columns_given_are_those_declared() -> None:
    odd = [{**SINGLE, "model": 5, "score": 10**400}, {**PAIR, "g1_winner": "model_2"}]

    assert columns_given(rows_of(SINGLE, PAIR, *odd)) == ADAPTERS["judge_scores"].fields.keys()


@pytest.mark.parametrize("value", [{}, [], "a", None, {k: v for k, v in SINGLE.items() if k != "score"}])
def test_another_shape_gives_a_finding_and_nothing_else(value: Any) -> None:
    rows = rows_of(value)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that judge_scores 1 knows"]
    assert rows == {}


@pytest.mark.parametrize(
    ("items", "is_ours"),
    [
        ([SINGLE] * 3, True),
        ([PAIR], True),
        ([SINGLE, PAIR], True),
        ([{k: v for k, v in SINGLE.items() if k != "judge"}], False),
        ([{"question_id": 1, "model_id": "m", "answer_id": "x", "choices": [], "tstamp": 1.5}], False),
        ([{"question_id": 1, "category": "c", "turns": ["q"]}], False),
        ([{"question_id": 1, "model_a": "a", "model_b": "b", "winner": "tie", "judge": "j", "turn": 1}], False),
    ],
)
def test_files_are_known_by_their_keys(items: list[Any], is_ours: bool) -> None:
    content = json_lines(items)

    assert (detect("model_judgment/x.jsonl", content, len(content)).format == "judge_scores") == is_ours
