"""Files of model checkpoints."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.checkpoints import checkpoint_place
from audit_pipeline.formats.detect import HEAD_BYTES, detect
from audit_pipeline.records.events import COMMON_COLUMNS
from tests.formats.support import MTIME, PEOPLE, source

DIGEST = "ab" * 32
WEIGHTS = {"$hash_only": DIGEST, "bytes": 4096}
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "transformers_version": "5.23.0"}
INDEX = {"metadata": {"total_size": 8}, "weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
METRIC = {"metric_key": "eval_math_pass1", "metric_value": 0.75}


def rows_of(format: str, path: str, *items: Any) -> dict[str, list[dict[str, Any]]]:
    records = [(at, json.dumps(item).encode(), "ok") for at, item in enumerate(items)]
    return {table: rows.to_pylist() for table, rows in derive_rows(format, source(path), records, PEOPLE).items()}


def only_row(format: str, path: str, item: Any) -> dict[str, Any]:
    [row] = rows_of(format, path, item)["model_checkpoints"]
    return row


@pytest.mark.parametrize(
    ("path", "run_id", "step", "checkpoint", "file"),
    [
        ("dpo-s1/checkpoint-10/model.safetensors", "dpo-s1", 10, "checkpoint-10", "model.safetensors"),
        ("2026-01-01/dpo-s1/checkpoint-10/a.pt", "dpo-s1", 10, "checkpoint-10", "a.pt"),
        ("dpo-s1/checkpoint-10/global_step9/a.pt", "dpo-s1", 10, "checkpoint-10", "global_step9/a.pt"),
        ("ppo/_actor/global_step20/a.pt", "ppo", 20, "_actor/global_step20", "a.pt"),
        ("ppo/_critic/best_global_step20/a.pt", "ppo", 20, "_critic/best_global_step20", "a.pt"),
        ("rlhf/grpo-s1/global_step_30/actor/a.pt", "grpo-s1", 30, "global_step_30", "actor/a.pt"),
        ("grpo-s1/step_5/policy/weights/a.pt", "grpo-s1", 5, "step_5", "policy/weights/a.pt"),
        ("checkpoint-10/a.pt", None, 10, "checkpoint-10", "a.pt"),
        ("_actor/global_step2/a.pt", None, 2, "_actor/global_step2", "a.pt"),
        ("dpo-s1/a.pt", "dpo-s1", None, None, "a.pt"),
        ("a.pt", None, None, None, "a.pt"),
        ("dpo-s1/checkpoint-last/a.pt", "checkpoint-last", None, None, "a.pt"),
        ("dpo-s1/checkpoint-10", "dpo-s1", None, None, "checkpoint-10"),
        (f"dpo-s1/step_{'9' * 5000}/a.pt", f"step_{'9' * 5000}", None, None, "a.pt"),
    ],
)
def test_the_path_tells_the_run_the_step_and_the_checkpoint(
    path: str, run_id: str | None, step: int | None, checkpoint: str | None, file: str
) -> None:
    place = checkpoint_place(path)

    assert (place["run_id"], place.get("step"), place.get("checkpoint"), place["file"]) == (
        run_id,
        step,
        checkpoint,
        file,
    )


def test_weights_are_a_row_with_their_hash() -> None:
    row = only_row("weights", "dpo-s1/checkpoint-10/model.safetensors", WEIGHTS)

    assert (row["run_id"], row["step"], row["checkpoint"]) == ("dpo-s1", 10, "checkpoint-10")
    assert (row["file"], row["kind"], row["size_bytes"], row["sha256"]) == (
        "model.safetensors",
        "weights",
        4096,
        DIGEST,
    )
    assert (row["event_time"], row["event_time_quality"], row["extra_json"]) == (MTIME, "file_mtime", None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.safetensors", "weights"),
        ("model-00001-of-00002.safetensors", "weights"),
        ("adapter_model.bin", "weights"),
        ("pytorch_model.bin", "weights"),
        ("pytorch_model-00001-of-00002.bin", "weights"),
        ("mp_rank_00_model_states.pt", "weights"),
        ("model_world_size_8_rank_0.pt", "weights"),
        ("optimizer.pt", "optimizer"),
        ("optimizer.bin", "optimizer"),
        ("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "optimizer"),
        ("optim_world_size_8_rank_0.pt", "optimizer"),
        ("training_args.bin", "state"),
        ("scheduler.pt", "state"),
        ("scaler.pt", "state"),
        ("extra_state_world_size_8_rank_0.pt", "state"),
        ("data.pt", "state"),
        ("train_dataloader.pt", "state"),
        ("replay_buffer.pt", "state"),
        ("embeddings.pt", None),
        ("tokens.bin", None),
    ],
)
def test_the_kind_is_told_by_names_that_trainers_give_and_else_not(name: str, kind: str | None) -> None:
    assert only_row("weights", f"a/checkpoint-1/{name}", WEIGHTS)["kind"] == kind


def test_a_record_of_weights_keeps_what_it_has() -> None:
    row = only_row("weights", "a/model.pt", {"$hash_only": 7, "bytes": "many", "note": "x"})

    assert (row["sha256"], row["size_bytes"]) == (None, None)
    assert json.loads(row["extra_json"]) == {"sha256": 7, "size_bytes": "many", "note": "x"}


def test_a_configuration_is_a_row_with_the_architecture() -> None:
    row = only_row("model_config", "dpo-s1/checkpoint-10/config.json", CONFIG)

    assert (row["step"], row["file"], row["kind"], row["model_type"]) == (10, "config.json", "config", "llama")
    assert (row["sha256"], row["size_bytes"]) == (None, None)
    assert json.loads(row["extra_json"]) == {key: CONFIG[key] for key in ("architectures", "transformers_version")}


def test_an_index_keeps_which_file_has_which_tensor() -> None:
    row = only_row("model_index", "dpo-s1/checkpoint-10/model.safetensors.index.json", INDEX)

    assert (row["file"], row["kind"]) == ("model.safetensors.index.json", "config")
    assert json.loads(row["extra_json"]) == INDEX


def test_the_metric_of_a_checkpoint_is_told() -> None:
    row = only_row("openrlhf_checkpoint_metric", "ppo/_actor/best_global_step20/metric.json", METRIC)

    assert (row["run_id"], row["step"], row["checkpoint"]) == ("ppo", 20, "_actor/best_global_step20")
    assert (row["metric_key"], row["metric_value"], row["kind"]) == ("eval_math_pass1", 0.75, "state")


@pytest.mark.parametrize("value", [None, "high", True, float("-inf")])
def test_a_metric_that_is_no_finite_number_is_kept_in_extra(value: Any) -> None:
    row = only_row("openrlhf_checkpoint_metric", "a/metric.json", {"metric_key": None, "metric_value": value})

    kept = {"$nonfinite": "-Infinity"} if value == float("-inf") else value
    assert (row["metric_key"], row["metric_value"]) == (None, None)
    assert json.loads(row["extra_json"]) == {"metric_value": kept}


def test_a_metric_larger_than_a_double_is_kept_in_extra() -> None:
    row = only_row("openrlhf_checkpoint_metric", "a/metric.json", {**METRIC, "metric_value": 10**400})

    assert (row["metric_value"], json.loads(row["extra_json"])) == (None, {"metric_value": 10**400})


@pytest.mark.parametrize("format", ["weights", "model_config", "model_index", "openrlhf_checkpoint_metric"])
@pytest.mark.parametrize("item", [1, [], {}, {"$evidence": "x"}, {"model_type": 1}, {"metadata": {}, "weight_map": []}])
def test_what_is_of_another_shape_gives_a_finding_and_nothing_else(format: str, item: Any) -> None:
    rows = rows_of(format, "a/b", item)

    version = ADAPTERS[format].version
    assert [row["found"] for row in rows.pop("log_findings")] == [f"not of a shape that {format} {version} knows"]
    assert rows == {}


@pytest.mark.parametrize(
    ("format", "item"),
    [
        ("weights", {**WEIGHTS, "note": "x"}),
        ("model_config", CONFIG),
        ("model_index", INDEX),
        ("openrlhf_checkpoint_metric", {**METRIC, "note": "x"}),
    ],
)
def test_the_columns_given_are_those_declared(format: str, item: Any) -> None:
    row = only_row(format, "ppo/_actor/global_step20/optimizer.pt", item)
    common = {column.name for column in COMMON_COLUMNS} - {"run_id", "extra_json"}

    given = {f"model_checkpoints.{name}" for name, value in row.items() if value is not None and name not in common}

    assert given == set(ADAPTERS[format].fields)


@pytest.mark.parametrize(
    ("path", "item", "expected"),
    [
        ("a/config.json", CONFIG, "model_config"),
        ("a/other.json", {"model_type": "opt", "transformers_version": "4.47.0"}, "model_config"),
        ("a/config.json", {"model_type": "llama"}, "generic_json"),
        ("a/generation_config.json", {"transformers_version": "5.23.0", "eos_token_id": 2}, "generic_json"),
        ("a/model.safetensors.index.json", INDEX, "model_index"),
        ("a/x.json", {"weight_map": {"a": "b"}}, "generic_json"),
        ("a/metric.json", METRIC, "openrlhf_checkpoint_metric"),
        ("a/metric.json", {**METRIC, "step": 1}, "generic_json"),
        ("a/metric.json", {"metric_key": "x"}, "generic_json"),
        ("a/trainer_state.json", {"log_history": [], "global_step": 1, "max_steps": 2}, "trl_trainer_state"),
        ("a/training_args.bin", {}, "weights"),
    ],
)
def test_they_are_told_from_their_neighbours(path: str, item: Any, expected: str) -> None:
    content = json.dumps(item, indent=2, sort_keys=True).encode()

    assert detect(path, content, len(content)).format == expected


def test_a_large_index_is_told_by_its_start() -> None:
    tensors = {f"model.layers.{at}.weight": "model-00001-of-00002.safetensors" for at in range(9000)}
    content = json.dumps({**INDEX, "weight_map": tensors}, indent=2, sort_keys=True).encode()

    assert len(content) > HEAD_BYTES
    assert detect("a/renamed.json", content[:HEAD_BYTES], len(content)).format == "model_index"
