"""TRL and the transformers Trainer: `trainer_state.json`, its log history as JSON Lines, GRPO completions.

Sources: transformers `trainer_callback.py` (TrainerState), TRL `trainer/{dpo,grpo,kto,reward,rloo,sft}_trainer.py` and
`experimental/ppo/ppo_trainer.py` (log), `grpo_trainer.py` (to_parquet). These files hold no run id, model name or time;
the run is the output folder. `log_history` entries have three shapes: training, `eval_*` and one final summary. PPO
writes metrics of its value function as `val/*`: they are of training. `checkpoint-N/trainer_state.json` is a copy of
the state at step N: the same entries are there again, under another path. A callback that writes entries line by line
may add `ts`, epoch seconds.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    SourceContext,
    as_messages,
    is_messages,
    is_number,
    marked_roles,
    share,
)
from audit_pipeline.formats.metrics import always, metric_events, score_value, split_of
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.formats.times import epoch_time
from audit_pipeline.records import canonical

_STATE_KEYS = frozenset(
    ["best_model_checkpoint", "is_hyper_param_search", "is_local_process_zero", "is_world_process_zero", "max_steps"]
)
_LOGGED_KEYS = frozenset(
    [
        "loss",
        "grad_norm",
        "learning_rate",
        "eval_loss",
        "eval_runtime",
        "train_loss",
        "train_runtime",
        "loss/policy_avg",
    ]
)
_FOREIGN_KEYS = frozenset(["_step", "data", "input", "prompt"])
_SUMMARY_KEY = "train_runtime"
_COMPLETION_KEYS = frozenset(["step", "prompt", "completion", "advantage"])
_COMPLETIONS_FOLDER = re.compile("completions")
_COMPLETIONS_FILE = re.compile(r"completions_(\d{5,})\.parquet")
_VALUE_FUNCTION = "val/"  # PPO; not validation


def _score_state(path: str, items: Sequence[Any]) -> float:
    return 0.95 if items and _is_state(items[0]) else 0.0


def _score_history(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_log_entry) + 0.1 * (file_name(path) == "log_history.jsonl")


def _score_completions(path: str, items: Sequence[Any]) -> float:
    has_columns = 0.75 * share(items, lambda row: _COMPLETION_KEYS - {"advantage"} <= row.keys())
    has_advantage = 0.1 * share(items, lambda row: "advantage" in row)
    has_name = bool(_COMPLETIONS_FILE.fullmatch(file_name(path)))
    return max(has_columns + has_advantage, 0.7 * has_name) + 0.1 * has_name


def _is_state(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("log_history"), list)
        and "global_step" in item
        and bool(_STATE_KEYS & item.keys())
    )


def _is_log_entry(item: dict[str, Any]) -> bool:
    keys = item.keys()
    return is_number(item.get("step")) and "epoch" in keys and bool(_LOGGED_KEYS & keys) and not _FOREIGN_KEYS & keys


def _state_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if _is_state(item):
            run_id = folder_name(source.path)
            settings = {key: value for key, value in item.items() if key != "log_history"}
            run = {"run_id": run_id, "run_key": run_id, "run_name": run_id, "framework": "transformers"}
            yield position, "runs", {**run, "config_json": canonical.dump_canonical(settings).decode()}
        else:
            yield from _entry_events(source, position, item)


def _history_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        yield from _entry_events(source, position, item)


def _entry_events(source: SourceContext, position: int, entry: Any) -> Iterator[Event]:
    if not isinstance(entry, dict) or not {"step", "epoch"} & entry.keys():
        return
    metrics = {key: value for key, value in entry.items() if key not in {"step", "epoch"}}
    common = {"run_id": folder_name(source.path), "step": entry.get("step"), "epoch": entry.get("epoch")}
    if (logged := epoch_time(metrics.get("ts"))) is not None:
        del metrics["ts"]
        common |= {"event_time": logged[0], "event_time_quality": logged[1]}
    # The final entry also has names that others have, such as `epoch`; what it says is of the whole run.
    yield from metric_events(position, metrics, common, always("summary") if _SUMMARY_KEY in entry else _split_of)


def _split_of(metric: str) -> str:
    return "train" if metric.startswith(_VALUE_FUNCTION) else split_of(metric)


def _completion_events(source: SourceContext, items: Items) -> Iterator[Event]:
    run_id = folder_name(source.path, _COMPLETIONS_FOLDER)
    for position, item in items:
        if isinstance(item, dict) and {"prompt", "completion"} <= item.keys():
            yield from _completion(run_id, position, item)


def _completion(run_id: str | None, position: int, item: dict[str, Any]) -> Iterator[Event]:
    step = item.get("step")
    # Each reward function is a double column, in which null and NaN cannot be told apart once pandas wrote it. Columns
    # that are no double come from a function's own log_extra.
    scores = {k: v for k, v in item.items() if k not in _COMPLETION_KEYS and (v is None or isinstance(v, float))}
    extra = {key: value for key, value in item.items() if key not in _COMPLETION_KEYS and key not in scores}
    prompt, completion = item["prompt"], item["completion"]
    generation = {
        "run_id": run_id,
        "step": step,
        "split": "train",
        "sample_index": position,
        "prompt_messages" if is_messages(prompt) else "prompt_text": as_messages(prompt) or prompt,
        "completion_messages" if is_messages(completion) else "completion_text": as_messages(completion) or completion,
        "advantage": item.get("advantage"),
        "role_boundaries": "structured" if is_messages(prompt) else marked_roles(str(prompt)),
        "extra": extra,
    }
    yield position, "generations", generation
    for scorer, score in scores.items():
        scored = {"run_id": run_id, "step": step, "generation_id": EventRef("generations", 0)}
        of = {"scorer": scorer, "scorer_kind": "reward_func", **score_value(score, "null_or_nan")}
        yield position, "reward_scores", {**scored, **of}


_RUN = "folder of the file, without `checkpoint-N`"
_ENTRY_FIELDS = {
    **{
        f"{table}.{column}": where
        for table in ("training_metrics", "policy_updates")
        for column, where in (
            ("run_id", _RUN),
            ("event_time", "`ts` where it is epoch seconds"),
            ("event_time_quality", "`epoch_s` where `ts` is the time"),
            ("extra_json", "`step` and `epoch` where they are no numbers"),
            ("step", "`step`"),
            ("epoch", "`epoch`"),
            ("attempt", "0"),
        )
    },
    "training_metrics.split": "`summary` for the entry with `train_runtime`, `eval` for `eval_*`, else `train`",
    "training_metrics.metric": "any other key of the entry",
    "training_metrics.metric_canonical": "by the key",
    "training_metrics.value": "value of the key",
    "training_metrics.value_state": "by the value",
    "training_metrics.value_raw": "value of the key",
    "policy_updates.loss": "`loss`; PPO `loss/policy_avg`",
    "policy_updates.reward": "`reward`; PPO `objective/rlhf_reward`",
    "policy_updates.kl": "`kl`; PPO `objective/kl`",
    "policy_updates.grad_norm": "`grad_norm`",
    "policy_updates.lr": "`learning_rate`; PPO `lr`",
    "policy_updates.entropy": "`entropy`; PPO `policy/entropy_avg`",
    "policy_updates.clip_fraction": "`clip_ratio/region_mean`; PPO `policy/clipfrac_avg`",
    "policy_updates.not_finite": "those of these that are NaN or infinite",
}
_COMPLETION_RUN = "folder of the file, without `completions`"

ADAPTERS = (
    Adapter(
        "trl_trainer_state",
        2,
        ("json",),
        _score_state,
        _state_events,
        reads="`trainer_state.json` of a transformers or TRL Trainer, in the output folder and in each `checkpoint-N`.",
        fields={
            "runs.run_id": _RUN,
            "runs.run_key": _RUN,
            "runs.run_name": _RUN,
            "runs.framework": "`transformers`",
            "runs.config_json": "all keys but `log_history`",
            **_ENTRY_FIELDS,
        },
    ),
    Adapter(
        "trl_log_history",
        2,
        ("jsonl",),
        _score_history,
        _history_events,
        reads="Entries of a Trainer's `log_history` as JSON Lines, as a callback writes them.",
        fields=_ENTRY_FIELDS,
    ),
    Adapter(
        "trl_completions",
        1,
        ("parquet",),
        _score_completions,
        _completion_events,
        reads="`completions/completions_<step>.parquet` that TRL's GRPOTrainer writes with `log_completions`.",
        fields={
            "generations.run_id": _COMPLETION_RUN,
            "generations.step": "`step`",
            "generations.split": "`train`",
            "generations.sample_index": "place of the row in the file",
            "generations.prompt_text": "`prompt`, where it is text",
            "generations.prompt_messages": "`prompt`, where it is a conversation",
            "generations.completion_text": "`completion`, where it is text",
            "generations.completion_messages": "`completion`, where it is a conversation",
            "generations.advantage": "`advantage`",
            "generations.role_boundaries": "by `prompt`",
            "generations.extra_json": "columns that are neither known nor doubles: they come from `log_extra`",
            "reward_scores.run_id": _COMPLETION_RUN,
            "reward_scores.generation_id": "the row's response",
            "reward_scores.scorer": "name of a column of doubles: a reward function, or a double from `log_extra`",
            "reward_scores.scorer_kind": "`reward_func`",
            "reward_scores.score": "value of the column",
            "reward_scores.score_state": "`null_or_nan` where there is none: pandas writes both alike",
            "reward_scores.step": "`step`",
            "reward_scores.extra_json": "`step` where it is no number",
        },
    ),
)
