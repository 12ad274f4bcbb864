"""Events of texts without a judgment."""

from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import derive, json_lines, to_parquet

USER = {"role": "user", "content": "hi-x"}
BOT = {"role": "assistant", "content": "yo-x"}
SHAPES: list[dict[str, Any]] = [
    {"text": "all-x"},
    {"messages": [USER, BOT]},
    {"messages": [USER, BOT], "tools": [{"name": "tool-x"}], "images": ["image-x"]},
    {"prompt": "ask-x"},
    {"prompt": [USER], "id": "item-9"},
    {"prompt": "ask-x", "completion": "answer-x"},
    {"prompt": [USER], "completion": [BOT]},
]
SAMPLED = {"messages": [USER, BOT], "model_completion": "yo-x", "reference_completion": "ref-x"}
SCORED = SAMPLED | {"score": {"org/rm-1": 1.5, "gpt-4": None}, "reference_completion_score": {"org/rm-1": -2.5}}
SIDES = {"id": 9, "prompt": 8, "text": "ask-x", "slug": "k8s", "note": None} | {
    "model_x": 97,
    "result_x": "one-x",
    "model_y": "model-y",
    "result_y": "two-x",
}


def texts(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("prompts_and_completions", "train.jsonl", values)


def contents(messages: Any) -> list[str] | None:
    return None if messages is None else [message["content"] for message in messages]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"text": "all"}, (None, None, "all", None, "lost")),
        ({"text": "\n\nHuman: a\n\nAssistant: b"}, ("\n\nHuman: a\n\nAssistant:", None, " b", None, "marker_text")),
        ({"messages": [USER, BOT]}, (None, ["hi-x"], None, ["yo-x"], "structured")),
        ({"messages": [USER]}, (None, ["hi-x"], None, None, "structured")),
        ({"messages": [BOT]}, (None, None, None, ["yo-x"], "structured")),
        ({"prompt": "ask"}, ("ask", None, None, None, "lost")),
        ({"prompt": [USER]}, (None, ["hi-x"], None, None, "structured")),
        ({"prompt": "ask", "completion": "answer"}, ("ask", None, "answer", None, "lost")),
        ({"prompt": [USER], "completion": [BOT]}, (None, ["hi-x"], None, ["yo-x"], "structured")),
    ],
)
def test_a_text_is_a_generation_and_nothing_else(item: dict[str, Any], expected: tuple[Any, ...]) -> None:
    rows = texts(item)

    assert rows.keys() == {"generations"}
    [row] = rows["generations"]
    prompt = (row["prompt_text"], contents(row["prompt_messages"]))
    response = (row["completion_text"], contents(row["completion_messages"]))
    assert (*prompt, *response, row["role_boundaries"]) == expected
    assert (row["split"], row["sample_index"], row["group_id"]) == ("dataset", 0, "0")


def format_of(*rows: Any) -> str:
    content = json_lines(rows)
    return detect("train.jsonl", content, len(content)).format


@pytest.mark.parametrize("item", SHAPES)
def test_texts_are_known_where_they_have_little_else(item: dict[str, Any]) -> None:
    assert format_of(item, item) == "prompts_and_completions"
    assert format_of(item | {"step": 1}, item | {"step": 2}) == "generic_jsonl"
    assert format_of(item | {"label": True}) != "prompts_and_completions"
    assert lost({**item, "step": 77123}, texts({**item, "step": 77123})) == [], "declared, all of it is kept"


@pytest.mark.parametrize(
    "item",
    [
        {"text": 1},
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"from": "human", "value": "hi"}]},
        {"prompt": None},
        {"prompt": "a", "completion": 1},
        {"completion": "a"},
        {"text": "a", "prompt": "b"},
        {"tools": []},
        {},
        [],
        "text",
    ],
)
def test_what_is_no_text_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = texts(item)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that prompts_and_completions 1 knows"]
    assert rows == {}
    assert format_of(item, item) != "prompts_and_completions"


def test_parquet_is_known_by_its_schema() -> None:
    chats = to_parquet(pa.table({"messages": [[USER, BOT]]}))
    prompts = to_parquet(pa.table({"prompt": ["a"]}))
    others = to_parquet(pa.table({"prompt": ["a"], "answer": ["b"]}))

    assert [
        detect("x.parquet", content, len(content), tail=content).format for content in (chats, prompts, others)
    ] == [
        "prompts_and_completions",
        "prompts_and_completions",
        "generic_parquet",
    ]


def test_a_sampled_completion_stands_beside_its_reference() -> None:
    rows = derive("rejection_sampling", "scores.jsonl", [SCORED])

    own, reference = rows["generations"]
    assert [contents(row["prompt_messages"]) for row in (own, reference)] == [["hi-x"], ["hi-x"]]
    assert (contents(own["completion_messages"]), reference["completion_text"]) == (["yo-x"], "ref-x")
    assert (own["sample_index"], reference["sample_index"], own["group_id"]) == (0, 1, "0")
    assert [
        (r["generation_id"], r["scorer"], r["scorer_kind"], r["score"], r["score_state"]) for r in rows["reward_scores"]
    ] == [
        (own["event_id"], "org/rm-1", "reward_model", 1.5, "finite"),
        (own["event_id"], "gpt-4", "judge", None, "null"),
        (reference["event_id"], "org/rm-1", "reward_model", -2.5, "finite"),
    ]


@pytest.mark.parametrize("item", [SAMPLED, SCORED, {**SCORED, "score": "odd-x", "reference_completion": ["odd-y"]}])
def test_nothing_of_a_sampled_completion_is_lost(item: dict[str, Any]) -> None:
    row = {**item, "new_key": "new-x"}

    assert lost(row, derive("rejection_sampling", "x.jsonl", [row])) == []
    assert format_of(item, item) == "rejection_sampling"


def test_a_completion_that_does_not_end_its_messages_is_not_understood() -> None:
    odd = {**SAMPLED, "model_completion": "another"}

    assert derive("rejection_sampling", "x.jsonl", [odd]).keys() == {"log_findings"}
    assert format_of(odd) != "rejection_sampling"


def test_a_pair_that_waits_for_a_judgment_is_two_generations() -> None:
    rows = derive("pairs_jsonl", "pairs.jsonl", [SIDES])

    assert rows.keys() == {"generations"}
    assert [
        (r["group_id"], r["sample_index"], r["prompt_text"], r["completion_text"], r["model_name"])
        for r in rows["generations"]
    ] == [("9", 0, "ask-x", "one-x", "97"), ("9", 1, "ask-x", "two-x", "model-y")]
    assert [row["extra_json"] for row in rows["generations"]] == ['{"note":null,"prompt":8,"slug":"k8s"}', None]
    assert format_of(SIDES, SIDES) == "pairs_jsonl"
    assert format_of(SIDES | {"winner": "left"}) != "pairs_jsonl", "who won would be lost from sight"


@pytest.mark.parametrize(
    "odd", [{**SIDES, "text": None}, {**SIDES, "text": None, "prompt": "ask-y"}, {**SIDES, "model_x": ["odd-x"]}]
)
def test_nothing_of_a_pair_is_lost(odd: dict[str, Any]) -> None:
    rows = derive("pairs_jsonl", "pairs.jsonl", [odd])

    assert lost(odd, rows) == []
    assert len(rows["generations"]) == 2


def test_the_columns_given_are_those_declared() -> None:
    given = {
        "prompts_and_completions": SHAPES,
        "rejection_sampling": [{**SCORED, "new": 1}],
        "pairs_jsonl": [SIDES],
    }

    for name, items in given.items():
        assert columns_given(derive(name, "x.jsonl", items)) == ADAPTERS[name].fields.keys()
