"""Events of UltraFeedback."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import derive, json_lines

FULL = {"Type": ["1", "2"], "Rationale": "rationale-2", "Rating": "3", "Rationale For Rating": "rationale-3"}


def completion(model: str, **more: Any) -> dict[str, Any]:
    aspects = {"honesty": {"Rating": "N/A", "Rationale": "rationale-1"}, "truthfulness": FULL}
    asked = {"principle": "helpfulness", "custom_system_prompt": f"system-{model}", "response": f"answer-{model}"}
    return {"model": model, **asked, "annotations": aspects, **more}


def record(*completions: Any, **more: Any) -> dict[str, Any]:
    answers = {"correct_answers": ["None"], "incorrect_answers": ["None"]}
    models = ["model-m", "model-n"]
    return {
        "source": "sharegpt",
        "instruction": "ask",
        "models": models,
        **answers,
        "completions": list(completions),
        **more,
    }


JUDGED = {"critique": "critique-x", "overall_score": 7.5, "fine-grained_score": 3.25}
ROW = record(completion("model-m", **JUDGED), completion("model-n"))


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("ultrafeedback", "train.jsonl", values)


def test_each_completion_is_a_generation_and_each_rating_an_annotation_and_a_score() -> None:
    rows = rows_of(ROW)

    one, two = rows["generations"]
    assert [(r["prompt_text"], r["completion_text"], r["model_name"], r["sample_index"]) for r in (one, two)] == [
        ("ask", "answer-model-m", "model-m", 0),
        ("ask", "answer-model-n", "model-n", 1),
    ]
    found = [(r["question"], r["value_num"], r["value_text"], r["response_a_id"]) for r in rows["annotations"]]
    assert found == [
        ("honesty", None, "N/A", one["event_id"]),
        ("truthfulness", 3.0, None, one["event_id"]),
        ("overall_score", 7.5, None, one["event_id"]),
        ("honesty", None, "N/A", two["event_id"]),
        ("truthfulness", 3.0, None, two["event_id"]),
    ]
    assert [(r["scorer"], r["score"], r["score_state"], r["generation_id"]) for r in rows["reward_scores"]] == [
        ("honesty", None, "not_applied", one["event_id"]),
        ("truthfulness", 3.0, "finite", one["event_id"]),
        ("overall_score", 7.5, "finite", one["event_id"]),
        ("honesty", None, "not_applied", two["event_id"]),
        ("truthfulness", 3.0, "finite", two["event_id"]),
    ]
    assert {(r["kind"], r["annotator_kind"], r["annotator_id"]) for r in rows["annotations"]} == {
        ("rating", "model", None)
    }


def test_reasons_stand_beside_the_rating() -> None:
    _, full, overall, *_ = rows_of(ROW)["annotations"]

    assert json.loads(full["extra_json"]) == {key: FULL[key] for key in FULL if key != "Rating"}
    assert json.loads(overall["extra_json"]) == {"critique": "critique-x"}


@pytest.mark.parametrize(
    ("rating", "value", "text", "score"),
    [
        ("5", 5.0, None, (5.0, "finite")),
        ("2.5", 2.5, None, (2.5, "finite")),
        (4, 4.0, None, (4.0, "finite")),
        ("N/A", None, "N/A", (None, "not_applied")),
        (None, None, None, (None, "null")),
        ("nan", None, "nan", None),
        ("1_0", None, "1_0", None),
        ("good", None, "good", None),
        ("\u0663", None, "\u0663", None),
        (float("nan"), None, None, (None, "nan")),
        (float("inf"), None, None, (float("inf"), "inf")),
        (["3"], None, None, None),
        (True, None, None, None),
    ],
)
def test_a_rating_is_the_number_it_says(rating: Any, value: Any, text: str | None, score: Any) -> None:
    rows = rows_of(record(completion("m", annotations={"honesty": {"Rating": rating}})))

    [judged] = rows["annotations"]
    assert (judged["value_num"], judged["value_text"]) == (value, text)
    assert [(r["score"], r["score_state"]) for r in rows.get("reward_scores", [])] == ([] if score is None else [score])


def test_ratings_that_are_not_yet_put_together_are_read_one_by_one() -> None:
    two = [{"Rating": "2", "Rationale": "a"}, {"Rating": "4", "Rationale": "b"}]

    rows = rows_of(record(completion("m", annotations={"honesty": two})))

    assert [row["value_num"] for row in rows["annotations"]] == [2.0, 4.0]


def test_nothing_is_lost() -> None:
    row = {**ROW, "id": "item-9", "new_key": {"x": ["deep-value"]}}

    assert lost(row, rows_of(row)) == []
    assert {r["group_id"] for r in rows_of(row)["generations"]} == {"item-9"}
    for odd in ("odd-x", ["odd-x"], {"honesty": "odd-x"}, {"honesty": ["odd-x"]}, {"honesty": {"Rating": ["odd-x"]}}):
        kept = record(completion("m", annotations=odd), completion("n", overall_score={"x": "odd-y"}))
        assert lost(kept, rows_of(kept)) == []


def test_the_columns_given_are_those_declared() -> None:
    assert columns_given(rows_of(ROW)) == ADAPTERS["ultrafeedback"].fields.keys()


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        (ROW, True),
        (record(completion("m")), True),
        (record(), False),
        (record({"model": "m", "response": "r"}), False),
        (record("answer"), False),
        ({"prompt": "p", "completions": ["a"], "labels": [True]}, False),
        ({"context": "c", "completions": [{"rank": 0, "completion": "a"}, {"rank": 1, "completion": "b"}]}, False),
    ],
)
def test_files_are_known_by_their_completions(value: Any, is_ours: bool) -> None:
    content = json_lines([value] * 2)

    assert (detect("train.jsonl", content, len(content)).format == "ultrafeedback") == is_ours
    assert ("log_findings" in rows_of(value)) == (not is_ours)
