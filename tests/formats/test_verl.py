"""Events of verl's rollouts and metrics."""

from typing import Any

import pytest

from tests.formats.support import derive

ROLLOUT = {"input": "user\nhi\nassistant\n", "output": "yo", "gts": None, "score": 0.5, "step": 7}


def rollout(extra: dict[str, Any], path: str = "grpo-s1/rollouts/7.jsonl") -> dict[str, list[dict[str, Any]]]:
    return derive("verl_rollouts", path, [ROLLOUT | extra])


def test_a_rollout_is_a_generation_and_its_scores() -> None:
    rows = rollout({"gts": ["4"], "acc": True, "pred": "5", "len_reward": -1, "feedback": None, "uid": "1_0_0"})

    [generation] = rows["generations"]
    assert (generation["prompt_text"], generation["completion_text"]) == (ROLLOUT["input"], "yo")
    assert (generation["step"], generation["split"], generation["run_id"]) == (7, "train", "grpo-s1")
    assert (generation["ground_truth_json"], generation["role_boundaries"]) == ('["4"]', "marker_text")
    assert generation["extra_json"] == '{"feedback":null,"pred":"5","uid":"1_0_0"}'
    scores = {s["scorer"]: (s["score"], s["score_state"], s["generation_id"]) for s in rows["reward_scores"]}
    assert scores == {
        "score": (0.5, "finite", generation["event_id"]),
        "acc": (1.0, "finite", generation["event_id"]),
        "len_reward": (-1.0, "finite", generation["event_id"]),
    }


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (None, (None, "null", None)),
        (float("nan"), (None, "nan", None)),
        (float("-inf"), (float("-inf"), "inf", None)),
        (2**53 + 1, (float(2**53), "finite", None)),
        (10**400, (None, "finite", '{"score":1' + "0" * 400 + "}")),
    ],
)
def test_a_score_says_what_it_was(score: Any, expected: tuple[Any, str, str | None]) -> None:
    [row] = rollout({"score": score})["reward_scores"]

    assert (row["score"], row["score_state"], row["extra_json"]) == expected


def test_a_score_that_is_no_number_is_kept_in_extra() -> None:
    rows = rollout({"score": {"a": 1}})

    assert "reward_scores" not in rows
    assert rows["generations"][0]["extra_json"] == '{"score":{"a":1}}'


@pytest.mark.parametrize(
    ("path", "run_id", "split"),
    [
        ("grpo-s1/rollout_data_dir/7.jsonl", "grpo-s1", "train"),
        ("grpo-s1/validation_data/7.jsonl", "grpo-s1", "val"),
        ("verl_rollouts/7.jsonl", "verl_rollouts", "train"),
        ("rollouts/7.jsonl", "rollouts", "train"),
        ("7.jsonl", None, "train"),
    ],
)
def test_run_and_split_come_from_the_folders(path: str, run_id: str | None, split: str) -> None:
    [row] = rollout({}, path)["generations"]

    assert (row["run_id"], row["split"]) == (run_id, split)


def test_the_step_of_the_file_name_stands_in_for_a_missing_one() -> None:
    without = {key: value for key, value in ROLLOUT.items() if key != "step"}

    assert derive("verl_rollouts", "a/42.jsonl", [without])["generations"][0]["step"] == 42


def test_metrics_are_rows_and_the_first_line_names_the_run() -> None:
    lines = [{"step": n, "data": {"actor/pg_loss": 0.5, "val-core/acc": None, "training/epoch": 1}} for n in (1, 2)]

    rows = derive("verl_metrics", "2026-01-01/rlhf-demo/grpo-s1.jsonl", lines)

    [run] = rows["runs"]
    assert (run["run_id"], run["project"], run["framework"]) == ("grpo-s1", "rlhf-demo", "verl")
    found = [
        (m["step"], m["split"], m["metric"], m["value"], m["value_state"], m["epoch"]) for m in rows["training_metrics"]
    ]
    assert found == [
        (step, *rest, 1.0)
        for step in (1, 2)
        for rest in (
            ("train", "actor/pg_loss", 0.5, "finite"),
            ("eval", "val-core/acc", None, "null"),
            ("train", "training/epoch", 1.0, "finite"),
        )
    ]
    assert rows["training_metrics"][0]["metric_canonical"] == "loss"
