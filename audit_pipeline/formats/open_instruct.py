"""open-instruct: rollouts of its GRPO trainer, as tokens, and the line that says which run they are of.

Source: open-instruct `open_instruct/rl_utils.py` (RolloutMetadata, RolloutRecord, save_rollout_metadata,
save_rollouts_to_disk). `<run>_metadata.jsonl` is one line; two threads append to `<run>_rollouts_<shard>.jsonl`, so its
steps interleave. There is no text: a tokenizer is needed to read the tokens. Rollouts have no time.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.formats.times import iso_time
from audit_pipeline.records import canonical

_METADATA_KEYS = frozenset(["run_name", "git_commit", "model_name", "timestamp"])
_ROLLOUT_KEYS = frozenset(["step", "sample_idx", "prompt_idx", "prompt_tokens"])
_METADATA_FILE = re.compile(r".+_metadata\.jsonl")
_ROLLOUT_FILE = re.compile(r"(.+)_rollouts_[0-9]{6}\.jsonl")
_NO_MODEL = "unknown"  # written where the model has no name


def _score_metadata(path: str, items: Sequence[Any]) -> float:
    is_named = bool(_METADATA_FILE.fullmatch(file_name(path)))
    return 0.85 * share(items, lambda item: item.keys() == _METADATA_KEYS) + 0.1 * is_named


def _score_rollouts(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_rollout) + 0.1 * bool(_ROLLOUT_FILE.fullmatch(file_name(path)))


def _is_rollout(item: dict[str, Any]) -> bool:
    # A line may be longer than what is sampled: what comes after the prompt's tokens is not asked for.
    return item.keys() >= _ROLLOUT_KEYS and isinstance(item["prompt_tokens"], list)


def _metadata_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and item.keys() >= _METADATA_KEYS:
            yield position, "runs", _run(item)


def _run(item: dict[str, Any]) -> dict[str, Any]:
    extra = {key: value for key, value in item.items() if key not in _METADATA_KEYS}
    name, model = item["run_name"], item["model_name"]
    run = {"run_id": name, "run_key": name, "run_name": name, "framework": "open-instruct"}
    if model == _NO_MODEL:
        extra["model_name"] = model
    else:
        run["base_model"] = model
    if (saved := iso_time(item["timestamp"])) is None:
        extra["timestamp"] = item["timestamp"]
    else:
        run |= {"event_time": saved[0], "event_time_quality": saved[1]}
    return {**run, "git_commit": item["git_commit"], "extra": extra}


def _rollout_events(source: SourceContext, items: Items) -> Iterator[Event]:
    in_name = _ROLLOUT_FILE.fullmatch(file_name(source.path))
    run_id = in_name[1] if in_name else folder_name(source.path)
    for position, item in items:
        if isinstance(item, dict) and item.keys() >= _ROLLOUT_KEYS:
            yield from _rollout(position, dict(item), run_id)


def _rollout(position: int, fields: dict[str, Any], run_id: str | None) -> Iterator[Event]:
    common = {"run_id": run_id, "step": fields.pop("step")}
    score = fields.pop("reward") if is_number(fields.get("reward")) else None
    truth = fields.pop("ground_truth", None)
    generation = {
        **common,
        "split": "train",
        "sample_index": fields.pop("sample_idx"),
        "prompt_token_ids": fields.pop("prompt_tokens"),
        "completion_token_ids": fields.pop("response_tokens", None),
        "logprobs": fields.pop("logprobs", None),
        "finish_reason": fields.pop("finish_reason", None),
        "advantage": fields.pop("advantage", None),
        "ground_truth_json": None if truth is None else canonical.dump_canonical(truth).decode(),
    }
    if _is_integer(common["step"]) and _is_integer(fields["prompt_idx"]):
        generation["group_id"] = f"{common['step']}/{fields.pop('prompt_idx')}"
    yield position, "generations", {**generation, "extra": fields}
    if score is not None:
        of = {"generation_id": EventRef("generations", 0), "scorer": "reward", "scorer_kind": "reward_func"}
        yield position, "reward_scores", {**common, **of, **score_value(score)}


def _is_integer(value: Any) -> bool:
    return type(value) is int


ADAPTERS = (
    Adapter(
        "open_instruct_metadata",
        1,
        ("jsonl", "json"),
        _score_metadata,
        _metadata_events,
        reads="The line that open-instruct writes beside the rollouts of a run: `<run>_metadata.jsonl`.",
        fields={
            "runs.run_id": "`run_name`",
            "runs.run_key": "`run_name`",
            "runs.run_name": "`run_name`",
            "runs.framework": "always `open-instruct`",
            "runs.base_model": "`model_name`, name or path of the model that is trained, unless it is `unknown`",
            "runs.git_commit": "`git_commit`",
            "runs.event_time": "`timestamp`, when the line was written",
            "runs.event_time_quality": "the zone of `timestamp`",
            "runs.extra_json": "`model_name` where it is `unknown`, `timestamp` where it is no time, other fields",
        },
    ),
    Adapter(
        "open_instruct_rollouts",
        1,
        ("jsonl",),
        _score_rollouts,
        _rollout_events,
        reads="Rollouts that open-instruct's GRPO saves as tokens: `<run>_rollouts_<shard>.jsonl`.",
        fields={
            "generations.run_id": "`<run>` of the file's name, else its folder",
            "generations.step": "`step`",
            "generations.split": "always `train`",
            "generations.sample_index": "`sample_idx`, the order within the step",
            "generations.group_id": "`step`/`prompt_idx`: each step counts its prompts from 0",
            "generations.prompt_token_ids": "`prompt_tokens`",
            "generations.completion_token_ids": "`response_tokens`",
            "generations.logprobs": "`logprobs`",
            "generations.finish_reason": "`finish_reason`",
            "generations.advantage": "`advantage`",
            "generations.ground_truth_json": "`ground_truth`",
            "generations.extra_json": "`dataset`, `request_info` and all other fields",
            "reward_scores.run_id": "`<run>` of the file's name, else its folder",
            "reward_scores.step": "`step`",
            "reward_scores.generation_id": "the generation of the same line",
            "reward_scores.scorer": "always `reward`",
            "reward_scores.scorer_kind": "always `reward_func`",
            "reward_scores.score": "`reward`",
            "reward_scores.score_state": "`reward`",
            "reward_scores.extra_json": "a `step` or a score that no number column can hold",
        },
    ),
)
