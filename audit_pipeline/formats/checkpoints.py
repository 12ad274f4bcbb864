"""Files of model checkpoints: weights by their hash, the model's configuration, what OpenRLHF adds.

Sources: transformers `trainer.py` (names of files, `checkpoint-<N>`), `configuration_utils.py`, `modeling_utils.py`
(`*.index.json`); OpenRLHF `openrlhf/utils/deepspeed/deepspeed.py` (`metric.json`), `trainer/ppo_trainer.py`
(`global_step<N>`, `best_global_step<N>`) and `trainer/ray/ppo_{actor,critic}.py` (`_actor`, `_critic`); DeepSpeed
`runtime/engine.py` (`*_states.pt`); verl `utils/checkpoint/fsdp_checkpoint_manager.py` and
`trainer/ppo/ray_trainer.py` (`global_step_<N>`); NeMo-RL `utils/checkpoint.py` and open-instruct `grpo_fast.py`
(`step_<N>`). The step is in the folder's name alone, and none of them has a time. Weights are not kept: their record
is their hash and size.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, is_number
from audit_pipeline.formats.paths import file_name, folder_name

_STEP_FOLDER = re.compile(r"(?:checkpoint-|(?:best_)?global_step_?|step_)([0-9]{1,18})")
_ROLE_FOLDERS = frozenset(["_actor", "_critic"])
_KINDS = {
    "optimizer": re.compile(r"optimizer\.(pt|bin)|.+_optim_states\.pt|optim_world_size_.+\.pt"),
    "state": re.compile(
        r"(training_args\.bin|scheduler\.pt|scaler\.pt|extra_state_world_size_.+\.pt"
        r"|data\.pt|train_dataloader.*\.pt|replay_buffer\.pt)"
    ),
    "weights": re.compile(
        r".+\.safetensors|pytorch_model.*\.bin|adapter_model\.bin|.+_model_states\.pt|model_world_size_.+\.pt"
    ),
}
"""What a file of weights' extension holds, by the names that trainers give; the first that fits."""

_METRIC_KEYS = frozenset(["metric_key", "metric_value"])


def checkpoint_place(path: str) -> dict[str, Any]:
    """`run_id`, `step`, `checkpoint` and `file` of a path; the checkpoint is the outermost folder that names a step."""
    parts = PurePosixPath(path).parts
    for at, folder in enumerate(parts[:-1]):
        if found := _STEP_FOLDER.fullmatch(folder):
            begin = at - 1 if at and parts[at - 1] in _ROLE_FOLDERS else at
            return {
                "run_id": folder_name("/".join((*parts[:begin], folder))),
                "step": int(found[1]),
                "checkpoint": "/".join(parts[begin : at + 1]),
                "file": "/".join(parts[at + 1 :]),
            }
    return {"run_id": folder_name(path), "file": PurePosixPath(path).name}


def _weights_events(source: SourceContext, items: Items) -> Iterator[Event]:
    name = PurePosixPath(source.path).name
    kind = next((kind for kind, names in _KINDS.items() if names.fullmatch(name)), None)
    for position, item in items:
        if isinstance(item, dict) and "$hash_only" in item:
            extra = {key: value for key, value in item.items() if key not in {"$hash_only", "bytes"}}
            row = {
                **checkpoint_place(source.path),
                "kind": kind,
                "size_bytes": item.get("bytes"),
                "sha256": item["$hash_only"],
            }
            yield position, "model_checkpoints", {**row, "extra": extra}


def _score_config(path: str, items: Sequence[Any]) -> float:
    is_config = bool(items) and _is_config(items[0]) and {"architectures", "transformers_version"} & items[0].keys()
    return 0.85 * bool(is_config) + 0.1 * (file_name(path) == "config.json")


def _is_config(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("model_type"), str)


def _config_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if _is_config(item):
            extra = {key: value for key, value in item.items() if key != "model_type"}
            row = {**checkpoint_place(source.path), "kind": "config", "model_type": item["model_type"]}
            yield position, "model_checkpoints", {**row, "extra": extra}


def _score_index(path: str, items: Sequence[Any]) -> float:
    is_index = bool(items) and _is_index(items[0])
    return 0.85 * is_index + 0.1 * file_name(path).endswith(".index.json")


def _is_index(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("weight_map"), dict) and "metadata" in item


def _index_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if _is_index(item):
            yield position, "model_checkpoints", {**checkpoint_place(source.path), "kind": "config", "extra": item}


def _score_metric(path: str, items: Sequence[Any]) -> float:
    is_metric = len(items) == 1 and isinstance(items[0], dict) and items[0].keys() == _METRIC_KEYS
    return 0.85 * is_metric + 0.1 * (file_name(path) == "metric.json")


def _metric_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict) or not item.keys() >= _METRIC_KEYS:
            continue
        extra = {key: value for key, value in item.items() if key not in _METRIC_KEYS}
        row = {**checkpoint_place(source.path), "kind": "state", "metric_key": item["metric_key"]}
        if _is_finite(item["metric_value"]):
            row["metric_value"] = item["metric_value"]
        else:
            extra["metric_value"] = item["metric_value"]
        yield position, "model_checkpoints", {**row, "extra": extra}


def _is_finite(value: Any) -> bool:
    return is_number(value) and (isinstance(value, int) or math.isfinite(value))


PLACE_FIELDS = {
    "model_checkpoints.run_id": "the folder of the checkpoint's folder, without OpenRLHF's `_actor` and `_critic`",
    "model_checkpoints.step": (
        "N of the folder `checkpoint-<N>`, `global_step<N>`, `best_global_step<N>`, `global_step_<N>` or `step_<N>`"
    ),
    "model_checkpoints.checkpoint": "that folder, with OpenRLHF's `_actor` or `_critic` in front",
    "model_checkpoints.file": "path in that folder; the file's name where there is none",
}

ADAPTERS = (
    Adapter(
        "weights",
        2,
        ("whole",),
        events=_weights_events,
        reads="Weights and what else torch saves: files whose names end with `.safetensors`, `.pt` or `.bin`.",
        fields={
            **PLACE_FIELDS,
            "model_checkpoints.kind": "`weights`, `optimizer` or `state` by the file's name; null where it tells none",
            "model_checkpoints.size_bytes": "`bytes`, the file's size",
            "model_checkpoints.sha256": "`$hash_only`, the file's SHA-256",
            "model_checkpoints.extra_json": "all other fields",
        },
    ),
    Adapter(
        "model_config",
        1,
        ("json",),
        _score_config,
        _config_events,
        reads="The configuration that transformers saves beside a model: `config.json`.",
        fields={
            **PLACE_FIELDS,
            "model_checkpoints.kind": "always `config`",
            "model_checkpoints.model_type": "`model_type`",
            "model_checkpoints.extra_json": "all other fields",
        },
    ),
    Adapter(
        "model_index",
        1,
        ("json",),
        _score_index,
        _index_events,
        reads="Which file of a model has which tensor: `model.safetensors.index.json`, `pytorch_model.bin.index.json`.",
        fields={
            **PLACE_FIELDS,
            "model_checkpoints.kind": "always `config`",
            "model_checkpoints.extra_json": "`metadata` and `weight_map`",
        },
    ),
    Adapter(
        "openrlhf_checkpoint_metric",
        1,
        ("json",),
        _score_metric,
        _metric_events,
        reads="The metric that OpenRLHF saves in a checkpoint: `metric.json`.",
        fields={
            **PLACE_FIELDS,
            "model_checkpoints.kind": "always `state`",
            "model_checkpoints.metric_key": "`metric_key`",
            "model_checkpoints.metric_value": "`metric_value`",
            "model_checkpoints.extra_json": "`metric_value` where it is no finite number, and all other fields",
        },
    ),
)
