"""Events of TRL and transformers Trainer logs."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import MTIME, derive, json_lines

HEADER: dict[str, Any] = {
    "best_model_checkpoint": None,
    "epoch": 1.0,
    "global_step": 2,
    "log_history": [],
    "max_steps": 2,
}
TRAIN = {"step": 1, "epoch": 0.5, "loss": 0.25, "grad_norm": 1.5, "rewards/margins": 2}
EVAL = {"step": 1, "epoch": 0.5, "eval_loss": 0.5}
SUMMARY = {"step": 2, "epoch": 1.0, "train_loss": 0.75, "train_runtime": 3.5, "total_flos": 0.0}


def metrics(values: list[Any], path: str = "2026-01-01/dpo-s1/log_history.jsonl") -> list[dict[str, Any]]:
    return derive("trl_log_history", path, values).get("training_metrics", [])


def test_a_trainer_state_is_a_run_and_its_metrics() -> None:
    rows = derive("trl_trainer_state", "dpo-s1/trainer_state.json", [HEADER, TRAIN, EVAL, SUMMARY])

    assert rows.keys() == {"runs", "training_metrics", "policy_updates"}
    [update] = rows["policy_updates"]
    assert (update["step"], update["epoch"], update["loss"], update["grad_norm"], update["kl"]) == (
        1,
        0.5,
        0.25,
        1.5,
        None,
    )
    [run] = rows["runs"]
    assert (run["run_id"], run["run_key"], run["framework"], run["position"]) == ("dpo-s1", "dpo-s1", "transformers", 0)
    assert json.loads(run["config_json"]) == {key: value for key, value in HEADER.items() if key != "log_history"}
    found = [
        (m["position"], m["split"], m["metric"], m["value"], m["step"], m["epoch"]) for m in rows["training_metrics"]
    ]
    assert found == [
        (1, "train", "loss", 0.25, 1, 0.5),
        (1, "train", "grad_norm", 1.5, 1, 0.5),
        (1, "train", "rewards/margins", 2.0, 1, 0.5),
        (2, "eval", "eval_loss", 0.5, 1, 0.5),
        (3, "summary", "train_loss", 0.75, 2, 1.0),
        (3, "summary", "train_runtime", 3.5, 2, 1.0),
        (3, "summary", "total_flos", 0.0, 2, 1.0),
    ]


def test_a_header_is_known_by_its_shape_wherever_it_is() -> None:
    """A changed header of a growing file is taken in after the entries."""
    rows = derive("trl_trainer_state", "dpo-s1/trainer_state.json", [TRAIN, HEADER])

    assert [run["position"] for run in rows["runs"]] == [1]


@pytest.mark.parametrize(
    ("value", "state", "number", "raw"),
    [
        (0.1, "finite", 0.1, None),
        (1e-7, "finite", 1e-07, None),
        (2**60 + 1, "finite", float(2**60), "1152921504606846977"),
        (True, "finite", 1.0, "true"),
        (None, "null", None, "null"),
        (float("nan"), "nan", None, "NaN"),
        (float("inf"), "+inf", None, "Infinity"),
        (float("-inf"), "-inf", None, "-Infinity"),
        ("0.6991", "text", None, "0.6991"),
        ([1, 2], "text", None, "[1,2]"),
        (10**400, "text", None, "1" + "0" * 400),
    ],
)
def test_a_metric_says_what_it_was(value: Any, state: str, number: float | None, raw: str | None) -> None:
    [row] = metrics([{"step": 1, "epoch": 0.5, "kl": value}])

    assert row["run_id"] == "dpo-s1"

    assert (row["value_state"], row["value"], row["value_raw"]) == (state, number, raw)
    assert (row["metric"], row["metric_canonical"], row["attempt"]) == ("kl", "kl", 0)


def test_a_derived_nan_is_a_nan() -> None:
    """From a JSON container, NaN comes as canonical JSON writes it."""
    rows = derive("trl_trainer_state", "a/trainer_state.json", [TRAIN | {"loss": {"$nonfinite": "NaN"}}])

    assert rows["training_metrics"][0]["value_state"] == "nan"


@pytest.mark.parametrize(
    ("path", "run_id"),
    [
        ("dpo-s1/trainer_state.json", "dpo-s1"),
        ("dpo-s1/checkpoint-10/trainer_state.json", "dpo-s1"),
        ("2026-01-01/dpo-s1/checkpoint-10/trainer_state.json", "dpo-s1"),
        ("day=2026-01-01/trainer_state.json", None),
        ("trainer_state.json", None),
    ],
)
def test_the_run_is_the_output_folder(path: str, run_id: str | None) -> None:
    assert derive("trl_trainer_state", path, [HEADER])["runs"][0]["run_id"] == run_id


def test_the_time_of_a_callback_is_taken_and_else_the_files() -> None:
    timed, untimed, odd = metrics(
        [
            {"step": 1, "epoch": 0.1, "loss": 1.0, "ts": 1_795_454_137.312047},
            {"step": 1, "epoch": 0.1, "loss": 1.0},
            {"step": 1, "epoch": 0.1, "ts": 12},
        ]
    )

    assert timed["event_time"] == datetime(2026, 11, 23, 17, 15, 37, 312047, UTC)
    assert timed["event_time_quality"] == "epoch_s"
    assert (untimed["event_time"], untimed["event_time_quality"]) == (MTIME, "file_mtime")
    assert (odd["metric"], odd["event_time"]) == ("ts", MTIME)


def test_a_step_that_is_none_goes_to_extra() -> None:
    [row] = metrics([{"step": "first", "epoch": 0.1, "loss": 1.0}])

    assert (row["step"], row["extra_json"]) == (None, '{"step":"first"}')


def test_lines_that_are_no_log_entries_give_nothing() -> None:
    assert metrics([1, "a", None, [], {}, {"loss": 1.0}]) == []


ROW = {"step": 3, "prompt": "\n\nHuman: hi\n\nAssistant:", "completion": " yo", "len_reward": -0.5, "advantage": 0.25}


def test_a_completion_is_a_generation_and_its_scores() -> None:
    path = "grpo-s1/completions/completions_00003.parquet"
    rows = derive("trl_completions", path, [ROW | {"unsure_reward": None, "trace": "x", "count": 3}])

    [generation] = rows["generations"]
    assert generation["prompt_text"] == ROW["prompt"]
    assert generation["completion_text"] == " yo"
    assert (generation["step"], generation["advantage"], generation["sample_index"]) == (3, 0.25, 0)
    assert (generation["run_id"], generation["role_boundaries"]) == ("grpo-s1", "marker_text")
    assert generation["extra_json"] == '{"count":3,"trace":"x"}'
    scores = [(s["scorer"], s["score"], s["score_state"], s["generation_id"]) for s in rows["reward_scores"]]
    assert scores == [
        ("len_reward", -0.5, "finite", generation["event_id"]),
        ("unsure_reward", None, "null_or_nan", generation["event_id"]),
    ]


def test_conversations_keep_their_messages() -> None:
    prompt = [{"role": "user", "content": "hi", "name": "A"}]
    answer = [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]

    [row] = derive("trl_completions", "a/b.parquet", [ROW | {"prompt": prompt, "completion": answer}])["generations"]

    assert row["prompt_messages"] == [{"role": "user", "content": "hi", "extra_json": '{"name":"A"}'}]
    assert row["completion_messages"] == [
        {"role": "assistant", "content": None, "extra_json": '{"tool_calls":[{"id":1}]}'}
    ]
    assert (row["prompt_text"], row["completion_text"], row["role_boundaries"]) == (None, None, "structured")


PPO = {
    "eps": 8,
    "episode": 2,
    "epoch": 0.125,
    "loss/policy_avg": 0.5,
    "loss/value_avg": 0.25,
    "lr": 3e-06,
    "objective/entropy": 22.5,
    "objective/kl": -0.125,
    "objective/non_score_reward": 0.0,
    "objective/rlhf_reward": -1.5,
    "objective/scores": -1.25,
    "policy/approxkl_avg": 0.0,
    "policy/clipfrac_avg": 0.0625,
    "policy/entropy_avg": 5.75,
    "val/clipfrac_avg": 0.0,
    "val/num_eos_tokens": 0,
    "val/ratio": 1.0,
    "val/ratio_var": float("nan"),
    "step": 1,
}
"""What PPOTrainer logs; `val/` is its value function."""


def test_all_that_ppo_logs_is_of_training() -> None:
    [update] = derive("trl_log_history", "ppo-s1/log_history.jsonl", [PPO])["policy_updates"]
    names = ("loss", "reward", "kl", "lr", "entropy", "clip_fraction", "grad_norm", "not_finite")
    assert [update[name] for name in names] == [0.5, -1.5, -0.125, 3e-06, 5.75, 0.0625, None, None]

    rows = metrics([PPO])
    assert {row["metric"] for row in rows} == PPO.keys() - {"step", "epoch"}
    assert {row["split"] for row in rows} == {"train"}
    assert [row["value_state"] for row in rows if row["metric"] == "val/ratio_var"] == ["nan"]


@pytest.mark.parametrize(
    ("metric", "split"),
    [("eval_loss", "eval"), ("eval_rewards/chosen", "eval"), ("test_loss", "eval"), ("rewards/chosen", "train")],
)
def test_the_split_is_told_by_what_stands_in_front(metric: str, split: str) -> None:
    [row] = metrics([{"step": 1, "epoch": 0.5, metric: 1.0}])

    assert row["split"] == split


def test_a_reward_function_that_gave_nothing_is_null_and_no_number() -> None:
    rows = metrics([{"step": 1, "epoch": 0.5, "reward": 4.0, "rewards/none_reward/mean": None}])

    assert [(row["metric"], row["value"], row["value_state"]) for row in rows] == [
        ("reward", 4.0, "finite"),
        ("rewards/none_reward/mean", None, "null"),
    ]


def test_a_loss_of_zero_beside_a_gradient_that_is_nan_can_be_found() -> None:
    """The Trainer logs 0 for a loss that was NaN; the gradient tells."""
    entry = {"step": 2, "epoch": 0.5, "loss": 0.0, "grad_norm": float("nan"), "entropy": float("inf")}

    [update] = derive("trl_log_history", "dpo/log_history.jsonl", [entry])["policy_updates"]

    assert (update["loss"], update["grad_norm"], update["entropy"]) == (0.0, None, None)
    assert update["not_finite"] == ["grad_norm", "entropy"]


def test_a_checkpoint_holds_the_same_entries_of_the_same_run() -> None:
    root = derive("trl_trainer_state", "out/dpo-s1/trainer_state.json", [HEADER, TRAIN, EVAL, SUMMARY])
    copy = derive("trl_trainer_state", "out/dpo-s1/checkpoint-1/trainer_state.json", [HEADER, TRAIN, EVAL])

    def said(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
        return [(m["run_id"], m["step"], m["metric"], m["value"]) for m in rows["training_metrics"]]

    assert said(copy) == said(root)[: len(said(copy))]
    assert len(said(copy)) == 4


@pytest.mark.parametrize("entry", [PPO, TRAIN, EVAL, SUMMARY])
def test_entries_are_known_whatever_trainer_wrote_them(entry: dict[str, Any]) -> None:
    content = json_lines([entry] * 2)

    assert detect("out/callback.jsonl", content, len(content)).format == "trl_log_history"
    assert lost({**entry, "new": "text-x"}, {"m": metrics([{**entry, "new": "text-x"}])}) == []


def test_the_columns_given_are_those_declared() -> None:
    every = {"reward": 1.0, "kl": 1.0, "learning_rate": 0.1, "entropy": float("nan"), "clip_ratio/region_mean": 0.5}
    entries = [TRAIN | every | {"ts": 1_795_454_137.5}, EVAL, SUMMARY, {**TRAIN, **every, "step": "first"}, PPO]
    entries.append({"step": 1, "epoch": 1, "entropy": 2.0})
    given = {
        "trl_trainer_state": derive("trl_trainer_state", "a/trainer_state.json", [HEADER, *entries]),
        "trl_log_history": derive("trl_log_history", "a/log_history.jsonl", entries),
        "trl_completions": derive(
            "trl_completions",
            "a/completions/completions_00001.parquet",
            [
                ROW | {"note": "x"},
                ROW | {"step": "x"},
                ROW | {key: [{"role": "user", "content": "a"}] for key in ("prompt", "completion")},
            ],
        ),
    }

    for name, rows in given.items():
        assert columns_given(rows) == ADAPTERS[name].fields.keys()
