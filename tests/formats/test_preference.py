"""Events of preference data sets."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import derive, json_lines

USER, BOT, OTHER = ({"role": r, "content": c} for r, c in (("user", "hi"), ("assistant", "yo"), ("assistant", "no")))


def pair(item: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(preferred response, other response, annotation)."""
    rows = derive("preference_pairs", "pairs.jsonl", [item])
    [chosen, rejected], [annotation] = rows["generations"], rows["annotations"]
    assert (annotation["chosen_id"], annotation["rejected_id"]) == (chosen["event_id"], rejected["event_id"])
    return chosen, rejected, annotation


def texts(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["prompt_text"], row["completion_text"], row["role_boundaries"]


def test_hh_texts_are_split_at_the_last_turn() -> None:
    """Each side on its own: in real data the prompts of a pair differ at times."""
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c"

    chosen, rejected, annotation = pair({"chosen": f"{start}\n\nAssistant: d", "rejected": f"{start}!\n\nAssistant:"})

    assert texts(chosen) == (f"{start}\n\nAssistant:", " d", "marker_text")
    assert texts(rejected) == (f"{start}!\n\nAssistant:", "", "marker_text")
    assert (annotation["kind"], annotation["outcome"], annotation["annotator_kind"]) == ("pairwise", None, "unknown")


def test_a_text_without_turns_is_all_response() -> None:
    chosen, _, _ = pair({"chosen": "good", "rejected": "bad"})

    assert texts(chosen) == (None, "good", "lost")


@pytest.mark.parametrize("keys", [("chosen", "rejected"), ("chosen_response", "rejected_response")])
def test_an_explicit_prompt_is_the_prompt_of_both(keys: tuple[str, str]) -> None:
    chosen, rejected, annotation = pair({"prompt": "q", keys[0]: "good", keys[1]: "bad"})

    assert texts(chosen) == ("q", "good", "lost")
    assert texts(rejected) == ("q", "bad", "lost")
    assert annotation["extra_json"] is None


def test_conversations_are_split_at_the_last_message() -> None:
    chosen, rejected, _ = pair({"chosen": [USER, BOT], "rejected": [USER, OTHER]})

    assert [m["content"] for m in chosen["prompt_messages"]] == ["hi"]
    assert [m["content"] for m in chosen["completion_messages"]] == ["yo"]
    assert [m["content"] for m in rejected["completion_messages"]] == ["no"]
    assert chosen["role_boundaries"] == "structured"


def test_an_explicit_conversation_is_kept_as_it_is() -> None:
    chosen, _, _ = pair({"prompt": [USER], "chosen": [BOT], "rejected": [OTHER]})

    assert [m["content"] for m in chosen["prompt_messages"]] == ["hi"]
    assert [m["content"] for m in chosen["completion_messages"]] == ["yo"]


def test_a_label_is_a_binary_annotation() -> None:
    rows = derive("preference_pairs", "kto.jsonl", [{"prompt": "q", "completion": "a", "label": False}])

    [generation], [annotation] = rows["generations"], rows["annotations"]
    assert texts(generation) == ("q", "a", "lost")
    assert (annotation["kind"], annotation["value_num"]) == ("binary", 0.0)
    assert annotation["response_a_id"] == generation["event_id"]
    assert annotation["chosen_id"] is None


@pytest.mark.parametrize(
    ("item", "item_id", "extra"),
    [
        ({}, "0", None),
        ({"id": "x", "margin": 2}, "x", '{"margin":2}'),
        ({"prompt_id": 12}, "12", None),
        ({"id": None, "uid": "u"}, "u", '{"id":null}'),
    ],
)
def test_an_item_has_its_own_id_or_its_position(item: dict[str, Any], item_id: str, extra: str | None) -> None:
    chosen, rejected, annotation = pair({"prompt": "q", "chosen": "a", "rejected": "b", **item})

    assert (annotation["item_id"], chosen["group_id"], rejected["group_id"]) == (item_id, item_id, item_id)
    assert annotation["extra_json"] == extra


@pytest.mark.parametrize(
    "item",
    [
        {"chosen": "a"},
        {"chosen": "a", "rejected": [BOT]},
        {"chosen": 1, "rejected": 2},
        [],
        "a",
        {"prompt": "q", "completion": "a", "label": 1},
        {"prompt": "q", "completions": ["a"], "labels": [True, False]},
        {"prompt": "q", "completions": [], "labels": []},
        {"prompt": "q", "completions": ["a"], "labels": ["yes"]},
        {"context": "q", "completions": [{"rank": 0, "completion": "a"}]},
        {"context": "q", "completions": [{"rank": "0", "completion": "a"}, {"rank": 1, "completion": "b"}]},
        {"completions": [{"rank": 0, "completion": "a"}, {"rank": 1, "completion": "b"}]},
    ],
)
def test_what_is_no_pair_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = derive("preference_pairs", "pairs.jsonl", [item])

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that preference_pairs 2 knows"]
    assert rows == {}


STEPS = {"prompt": "q", "completions": ["step-1", "step-2", "step-3"], "labels": [True, True, False]}


def test_each_step_has_its_label() -> None:
    rows = derive("preference_pairs", "steps.jsonl", [{**STEPS, "source": "s"}])

    steps, labels = rows["generations"], rows["annotations"]
    assert [(row["prompt_text"], row["completion_text"], row["sample_index"]) for row in steps] == [
        ("q", "step-1", 0),
        ("q", "step-2", 1),
        ("q", "step-3", 2),
    ]
    assert [(row["kind"], row["value_num"], row["response_a_id"]) for row in labels] == [
        ("binary", value, step["event_id"]) for value, step in zip((1.0, 1.0, 0.0), steps, strict=True)
    ]
    assert [row["extra_json"] for row in labels] == ['{"source":"s"}', None, None]


def ranked(*ranks: float) -> dict[str, list[dict[str, Any]]]:
    completions = [{"rank": rank, "completion": [{"role": "assistant", "content": f"a{rank}"}]} for rank in ranks]
    return derive("preference_pairs", "nemo.jsonl", [{"context": [USER], "completions": completions}])


@pytest.mark.parametrize(
    ("ranks", "kind", "outcome", "chosen", "rejected"),
    [
        ((0, 1), "pairwise", None, 0, 1),
        ((1, 0), "pairwise", None, 1, 0),
        ((1, 1), "pairwise", "tie", None, None),
        ((2, 0, 1), "ranking", None, 1, None),
        ((0, 0, 1), "ranking", None, None, None),
    ],
)
def test_the_lowest_rank_is_preferred(
    ranks: tuple[int, ...], kind: str, outcome: str | None, chosen: int | None, rejected: int | None
) -> None:
    rows = ranked(*ranks)

    ids = [row["event_id"] for row in rows["generations"]]
    [judged] = rows["annotations"]
    assert (judged["kind"], judged["outcome"], judged["value_json"]) == (
        kind,
        outcome,
        json.dumps(ranks, separators=(",", ":")),
    )
    assert judged["chosen_id"] == (None if chosen is None else ids[chosen])
    assert judged["rejected_id"] == (None if rejected is None else ids[rejected])
    assert [m["content"] for m in rows["generations"][0]["prompt_messages"]] == ["hi"]


SAMPLED = {
    "chosen": [USER, BOT],
    "rejected": [USER, OTHER],
    "reference_completion": "reference-x",
    "reference_completion_score": {"org/rm-1": 0.125},
    "chosen_score": {"org/rm-1": 2.5, "gpt-4": 9, "org/rm-2": None},
    "rejected_score": {"org/rm-1": -1.5},
}


def test_scores_of_a_pair_are_by_reward_model() -> None:
    rows = derive("preference_pairs", "rs.jsonl", [SAMPLED])

    chosen, rejected = (row["event_id"] for row in rows["generations"])
    assert [
        (r["generation_id"], r["scorer"], r["scorer_kind"], r["score"], r["score_state"]) for r in rows["reward_scores"]
    ] == [
        (chosen, "org/rm-1", "reward_model", 2.5, "finite"),
        (chosen, "gpt-4", "judge", 9.0, "finite"),
        (chosen, "org/rm-2", "reward_model", None, "null"),
        (rejected, "org/rm-1", "reward_model", -1.5, "finite"),
    ]


@pytest.mark.parametrize("keys", [("chosen_score", "rejected_score"), ("score_chosen", "score_rejected")])
def test_a_score_without_a_name_is_a_score(keys: tuple[str, str]) -> None:
    rows = derive("preference_pairs", "h4.jsonl", [{"chosen": "a", "rejected": "b", keys[0]: 8.5, keys[1]: 2}])

    assert [(row["scorer"], row["score"]) for row in rows["reward_scores"]] == [("score", 8.5), ("score", 2.0)]
    assert rows["annotations"][0]["extra_json"] is None


@pytest.mark.parametrize("odd", ["8.5", {"rm": "good"}, [1], True, None])
def test_a_score_that_is_none_is_kept_aside(odd: Any) -> None:
    rows = derive(
        "preference_pairs", "x.jsonl", [{"chosen": "a", "rejected": "b", "chosen_score": 1, "rejected_score": odd}]
    )

    assert "reward_scores" not in rows
    assert json.loads(rows["annotations"][0]["extra_json"]) == {"chosen_score": 1, "rejected_score": odd}


RANKED = {
    "context": "q",
    "completions": [
        {"rank": 17, "completion": "good-x", "by": "who-x"},
        {"rank": 19, "completion": [{**BOT, "content": "bad-x"}]},
    ],
}


@pytest.mark.parametrize(
    "item",
    [
        {"prompt": "q-x", "chosen": "good-x", "rejected": "bad-x", "margin": 0.625},
        {"chosen": [USER, {**BOT, "tool_calls": [{"id": "call-x"}]}], "rejected": [USER, OTHER]},
        {"prompt": [USER], "completion": [{**BOT, "thinking": "hm-x"}], "label": True, "images": ["image-x"]},
        {"prompt": "q-x", "chosen": "a-x", "rejected": "b-x", "tools": [{"name": "tool-x"}]},
        {**STEPS, "tools": "[tool-x]"},
        RANKED,
        SAMPLED,
        {"prompt": "q-x", "chosen_response": "good-x", "rejected_response": "bad-x"},
    ],
)
def test_nothing_is_lost_and_each_shape_is_known(item: dict[str, Any]) -> None:
    row = {**item, "new_key": {"x": ["deep-value"]}, "id": "item-9"}
    content = json_lines([row] * 2)

    rows = derive("preference_pairs", "x.jsonl", [row])
    assert lost(row, rows) == []
    assert {r["group_id"] for r in rows["generations"]} == {r["item_id"] for r in rows["annotations"]} == {"item-9"}
    assert detect("x.jsonl", content, len(content)).format == "preference_pairs"


def test_the_columns_given_are_those_declared() -> None:
    items = [
        {"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": 10**400, "score_rejected": 1},
        {"prompt": [USER], "completion": [BOT], "label": True, "x": 1},
        RANKED,
        {"context": "q", "completions": [{"rank": 0, "completion": "a"}] * 2},
    ]

    assert columns_given(derive("preference_pairs", "x.jsonl", items)) == ADAPTERS["preference_pairs"].fields.keys()
