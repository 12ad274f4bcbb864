"""Events of verl's rollouts and metrics."""

from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import derive, json_lines

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


@pytest.mark.parametrize(
    ("uid", "group"),
    [
        ("a-sample_0_1", "a-sample"),
        ("with_under_scores_12_0", "with_under_scores"),
        ("line\nbreak_1_2", "line\nbreak"),
        ("sample_0", None),
        ("sample", None),
        ("_0_1", None),
        ("sample_x_1", None),
        (7, None),
        (["a_0_1"], None),
        (None, None),
    ],
)
def test_outputs_of_one_sample_are_a_group(uid: Any, group: str | None) -> None:
    [row] = rollout({"uid": uid})["generations"]

    assert row["group_id"] == group
    assert '"uid"' in row["extra_json"], "which rollout and output it is stays there"


def test_validation_has_the_score_under_two_names() -> None:
    """As `score` and again as a reward extra: both are in the line, so both are kept."""
    rows = rollout({"reward": 0.5, "acc": False}, "grpo-s1/validation_data_dir/7.jsonl")

    assert rows["generations"][0]["split"] == "val"
    assert [(row["scorer"], row["score"]) for row in rows["reward_scores"]] == [
        ("reward", 0.5),
        ("acc", 0.0),
        ("score", 0.5),
    ]


def test_equal_lines_are_two_generations() -> None:
    rows = derive("verl_rollouts", "a/7.jsonl", [ROLLOUT, ROLLOUT])

    assert [row["sample_index"] for row in rows["generations"]] == [0, 1]
    assert [row["generation_id"] for row in rows["reward_scores"]] == [row["event_id"] for row in rows["generations"]]


def test_nothing_is_lost() -> None:
    line = {**ROLLOUT, "gts": {"answer": "gts-x"}, "request_id": "request-x", "feedback": ["f-x"], "acc": 0.625}
    entry = {"step": 77123, "data": {"actor/pg_loss": 0.625, "note": "text-x"}, "new_key": "new-x"}

    assert lost(line, rollout(line)) == []
    assert lost(entry, derive("verl_metrics", "p/e.jsonl", [entry])) == []


def test_both_trainers_rollouts_are_known() -> None:
    older, newer = ROLLOUT | {"acc": 1.0, "request_id": "r"}, ROLLOUT | {"uid": "s_0_0"}

    for line in (older, newer):
        content = json_lines([line] * 2)
        assert detect("out/7.jsonl", content, len(content)).format == "verl_rollouts"


def test_the_columns_given_are_those_declared() -> None:
    lines = [ROLLOUT | {"gts": "4", "uid": "s_0_0"}, ROLLOUT | {"score": 10**400}]
    names = ("pg_loss", "ppo_kl", "grad_norm", "lr", "entropy", "pg_clipfrac")
    data = {f"actor/{name}": 0.5 for name in names} | {"critic/rewards/mean": 1.0, "training/epoch": 1}
    entries = [{"step": 1, "data": data}, {"step": "x", "data": data | {"actor/lr": float("nan")}}]

    assert columns_given(derive("verl_rollouts", "g/r/7.jsonl", lines)) == ADAPTERS["verl_rollouts"].fields.keys()
    assert columns_given(derive("verl_metrics", "p/e.jsonl", entries)) == ADAPTERS["verl_metrics"].fields.keys()
