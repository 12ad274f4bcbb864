"""Rollouts of open-instruct, and the line that names their run."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import HEAD_BYTES, detect
from audit_pipeline.records.events import COMMON_COLUMNS
from tests.formats.support import MTIME, derive, json_lines

METADATA = {
    "run_name": "grpo-s1",
    "git_commit": "c0ffee",
    "model_name": "tiny-llama",
    "timestamp": "2026-11-23T17:31:17.840792+00:00",
}
ROLLOUT = {
    "step": 4,
    "sample_idx": 5,
    "prompt_idx": 1,
    "prompt_tokens": [1, 2],
    "response_tokens": [3, 4],
    "reward": -0.5,
    "advantage": 0.25,
    "finish_reason": "length",
    "dataset": "gsm8k",
    "ground_truth": [7, 8],
    "request_info": {"num_calls": 1, "tool_errors": ""},
    "logprobs": [-0.5, -1.5],
}
METADATA_PATH = "out/rollouts/grpo-s1_metadata.jsonl"
ROLLOUT_PATH = "out/rollouts/grpo-s1_rollouts_000001.jsonl"


def run(**changes: Any) -> dict[str, Any]:
    [row] = derive("open_instruct_metadata", METADATA_PATH, [{**METADATA, **changes}])["runs"]
    return row


def rollout(path: str = ROLLOUT_PATH, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("open_instruct_rollouts", path, [{**ROLLOUT, **changes}])


def test_the_metadata_is_the_run() -> None:
    row = run()

    assert (row["run_id"], row["run_key"], row["run_name"]) == ("grpo-s1", "grpo-s1", "grpo-s1")
    assert (row["framework"], row["base_model"], row["git_commit"]) == ("open-instruct", "tiny-llama", "c0ffee")
    assert row["event_time"] == datetime(2026, 11, 23, 17, 31, 17, 840792, UTC)
    assert (row["event_time_quality"], row["extra_json"]) == ("utc", None)


def test_an_unknown_model_is_no_model_and_a_time_that_is_none_is_kept() -> None:
    row = run(model_name="unknown", timestamp="yesterday", host="x")

    assert row["base_model"] is None
    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")
    assert json.loads(row["extra_json"]) == {"model_name": "unknown", "timestamp": "yesterday", "host": "x"}


@pytest.mark.parametrize(
    ("timestamp", "quality", "hour"),
    [("2026-11-23T17:31:17+02:00", "offset", 15), ("2026-11-23T17:31:17", "naive_assumed", 17)],
)
def test_the_zone_of_the_time_is_told(timestamp: str, quality: str, hour: int) -> None:
    row = run(timestamp=timestamp)

    assert (row["event_time_quality"], row["event_time"].hour) == (quality, hour)


def test_a_rollout_is_a_generation_of_tokens_and_its_score() -> None:
    rows = rollout()

    [row] = rows["generations"]
    assert (row["run_id"], row["step"], row["split"]) == ("grpo-s1", 4, "train")
    assert (row["sample_index"], row["group_id"]) == (5, "4/1")
    assert (row["prompt_token_ids"], row["completion_token_ids"]) == ([1, 2], [3, 4])
    assert (row["logprobs"], row["advantage"], row["finish_reason"]) == ([-0.5, -1.5], 0.25, "length")
    assert (row["ground_truth_json"], row["role_boundaries"], row["prompt_text"]) == ("[7,8]", None, None)
    assert json.loads(row["extra_json"]) == {"dataset": "gsm8k", "request_info": ROLLOUT["request_info"]}
    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")
    [score] = rows["reward_scores"]
    assert (score["generation_id"], score["run_id"], score["step"]) == (row["event_id"], "grpo-s1", 4)
    assert (score["scorer"], score["scorer_kind"]) == ("reward", "reward_func")
    assert (score["score"], score["score_state"]) == (-0.5, "finite")


def test_samples_of_a_prompt_share_a_group_and_those_of_another_step_do_not() -> None:
    lines = [{**ROLLOUT, "step": step, "sample_idx": at} for step, at in ((1, 0), (1, 1), (2, 0))]

    rows = derive("open_instruct_rollouts", ROLLOUT_PATH, lines)["generations"]

    assert [row["group_id"] for row in rows] == ["1/1", "1/1", "2/1"]


def test_what_the_trainer_left_out_is_null() -> None:
    [row] = rollout(ground_truth=None, request_info=None, logprobs=None)["generations"]

    assert (row["ground_truth_json"], row["logprobs"]) == (None, None)


def test_a_reward_that_is_nan_keeps_its_state_and_one_that_is_no_number_is_kept() -> None:
    [score] = rollout(reward=float("nan"))["reward_scores"]
    without = rollout(reward="high")

    assert (score["score"], score["score_state"]) == (None, "nan")
    assert "reward_scores" not in without
    assert json.loads(without["generations"][0]["extra_json"])["reward"] == "high"


def test_values_of_other_types_are_kept() -> None:
    [row] = rollout(step="first", prompt_idx=None, prompt_tokens="abc", advantage=[1])["generations"]

    kept = json.loads(row["extra_json"])
    assert (row["step"], row["group_id"], row["prompt_token_ids"], row["advantage"]) == (None, None, None, None)
    assert (kept["step"], kept["prompt_idx"], kept["prompt_token_ids"], kept["advantage"]) == (
        "first",
        None,
        "abc",
        [1],
    )


@pytest.mark.parametrize("changes", [{"step": 1.5}, {"prompt_idx": "p"}, {"prompt_idx": None}])
def test_without_a_step_and_a_prompt_there_is_no_group(changes: dict[str, Any]) -> None:
    [row] = rollout(**changes)["generations"]

    assert row["group_id"] is None
    assert json.loads(row["extra_json"]).items() >= {"prompt_idx": 1, **changes}.items()


def test_a_file_of_another_name_has_its_folder_as_the_run() -> None:
    [row] = rollout("grpo-s2/dump.jsonl")["generations"]
    [packed] = rollout(ROLLOUT_PATH + ".gz")["generations"]

    assert (row["run_id"], packed["run_id"]) == ("grpo-s2", "grpo-s1")


@pytest.mark.parametrize("format", ["open_instruct_metadata", "open_instruct_rollouts"])
@pytest.mark.parametrize("item", [1, [], {}, {"run_name": "a"}, {"step": 1, "prompt_tokens": []}])
def test_what_is_of_another_shape_gives_a_finding_and_nothing_else(format: str, item: Any) -> None:
    rows = derive(format, "a/b.jsonl", [item])

    assert [row["found"] for row in rows.pop("log_findings")] == [f"not of a shape that {format} 1 knows"]
    assert rows == {}


@pytest.mark.parametrize(
    ("format", "items"),
    [
        ("open_instruct_metadata", [{**METADATA, "host": "x"}]),
        ("open_instruct_rollouts", [ROLLOUT, {**ROLLOUT, "reward": 10**400}]),
    ],
)
def test_the_columns_given_are_those_declared(format: str, items: list[Any]) -> None:
    common = {column.name for column in COMMON_COLUMNS} - {"run_id", "extra_json"}
    timed = {"event_time", "event_time_quality"} if format == "open_instruct_metadata" else set()
    given = {
        f"{table}.{name}"
        for table, rows in derive(format, "a/grpo-s1_rollouts_000000.jsonl", items).items()
        for row in rows
        for name, value in row.items()
        if value is not None and name not in common - timed
    }

    assert given == set(ADAPTERS[format].fields)


@pytest.mark.parametrize(
    ("path", "item", "expected"),
    [
        (METADATA_PATH, METADATA, "open_instruct_metadata"),
        ("renamed.jsonl", METADATA, "open_instruct_metadata"),
        (ROLLOUT_PATH, ROLLOUT, "open_instruct_rollouts"),
        ("renamed.jsonl", ROLLOUT, "open_instruct_rollouts"),
        (METADATA_PATH, {**METADATA, "config": {}}, "generic_jsonl"),
        (ROLLOUT_PATH, {**ROLLOUT, "prompt_tokens": 12}, "generic_jsonl"),
        (ROLLOUT_PATH, {"step": 1, "prompt_tokens": [1], "response_tokens": [2]}, "generic_jsonl"),
        ("1.jsonl", {"input": "a", "output": "b", "score": 1.0, "step": 1}, "verl_rollouts"),
    ],
)
def test_it_is_told_from_its_neighbours(path: str, item: Any, expected: str) -> None:
    content = json_lines([item])

    assert detect(path, content, len(content)).format == expected


def test_a_line_larger_than_what_is_sampled_is_told_by_its_start() -> None:
    content = json_lines([{**ROLLOUT, "response_tokens": list(range(100_000))}])

    assert detect("renamed.jsonl", content[:HEAD_BYTES], len(content)).format == "open_instruct_rollouts"
