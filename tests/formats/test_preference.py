"""Events of preference data sets."""

from typing import Any

import pytest

from tests.formats.support import derive

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
    "item", [{"chosen": "a"}, {"chosen": "a", "rejected": [BOT]}, {"chosen": 1, "rejected": 2}, [], "a"]
)
def test_what_is_no_pair_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = derive("preference_pairs", "pairs.jsonl", [item])

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that preference_pairs 1 knows"]
    assert rows == {}
