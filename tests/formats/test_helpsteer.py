"""Events of the HelpSteer data sets."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import derive, json_lines

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
RATED = {"prompt": "q", "response": "r"} | dict(zip(ATTRIBUTES, (3, 4, 4, 2, 1), strict=True))
DISAGREED = {"prompt": "q", "response": "r"} | {name: [3, 4] for name in ATTRIBUTES}
PREFERRED = {
    "split": "train",
    "prompt": "q",
    "response_1": "one",
    "response_2": "two",
    "preference_strength": 2,
    "preference_statement": "statement-x",
    "preference_elaboration": "elaboration-x",
    "three_most_similar_preferences": [{"statement": "s1", "elaboration": "e1", "strength": 2}],
    "all_preferences_unprocessed": [
        {"strength": 3, "justification": "justification-1"},
        {"strength": -1, "justification": "justification-2"},
        {"strength": -100, "justification": "justification-3"},
    ],
}
ASKED = {"domain": "code", "language": "sql", "context": [{"role": "user", "content": "hi"}]}
COMPARED = ASKED | {
    "response1": "one",
    "response2": "two",
    "overall_preference": 0,
    "individual_preference": [{"score": -2, "reasoning": "reasoning-1"}, {"score": 1, "reasoning": "reasoning-2"}],
}
COMMENTED = ASKED | {"response1": "one", "response2": "two", "feedback1": ["f1", "f2"], "feedback2": ["f3"]}
EDITED = ASKED | {
    "original_response": "old",
    "edited_response": "new",
    "feedback": ["f1", "f2"],
    "change_summary": "summary-x",
}
EDITED_TWICE = ASKED | {
    "original_response": "old",
    "good_edited_response": "good",
    "bad_edited_response": "bad",
    "feedback": ["f1"],
}
PRINCIPLE = ASKED | {"response": "r", "principle": "clarity", "fulfilment": "Yes"}
ALL = [RATED, DISAGREED, PREFERRED, COMPARED, COMMENTED, EDITED, EDITED_TWICE, PRINCIPLE]


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("helpsteer", "train.jsonl", values)


def test_attributes_are_means_of_human_ratings() -> None:
    rows = rows_of(RATED)

    [response] = rows["generations"]
    assert (response["prompt_text"], response["completion_text"]) == ("q", "r")
    assert [(r["scorer"], r["score"], r["scorer_kind"], r["score_state"]) for r in rows["reward_scores"]] == [
        (name, float(RATED[name]), "human_mean", "finite") for name in ATTRIBUTES
    ]
    assert {row["generation_id"] for row in rows["reward_scores"]} == {response["event_id"]}
    assert rows.keys() == {"generations", "reward_scores"}, "a mean is nobody's judgment"


def test_disagreements_are_single_ratings_of_unnamed_people() -> None:
    rows = rows_of(DISAGREED)

    assert [(r["question"], r["kind"], r["value_num"], r["annotator_kind"]) for r in rows["annotations"]] == [
        (name, "rating", value, "human") for name in ATTRIBUTES for value in (3.0, 4.0)
    ]
    assert {row["response_a_id"] for row in rows["annotations"]} == {rows["generations"][0]["event_id"]}
    assert "reward_scores" not in rows


def test_a_preference_is_its_sum_and_each_ones() -> None:
    rows = rows_of(PREFERRED)

    one, two = (row["event_id"] for row in rows["generations"])
    found = [(r["question"], r["outcome"], r["value_num"], r["strength"], r["chosen_id"]) for r in rows["annotations"]]
    assert found == [
        ("preference_strength", "b", 2.0, 2.0, two),
        ("all_preferences_unprocessed", "b", 3.0, 3.0, two),
        ("all_preferences_unprocessed", "a", -1.0, 1.0, one),
        ("all_preferences_unprocessed", None, None, None, None),
    ]
    assert {(r["response_a_id"], r["response_b_id"], r["kind"]) for r in rows["annotations"]} == {
        (one, two, "pairwise")
    }
    assert json.loads(rows["annotations"][3]["extra_json"]) == {"strength": -100, "justification": "justification-3"}


@pytest.mark.parametrize(
    ("value", "outcome"), [(-3, "a"), (0, "tie"), (1.5, "b"), (4, None), (-100, None), (None, None), ("1", None)]
)
def test_only_minus_3_to_3_is_a_preference(value: Any, outcome: str | None) -> None:
    for key, item in (("preference_strength", PREFERRED), ("overall_preference", COMPARED)):
        judged = rows_of({**item, key: value})["annotations"][0]

        assert (judged["question"], judged["outcome"]) == (key, outcome)
        assert (judged["value_num"] is None) == (outcome is None)
        assert (key in json.loads(judged["extra_json"] or "{}")) == (outcome is None)


def test_preferences_of_the_third_are_read_alike() -> None:
    rows = rows_of(COMPARED)

    one, two = rows["generations"]
    assert [m["content"] for m in one["prompt_messages"]] == ["hi"]
    assert [(r["question"], r["outcome"], r["chosen_id"]) for r in rows["annotations"]] == [
        ("overall_preference", "tie", None),
        ("individual_preference", "a", one["event_id"]),
        ("individual_preference", "b", two["event_id"]),
    ]
    assert json.loads(rows["annotations"][1]["extra_json"]) == {"reasoning": "reasoning-1"}


def test_feedback_is_text_about_one_response() -> None:
    rows = rows_of(COMMENTED)

    one, two = (row["event_id"] for row in rows["generations"])
    assert [(r["kind"], r["question"], r["value_text"], r["response_a_id"]) for r in rows["annotations"]] == [
        ("text", "feedback1", "f1", one),
        ("text", "feedback1", "f2", one),
        ("text", "feedback2", "f3", two),
    ]


def test_an_edit_is_another_response_and_the_feedback_is_of_the_first() -> None:
    rows = rows_of(EDITED)

    assert [row["completion_text"] for row in rows["generations"]] == ["old", "new"]
    assert {row["response_a_id"] for row in rows["annotations"]} == {rows["generations"][0]["event_id"]}
    assert json.loads(rows["generations"][0]["extra_json"])["change_summary"] == "summary-x"


def test_a_good_edit_is_preferred_to_a_bad_one_in_no_order() -> None:
    rows = rows_of(EDITED_TWICE)

    old, good, bad = (row["event_id"] for row in rows["generations"])
    feedback, quality = rows["annotations"]
    assert feedback["response_a_id"] == old
    assert (quality["question"], quality["outcome"], quality["chosen_id"], quality["rejected_id"]) == (
        "edit_quality",
        None,
        good,
        bad,
    )


@pytest.mark.parametrize(("said", "value"), [("Yes", 1.0), ("No", 0.0), ("maybe", None), (["Yes"], None)])
def test_a_principle_is_a_question_with_yes_or_no(said: Any, value: float | None) -> None:
    [judged] = rows_of({**PRINCIPLE, "fulfilment": said})["annotations"]

    assert (judged["kind"], judged["question"], judged["value_num"]) == ("binary", "clarity", value)
    assert judged["annotator_kind"] == "unknown"
    assert judged["value_text"] == (said if isinstance(said, str) else None)


@pytest.mark.parametrize("item", ALL)
def test_nothing_is_lost(item: dict[str, Any]) -> None:
    row = {**item, "new_key": {"x": ["deep-value"]}, "id": "item-9"}

    assert lost(row, rows_of(row)) == []
    assert {r["group_id"] for r in rows_of(row)["generations"]} == {"item-9"}


@pytest.mark.parametrize(
    "odd",
    [
        {**PREFERRED, "all_preferences_unprocessed": "[{'strength': 77}]"},
        {**PREFERRED, "all_preferences_unprocessed": ["odd-x"]},
        {**COMMENTED, "feedback1": "odd-x"},
        {**COMPARED, "feedback": ["odd-x"]},
        {**RATED, "helpfulness": [{"x": "odd-x"}]},
        {**PRINCIPLE, "helpfulness": "odd-x"},
    ],
)
def test_what_has_another_type_is_kept_aside(odd: dict[str, Any]) -> None:
    assert lost(odd, rows_of(odd)) == []


def test_the_columns_given_are_those_declared() -> None:
    assert columns_given(rows_of(*ALL)) == ADAPTERS["helpsteer"].fields.keys()


@pytest.mark.parametrize("item", ALL)
def test_each_part_is_known_by_its_keys(item: dict[str, Any]) -> None:
    content = json_lines([item] * 2)

    assert detect("train.jsonl.gz", content, len(content)).format == "helpsteer"


@pytest.mark.parametrize(
    "item",
    [
        {"prompt": "q", "response": "r"},
        {"prompt": "q", "response": "r", "helpfulness": 3},
        {"prompt": "q", "response_1": "a", "response_2": "b"},
        {**RATED, "prompt": None},
        {**RATED, "verbosity": "high"},
        {"context": ASKED["context"], "response": "r", "feedback": ["f"]},
        {"context": ASKED["context"], "completions": [{"rank": 0, "completion": "a"}]},
    ],
)
def test_near_misses_are_not_claimed(item: dict[str, Any]) -> None:
    content = json_lines([item] * 2)

    assert detect("train.jsonl", content, len(content)).format != "helpsteer"
    assert [row["found"] for row in rows_of(item)["log_findings"]] == ["not of a shape that helpsteer 1 knows"]
