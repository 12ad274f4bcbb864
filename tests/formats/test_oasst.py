"""Events of OpenAssistant's trees and messages."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.answers import MOST_PROMPT
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.support import MTIME, PEOPLE, derive, items, json_lines, to_parquet

AUTHOR, RATER = "8e95461f-author", "13592dfb-rater"
MADE = datetime(2023, 2, 5, 14, 23, 50, 983374, UTC)
LABELS = {"quality": {"value": 0.75, "count": 3}, "spam": {"value": None, "count": 0}}
DETOXIFY = {"toxicity": 0.25, "insult": None}
EVENTS = {
    "emoji": [{"type": "emoji", "user_id": RATER, "emoji": "+1"}],
    "rating": [{"type": "rating", "user_id": RATER, "rating": "4"}],
    "ranking": [{"type": "ranking", "user_id": None, "ranking": [1, 0], "ranked_message_ids": ["a", "b"]}],
    "report": [{"type": "report", "user_id": RATER, "report_type": "spam", "reason": "an advert"}],
    "score": [{"type": "score", "user_id": RATER, "score": -1}],
    "later": [{"type": "later", "user_id": RATER, "mood": "good"}],
}
ROW: dict[str, Any] = {
    "message_id": "m1",
    "parent_id": "m0",
    "user_id": AUTHOR,
    "created_date": "2023-02-05T14:23:50.983374+00:00",
    "text": "Hello",
    "role": "assistant",
    "lang": "en",
    "review_count": 3,
    "review_result": True,
    "deleted": False,
    "rank": 0,
    "synthetic": False,
    "model_name": "none",
    "detoxify": DETOXIFY,
    "message_tree_id": "m0",
    "tree_state": "ready_for_export",
    "emojis": {"+1": 2, "_skip_reply": 1},
    "labels": LABELS,
    "events": EVENTS,
}
MINIMAL = {"message_id": "m1", "text": "Hello", "role": "prompter", "lang": "en"}


def message(text: str, *replies: dict[str, Any], role: str = "prompter", **more: Any) -> dict[str, Any]:
    return {"message_id": f"id-{text}", "text": text, "role": role, "replies": list(replies), **more}


TREE: dict[str, Any] = {
    "message_tree_id": "id-q",
    "tree_state": "ready_for_export",
    "origin": "test",
    "prompt": message(
        "q",
        message("a", message("c"), role="assistant", rank=0),
        message("b", role="assistant", rank=1, parent_id="id-q"),
    ),
}


def row(value: dict[str, Any], format: str = "oasst_message") -> dict[str, list[dict[str, Any]]]:
    return derive(format, "oasst/messages.jsonl", [value])


def said(messages: list[dict[str, Any]] | None) -> list[tuple[str, str]] | None:
    return None if messages is None else [(one["role"], one["content"]) for one in messages]


def test_a_row_is_a_generation() -> None:
    [generation] = row(ROW)["generations"]

    assert said(generation["completion_messages"]) == [("assistant", "Hello")]
    assert (generation["split"], generation["group_id"], generation["model_name"]) == ("dataset", "m0", "none")
    assert (generation["event_time"], generation["event_time_quality"]) == (MADE, "utc")
    assert (generation["prompt_messages"], generation["sample_index"]) == (None, None)
    assert generation["role_boundaries"] == "structured"
    assert json.loads(generation["extra_json"]) == {
        "message_id": "m1",
        "lang": "en",
        "review_count": 3,
        "review_result": True,
        "deleted": False,
        "synthetic": False,
        "message_tree_id": "m0",
        "tree_state": "ready_for_export",
        "emojis": {"+1": 2, "_skip_reply": 1},
    }


def test_who_wrote_a_message_is_an_annotation_of_its_time() -> None:
    rows = row({**MINIMAL, "user_id": AUTHOR, "created_date": ROW["created_date"]})

    [wrote] = rows["annotations"]
    assert (wrote["question"], wrote["kind"], wrote["status"]) == ("text", "text", "submitted")
    assert (wrote["item_id"], wrote["response_a_id"]) == ("m1", rows["generations"][0]["event_id"])
    assert (wrote["annotator_id"], wrote["annotator_kind"]) == (PEOPLE.pseudonym(AUTHOR), "human")
    assert (wrote["event_time"], wrote["created_at"], wrote["event_time_quality"]) == (MADE, MADE, "utc")


def test_a_synthetic_message_was_written_by_a_model() -> None:
    assert row({**MINIMAL, "user_id": "u", "synthetic": True})["annotations"][0]["annotator_kind"] == "model"


def test_a_message_without_author_has_no_annotation_of_one() -> None:
    assert "annotations" not in row(MINIMAL)


def test_labels_ranks_and_events_are_annotations() -> None:
    rows = row(ROW)
    _, *found = [
        (r["question"], r["kind"], r["value_num"], r["value_text"], r["value_json"], r["extra_json"])
        for r in rows["annotations"]
    ]

    assert found == [
        ("quality", "rating", 0.75, None, None, '{"count":3}'),
        ("spam", "rating", None, None, "null", '{"count":0}'),
        ("rank", "ranking", 0.0, None, None, None),
        ("emoji", "text", None, "+1", None, '{"type":"emoji"}'),
        ("rating", "rating", None, "4", None, '{"type":"rating"}'),
        ("ranking", "ranking", None, None, "[1,0]", '{"ranked_message_ids":["a","b"],"type":"ranking"}'),
        ("report", "text", None, "spam", None, '{"reason":"an advert","type":"report"}'),
        ("score", "rating", -1.0, None, None, '{"type":"score"}'),
        ("later", None, None, None, None, '{"mood":"good","type":"later"}'),
    ]
    assert {r["item_id"] for r in rows["annotations"]} == {"m1"}
    assert {r["response_a_id"] for r in rows["annotations"]} == {rows["generations"][0]["event_id"]}
    of_whom = [(r["question"], r["annotator_id"]) for r in rows["annotations"] if r["annotator_id"]]
    rater = PEOPLE.pseudonym(RATER)
    assert of_whom == [
        ("text", PEOPLE.pseudonym(AUTHOR)),
        *((question, rater) for question in ("emoji", "rating", "report", "score", "later")),
    ]


def test_labels_and_ranks_have_no_time_of_their_own() -> None:
    """`created_date` is the message's."""
    assert {(r["question"], r["event_time"]) for r in row(ROW)["annotations"][1:4]} == {
        (question, MTIME) for question in ("quality", "spam", "rank")
    }


def test_scores_of_a_classifier_are_scores() -> None:
    rows = row(ROW)

    scores = [(s["scorer"], s["scorer_kind"], s["score"], s["score_state"]) for s in rows["reward_scores"]]
    assert scores == [
        ("detoxify/toxicity", "reward_model", 0.25, "finite"),
        ("detoxify/insult", "reward_model", None, "null"),
    ]
    assert {s["generation_id"] for s in rows["reward_scores"]} == {rows["generations"][0]["event_id"]}


def test_rows_of_hugging_face_say_the_same_as_others() -> None:
    """Their emojis and labels are structs of lists."""
    listed = {
        **ROW,
        "emojis": {"name": ["+1", "_skip_reply"], "count": [2, 1]},
        "labels": {"name": ["quality", "spam"], "value": [0.75, None], "count": [3, 0]},
    }

    assert row(listed) == row(ROW)


def test_rows_of_parquet_say_the_same_as_others() -> None:
    values = {key: value for key, value in ROW.items() if key != "events"}
    emojis = {"name": ["+1", "_skip_reply"], "count": [2, 1]}
    labels = {"name": ["quality", "spam"], "value": [0.75, None], "count": [3, 0]}
    content = to_parquet(pa.Table.from_pylist([{**values, "emojis": emojis, "labels": labels}]))

    found = detect("train-0.parquet", content, len(content))
    [(record, _, _)] = items("parquet", content)

    assert (found.container, found.format) == ("parquet", "oasst_message")
    assert row(json.loads(record)) == row(json.loads(json.dumps(values, sort_keys=True)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", {"name": ["a"], "value": [], "count": [1]}),
        ("labels", {"quality": 0.5}),
        ("labels", []),
        ("emojis", {"name": ["a", "a"], "count": [1, 2]}),
        ("emojis", {"name": [["a"]], "count": [1]}),
        ("detoxify", {"toxicity": "high"}),
        ("detoxify", {}),
        ("events", {"emoji": ["+1"]}),
        ("events", "many"),
        ("events", {"e" * 1001: [{}]}),
        ("rank", "first"),
        ("created_date", "yesterday"),
        ("parent_id", ["m0"]),
        ("replies", "none"),
        ("replies", [{"text": "no id"}]),
        ("new_field", {"x": 1}),
    ],
)
def test_what_has_no_known_shape_is_kept_in_extra(field: str, value: Any) -> None:
    rows = row({**MINIMAL, field: value})

    assert rows.keys() == {"generations"}
    assert json.loads(rows["generations"][0]["extra_json"]) == {"message_id": "m1", "lang": "en", field: value}


def test_a_tree_is_its_messages_each_before_its_replies() -> None:
    rows = row(TREE, "oasst_tree")

    found = [
        (said(g["completion_messages"]), said(g["prompt_messages"]), g["group_id"], g["sample_index"])
        for g in rows["generations"]
    ]
    q, a, b, c = ("prompter", "q"), ("assistant", "a"), ("assistant", "b"), ("prompter", "c")
    assert found == [
        ([q], None, None, None),
        ([a], [q], "id-q", 0),
        ([c], [q, a], "id-a", 0),
        ([b], [q], "id-q", 1),
    ]
    ids = {json.loads(g["extra_json"])["message_id"]: g["event_id"] for g in rows["generations"]}
    ranks = [(r["item_id"], r["value_num"], r["response_a_id"]) for r in rows["annotations"]]
    assert ranks == [("id-a", 0.0, ids["id-a"]), ("id-b", 1.0, ids["id-b"])]


def test_what_a_tree_says_of_itself_is_with_its_first_message() -> None:
    first, *others = [json.loads(g["extra_json"]) for g in row(TREE, "oasst_tree")["generations"]]

    assert first["tree"] == {"message_tree_id": "id-q", "tree_state": "ready_for_export", "origin": "test"}
    assert all("tree" not in extra for extra in others)


def test_a_row_may_nest_its_replies() -> None:
    found = row(TREE["prompt"])["generations"]

    assert [said(g["completion_messages"])[0][1] for g in found] == ["q", "a", "c", "b"]  # type: ignore[index]


def test_a_deep_thread_is_walked_to_its_end() -> None:
    """As deep as a record may be."""
    thread = message("end")
    for depth in range(126):
        thread = message(str(depth), thread)

    found = row(thread)["generations"]

    assert len(found) == 127
    assert len(found[-1]["prompt_messages"]) == 126


def test_prompts_of_one_record_are_bounded() -> None:
    """Each repeats what came before: without a bound, a small record could give any number of bytes."""
    long = message("x" * (MOST_PROMPT // 3), *(message(str(at), role="assistant") for at in range(4)))

    prompts = [g["prompt_messages"] for g in row(long)["generations"][1:]]

    assert [prompt is not None for prompt in prompts] == [True, True, False, False]


def test_a_name_too_long_to_be_repeated_is_not() -> None:
    long = {**MINIMAL, "message_id": "m" * 1001, "labels": LABELS, "replies": [message("a")]}
    rows = row(long)

    assert {r["item_id"] for r in rows["annotations"]} == {"0"}
    assert rows["generations"][1]["group_id"] is None
    assert json.loads(rows["generations"][0]["extra_json"])["message_id"] == "m" * 1001


def test_nobody_is_named_in_any_column() -> None:
    odd_reply = {"user_id": RATER, "events": {"emoji": [{"user_id": RATER}]}, "list": [{"user_id": RATER}]}
    tree = {**TREE, "user_id": AUTHOR, "prompt": {**ROW, "replies": [odd_reply, 5]}}
    odd_events = {"message_id": "m", "text": "t", "role": "prompter", "events": {"emoji": {"user_id": RATER}}}
    odd_label = {**ROW, "labels": {"a": {"value": 1, "user_id": RATER}}}
    rows = derive("oasst_tree", "trees.jsonl", [tree, odd_events, odd_label])

    shown = json.dumps(rows, default=str)
    assert AUTHOR not in shown
    assert RATER not in shown
    assert PEOPLE.pseudonym(RATER) in shown


@pytest.mark.parametrize(
    "value",
    [
        {"message_tree_id": "m", "prompt": None},
        {"message_tree_id": "m", "prompt": "q"},
        {"message_id": "m", "text": 1, "role": "prompter"},
        {"message_id": "m", "role": "prompter"},
        {"thread_id": "t", "thread": [MINIMAL]},
        [MINIMAL],
        "m",
    ],
)
def test_what_is_no_message_gives_a_finding_and_nothing_else(value: Any) -> None:
    rows = row(value)

    assert [found["found"] for found in rows.pop("log_findings")] == ["not of a shape that oasst_message 1 knows"]
    assert rows == {}


def found(values: list[Any]) -> str:
    content = json_lines(values)
    return detect("export/some.jsonl", content, len(content)).format


def test_files_are_recognised() -> None:
    assert found([TREE] * 3) == "oasst_tree"
    assert found([ROW] * 3) == "oasst_message"
    assert found([MINIMAL] * 3) == "oasst_message"
    assert found([TREE["prompt"]] * 3) == "oasst_message"


@pytest.mark.parametrize(
    "other",
    [
        {"message_id": "m", "text": "t", "role": "user", "parent_id": None},
        {"message_id": "m", "text": "t", "role": "assistant"},
        {"message_tree_id": "m", "prompt": "q"},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"messages": [{"role": "assistant", "content": "t"}]},
        {"message_id": "m", "text": "t", "role": ["assistant"], "lang": "en"},
    ],
)
def test_others_are_not_claimed(other: dict[str, Any]) -> None:
    assert not found([other] * 3).startswith("oasst")


def test_every_column_given_is_declared_and_no_other() -> None:
    for format in ("oasst_tree", "oasst_message"):
        given = columns_given(derive(format, "a.jsonl", [TREE, ROW]))

        assert given == ADAPTERS[format].fields.keys()
