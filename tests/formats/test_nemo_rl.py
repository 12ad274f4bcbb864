"""Samples that NeMo-RL dumps at each step."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import HEAD_BYTES, detect
from audit_pipeline.records.events import COMMON_COLUMNS
from tests.formats.support import MTIME, derive, json_lines

TRAIN: dict[str, Any] = {
    "content": [["What is 2+2?", "4", "Environment: correct"]],
    "rewards": [0.5],
    "input_lengths": [5],
    "token_ids": [[11, 12, 13, 14, 15, 0, 0]],
    "token_loss_mask": [[0, 0, 1, 1, 0, 0, 0]],
    "sample_loss_mask": [1.0],
    "advantages": [[0.25] * 7],
    "generation_logprobs": [[0.0, 0.0, -0.5, -1.5, 0.0, 0.0, 0.0]],
    "prev_logprobs": [[0.0, -0.1, -0.6, -1.4, -2.0, 0.0, 0.0]],
    "idx": 3,
}
LOG = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yo"},
    {"role": "environment", "content": "wrong"},
]
VAL = {"content": [LOG], "rewards": [0.0], "idx": 0}
PATH = "grpo-s1/train_data_step12.jsonl"


def rows_of(item: Any, path: str = PATH) -> dict[str, list[dict[str, Any]]]:
    return derive("nemo_rl", path, [item])


def generation(**changes: Any) -> dict[str, Any]:
    [row] = rows_of({**TRAIN, **changes})["generations"]
    return row


def extra(row: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(row["extra_json"] or "{}"))


def test_a_training_sample_is_a_generation_with_the_tokens_of_its_response() -> None:
    rows = rows_of(TRAIN)

    [row] = rows["generations"]
    assert (row["run_id"], row["step"], row["split"], row["sample_index"]) == ("grpo-s1", 12, "train", 3)
    assert row["prompt_token_ids"] == [11, 12]
    assert row["completion_token_ids"] == [13, 14]
    assert row["logprobs"] == [-0.5, -1.5]
    assert row["advantage"] == 0.25
    assert [(turn["role"], turn["content"]) for turn in row["completion_messages"]] == [
        (None, "What is 2+2?"),
        (None, "4"),
        (None, "Environment: correct"),
    ]
    assert (row["role_boundaries"], row["prompt_messages"]) == ("lost", None)
    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")
    [score] = rows["reward_scores"]
    assert score["generation_id"] == row["event_id"]
    assert (score["scorer"], score["scorer_kind"], score["score"], score["score_state"]) == (
        "rewards",
        None,
        0.5,
        "finite",
    )
    assert (score["run_id"], score["step"]) == ("grpo-s1", 12)


def test_nothing_of_a_sample_is_lost() -> None:
    assert extra(generation(agent_ref=[{"name": "math"}])) == {
        "agent_ref": {"name": "math"},
        "input_lengths": 5,
        "sample_loss_mask": 1.0,
        "prev_logprobs": TRAIN["prev_logprobs"][0],
        "token_ids_after_response": [15],
    }


def test_a_validation_sample_keeps_its_messages() -> None:
    rows = rows_of(VAL, "logs/exp_001/val_data_step7.jsonl")

    [row] = rows["generations"]
    assert (row["run_id"], row["step"], row["split"], row["sample_index"]) == ("exp_001", 7, "val", 0)
    assert [turn["role"] for turn in row["prompt_messages"]] == ["system", "user"]
    assert [turn["content"] for turn in row["completion_messages"]] == ["Yo", "wrong"]
    assert (row["role_boundaries"], row["extra_json"]) == ("structured", None)
    assert [score["score"] for score in rows["reward_scores"]] == [0.0]


@pytest.mark.parametrize(
    ("log", "prompt", "response"), [(LOG[:2], ["Be brief.", "Hi"], None), (LOG[2:3], None, ["Yo"])]
)
def test_a_conversation_may_lack_a_side(log: list[Any], prompt: list[str] | None, response: list[str] | None) -> None:
    [row] = rows_of({**VAL, "content": [log]})["generations"]

    for column, texts in (("prompt_messages", prompt), ("completion_messages", response)):
        assert (row[column] and [turn["content"] for turn in row[column]]) == texts


def test_one_text_is_the_whole_conversation() -> None:
    row = generation(content=["\n\nHuman: hi\n\nAssistant: yo"])

    assert row["completion_text"] == "\n\nHuman: hi\n\nAssistant: yo"
    assert (row["role_boundaries"], row["prompt_text"]) == ("marker_text", None)


@pytest.mark.parametrize(
    ("content", "kept"),
    [([], []), ([[]], []), ([None], None), ([["text", 1]], ["text", 1]), ([3], 3), ({"a": 1}, {"a": 1})],
)
def test_content_of_another_shape_is_kept_in_extra(content: Any, kept: Any) -> None:
    row = generation(content=content)

    assert extra(row)["content"] == kept
    assert (row["completion_text"], row["completion_messages"], row["role_boundaries"]) == (None, None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"token_loss_mask": [[0, 1, 0, 1, 0, 0, 0]]},  # two turns: what is between is the environment's
        {"token_loss_mask": [[0, 0, 0, 0, 0, 0, 0]]},
        {"token_loss_mask": [[0, 0, 1, 1]]},
        {"token_loss_mask": [[0, 0, 2, 1, 0, 0, 0]]},
        {"token_loss_mask": [[0, 0, 1, 1, 1, 1, 0]]},  # longer than the sample
        {"token_loss_mask": ["0011000"]},
        {"token_ids": [[11, 12, 13, 14, 15, 0, 9]]},  # no padding behind
        {"token_ids": [[11, 12.5, 13, 14, 15, 0, 0]]},
        {"token_ids": [[11, 12, 13, 14, 15, [0], [0]]]},
        {"token_ids": [None]},
        {"input_lengths": [8]},
        {"input_lengths": [-1]},
        {"input_lengths": [True], "token_loss_mask": [[1, 0, 0, 0, 0, 0, 0]], "token_ids": [[5] * 7]},
        {"input_lengths": [None]},
    ],
)
def test_tokens_that_cannot_be_told_apart_stay_as_they_are(changes: dict[str, Any]) -> None:
    row = generation(**changes)

    assert (row["prompt_token_ids"], row["completion_token_ids"], row["logprobs"]) == (None, None, None)
    kept = {key: value[0] for key, value in {**TRAIN, **changes}.items() if isinstance(value, list)}
    tokens = ("token_ids", "token_loss_mask", "input_lengths", "generation_logprobs")
    assert {key: extra(row)[key] for key in tokens} == {key: kept[key] for key in tokens}


def test_without_a_mask_tokens_stay_as_they_are() -> None:
    item = {key: value for key, value in TRAIN.items() if key != "token_loss_mask"}

    [row] = rows_of(item)["generations"]

    assert row["completion_token_ids"] is None
    assert extra(row)["token_ids"] == TRAIN["token_ids"][0]


@pytest.mark.parametrize("logprobs", [[0.5] + [0.0] * 6, [0.0] * 3, [None] * 7, "x"])
def test_log_probabilities_that_are_not_of_the_response_alone_stay_as_they_are(logprobs: Any) -> None:
    row = generation(generation_logprobs=[logprobs])

    assert (row["logprobs"], row["completion_token_ids"]) == (None, [13, 14])
    assert extra(row)["generation_logprobs"] == logprobs


@pytest.mark.parametrize("values", [[0.25, 0.5], [], [None, None], ["a"], [True, True], 0.5])
def test_advantages_that_differ_stay_as_they_are(values: Any) -> None:
    row = generation(advantages=[values])

    assert row["advantage"] is None
    assert extra(row)["advantages"] == values


def test_dynamic_sampling_has_two_rewards_and_a_nan_keeps_its_state() -> None:
    rows = rows_of({**TRAIN, "filtered_rewards": [float("nan")]})

    found = [(row["scorer"], row["score"], row["score_state"]) for row in rows["reward_scores"]]
    assert found == [("rewards", 0.5, "finite"), ("filtered_rewards", None, "nan")]


@pytest.mark.parametrize("rewards", [["high"], [[0.5]], [], [0.5, 1.0], {"a": 1}])
def test_a_reward_that_is_no_number_is_kept_in_extra(rewards: Any) -> None:
    rows = rows_of({**TRAIN, "rewards": rewards})

    assert "reward_scores" not in rows
    kept = rewards[0] if isinstance(rewards, list) and len(rewards) == 1 else rewards
    assert extra(rows["generations"][0])["rewards"] == kept


def test_a_sample_without_content_has_its_tokens() -> None:
    """The trainer that passes its samples through a data plane may lack the texts."""
    [row] = rows_of({key: value for key, value in TRAIN.items() if key != "content"})["generations"]

    assert (row["completion_token_ids"], row["completion_messages"]) == ([13, 14], None)


def test_a_file_of_another_name_has_no_step_and_no_split() -> None:
    for path in ("grpo-s1/dump.jsonl", "grpo-s1/train_data_step.jsonl", f"a/val_data_step{'9' * 5000}.jsonl"):
        [row] = rows_of(TRAIN, path)["generations"]
        assert (row["step"], row["split"]) == (None, None)
    [row] = rows_of(TRAIN, PATH + ".gz")["generations"]
    assert (row["step"], row["split"]) == (12, "train")


@pytest.mark.parametrize("item", [1, [], {}, {"content": ["a"]}, {"rewards": [1.0]}, {"idx": 0}])
def test_what_is_no_sample_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = rows_of(item)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that nemo_rl 1 knows"]
    assert rows == {}


def test_the_columns_given_are_those_declared() -> None:
    samples = [TRAIN, VAL, {**TRAIN, "content": ["text"], "rewards": [10**400]}]
    given = {
        f"{table}.{name}"
        for item in samples
        for table, rows in rows_of(item).items()
        for row in rows
        for name, value in row.items()
        if value is not None and name not in {column.name for column in COMMON_COLUMNS} - {"run_id", "extra_json"}
    }

    assert given == set(ADAPTERS["nemo_rl"].fields)


def format_of(path: str, content: bytes) -> str:
    return detect(path, content[:HEAD_BYTES], len(content)).format


@pytest.mark.parametrize(
    ("path", "item", "expected"),
    [
        (PATH, TRAIN, "nemo_rl"),
        ("renamed.jsonl", TRAIN, "nemo_rl"),
        ("val_data_step1.jsonl", VAL, "nemo_rl"),
        ("distillation.jsonl", {"content": [["a", "b"]], "input_lengths": [2], "idx": 0}, "nemo_rl"),
        (PATH, {"content": "a", "rewards": 0.5, "idx": 0}, "generic_jsonl"),
        (PATH, {"content": [["a"]], "idx": 0}, "generic_jsonl"),
        (PATH, {"content": ["a", "b"], "rewards": [0.5, 1.0], "idx": 0}, "generic_jsonl"),
        (PATH, {"input": "a", "output": "b", "score": 1.0, "step": 1}, "verl_rollouts"),
    ],
)
def test_it_is_told_from_its_neighbours(path: str, item: Any, expected: str) -> None:
    assert format_of(path, json_lines([item] * 3)) == expected


def test_a_line_larger_than_what_is_sampled_is_told_by_its_start() -> None:
    large = {**TRAIN, "token_ids": [list(range(60_000))], "advantages": [[0.125] * 60_000]}

    assert len(json.dumps(large)) > 3 * HEAD_BYTES
    assert format_of("renamed.jsonl", json_lines([large])) == "nemo_rl"
