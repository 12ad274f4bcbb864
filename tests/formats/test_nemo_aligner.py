"""Data of NeMo-Aligner: labelled texts of regression reward models, conversations with packed labels."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from audit_pipeline.records.events import COMMON_COLUMNS
from tests.formats.support import MTIME, derive, json_lines

PROMPT = "<extra_id_0>System\nBe kind.\n<extra_id_1>User\nHi\n<extra_id_1>Assistant\n"
RM = {"text": PROMPT + "Yo\n<extra_id_2>", "label": [-100, 4, 0.5]}
USER = {"from": "User", "value": "Hi", "label": None}
BOT = {"from": "Assistant", "value": "Yo", "label": "helpfulness:4,toxicity:0"}
SFT = {"system": "Be kind.", "mask": "User", "type": "VALUE_TO_TEXT", "conversations": [USER, BOT]}


def rows_of(format: str, item: Any) -> dict[str, list[dict[str, Any]]]:
    return derive(format, "data/train.jsonl", [item])


def conversation(*turns: dict[str, Any], **changes: Any) -> dict[str, list[dict[str, Any]]]:
    return rows_of("nemo_aligner_sft", {**SFT, "conversations": list(turns), **changes})


def scores(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    return [(row["scorer"], row["score"], row["score_state"]) for row in rows.get("reward_scores", [])]


def texts(messages: list[dict[str, Any]] | None) -> list[tuple[str, str]] | None:
    return None if messages is None else [(one["role"], one["content"]) for one in messages]


def test_a_labelled_text_is_split_at_its_last_response() -> None:
    [row] = rows_of("nemo_aligner_rm", RM)["generations"]

    assert (row["prompt_text"], row["completion_text"]) == (PROMPT, "Yo\n<extra_id_2>")
    assert (row["split"], row["sample_index"], row["group_id"]) == ("dataset", 0, "0")
    assert (row["role_boundaries"], row["extra_json"], row["run_id"]) == ("marker_text", None, None)
    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")


def test_a_text_without_marks_is_all_response() -> None:
    [row] = rows_of("nemo_aligner_rm", {"text": "Yo", "label": [1.0], "source": "web"})["generations"]

    assert (row["prompt_text"], row["completion_text"], row["role_boundaries"]) == (None, "Yo", "lost")
    assert row["extra_json"] == '{"source":"web"}'


def test_each_label_is_a_score_and_a_missing_one_says_so() -> None:
    rows = rows_of("nemo_aligner_rm", {**RM, "label": [-100, 4, 0.5, float("nan"), -100.0]})

    assert scores(rows) == [
        ("label[0]", None, "sentinel"),
        ("label[1]", 4.0, "finite"),
        ("label[2]", 0.5, "finite"),
        ("label[3]", None, "nan"),
        ("label[4]", None, "sentinel"),
    ]
    assert {row["generation_id"] for row in rows["reward_scores"]} == {rows["generations"][0]["event_id"]}
    assert [row["extra_json"] for row in rows["reward_scores"]] == [
        '{"label":-100}',
        None,
        None,
        None,
        '{"label":-100.0}',
    ]
    assert {row["scorer_kind"] for row in rows["reward_scores"]} == {None}


def test_a_labelled_turn_is_a_response_with_a_score_for_each_attribute() -> None:
    rows = rows_of("nemo_aligner_sft", {**SFT, "dataset": "oasst"})

    [row] = rows["generations"]
    assert texts(row["prompt_messages"]) == [("system", "Be kind."), ("User", "Hi")]
    assert texts(row["completion_messages"]) == [("Assistant", "Yo")]
    assert row["completion_messages"][0]["extra_json"] == '{"label":"helpfulness:4,toxicity:0"}'
    assert (row["split"], row["group_id"], row["role_boundaries"]) == ("dataset", "0", "structured")
    assert json.loads(row["extra_json"]) == {"mask": "User", "type": "VALUE_TO_TEXT", "dataset": "oasst"}
    assert scores(rows) == [("helpfulness", 4.0, "finite"), ("toxicity", 0.0, "finite")]
    assert {score["generation_id"] for score in rows["reward_scores"]} == {row["event_id"]}


def test_every_labelled_turn_is_a_response_of_its_own() -> None:
    rows = conversation(USER, BOT, USER, {**BOT, "value": "No", "label": "quality:1.5"})

    first, second = rows["generations"]
    assert [row["sample_index"] for row in rows["generations"]] == [0, 1]
    assert texts(first["completion_messages"]) == [("Assistant", "Yo")]
    assert len(second["prompt_messages"]) == 4
    assert texts(second["completion_messages"]) == [("Assistant", "No")]
    by_response = [(row["generation_id"], row["scorer"], row["score"]) for row in rows["reward_scores"]]
    assert by_response == [
        (first["event_id"], "helpfulness", 4.0),
        (first["event_id"], "toxicity", 0.0),
        (second["event_id"], "quality", 1.5),
    ]


def test_without_labels_the_last_turn_is_the_response_unless_it_is_masked() -> None:
    plain = {"from": "Assistant", "value": "Yo"}

    [answered] = conversation(USER, plain)["generations"]
    [asked] = conversation(USER, plain, USER)["generations"]

    assert texts(answered["completion_messages"]) == [("Assistant", "Yo")]
    assert (len(asked["prompt_messages"]), asked["completion_messages"]) == (4, None)


@pytest.mark.parametrize("label", ["", "helpful", "helpfulness:high", "a:1,,b:2", "a:1,b", ["a:1"], 4, None])
def test_a_label_that_is_not_packed_gives_no_score_and_stays(label: Any) -> None:
    rows = conversation(USER, {**BOT, "label": label})

    assert scores(rows) == []
    [response] = rows["generations"][0]["completion_messages"]
    assert json.loads(response["extra_json"] or "{}").get("label") == label


def test_other_keys_and_values_of_a_turn_stay() -> None:
    turn = {"from": "Assistant", "value": ["Yo"], "role": "x", "content": "y", "id": 7}

    [row] = conversation(turn, system="")["generations"]

    [message] = row["completion_messages"]
    assert (message["role"], message["content"]) == ("Assistant", None)
    assert json.loads(message["extra_json"]) == {"content": ["Yo"], "turn.role": "x", "turn.content": "y", "id": 7}
    assert row["prompt_messages"] is None
    assert json.loads(row["extra_json"])["system"] == ""


@pytest.mark.parametrize(
    ("format", "item"),
    [
        ("nemo_aligner_rm", {"text": "a", "label": []}),
        ("nemo_aligner_rm", {"text": "a", "label": [True]}),
        ("nemo_aligner_rm", {"text": "a", "label": 1}),
        ("nemo_aligner_rm", {"text": None, "label": [1]}),
        ("nemo_aligner_rm", [1]),
        ("nemo_aligner_sft", {**SFT, "conversations": []}),
        ("nemo_aligner_sft", {**SFT, "conversations": [{"from": 1, "value": "a"}]}),
        ("nemo_aligner_sft", {**SFT, "mask": None}),
        ("nemo_aligner_sft", "a"),
    ],
)
def test_what_is_of_another_shape_gives_a_finding_and_nothing_else(format: str, item: Any) -> None:
    rows = rows_of(format, item)

    assert [row["found"] for row in rows.pop("log_findings")] == [f"not of a shape that {format} 1 knows"]
    assert rows == {}


@pytest.mark.parametrize(
    ("format", "samples"),
    [
        ("nemo_aligner_rm", [{**RM, "source": "web"}]),
        ("nemo_aligner_sft", [SFT, {**SFT, "conversations": [USER, {**BOT, "label": "quality:-100"}]}]),
    ],
)
def test_the_columns_given_are_those_declared(format: str, samples: list[Any]) -> None:
    given = {
        f"{table}.{name}"
        for item in samples
        for table, rows in rows_of(format, item).items()
        for row in rows
        for name, value in row.items()
        if value is not None and name not in {column.name for column in COMMON_COLUMNS} - {"run_id", "extra_json"}
    }

    assert given == set(ADAPTERS[format].fields)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (RM, "nemo_aligner_rm"),
        (SFT, "nemo_aligner_sft"),
        ({key: SFT[key] for key in ("system", "mask", "conversations")}, "nemo_aligner_sft"),
        ({**RM, "id": 3}, "nemo_aligner_rm"),
        ({"text": "A film review.", "label": [0, 1, 0]}, "generic_jsonl"),
        ({"mask": "User", "conversations": [USER, BOT]}, "generic_jsonl"),
        ({"text": RM["text"], "label": 1}, "generic_jsonl"),
        ({"text": RM["text"], "labels": [1.0]}, "generic_jsonl"),
        ({"id": "x", "conversations": [{"from": "human", "value": "Hi"}]}, "generic_jsonl"),
        ({"prompt": "a", "chosen_response": "b", "rejected_response": "c"}, "preference_pairs"),
    ],
)
def test_it_is_told_from_its_neighbours(item: Any, expected: str) -> None:
    content = json_lines([item] * 3)

    assert detect("data/train.jsonl", content, len(content)).format == expected
