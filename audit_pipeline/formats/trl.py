"""TRL and the transformers Trainer: `trainer_state.json`, its log history as JSON Lines, GRPO completions.

Sources: transformers `trainer_callback.py` (TrainerState), TRL `grpo_trainer.py` (log, to_parquet). These files hold
no run id, model name or time; the run is the output folder. `log_history` entries have three shapes: training, `eval_*`
and one final summary. A callback that writes entries line by line may add `ts`, epoch seconds.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
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
from audit_pipeline.formats.metrics import metric_events, score_value, split_of
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.records import canonical

_STATE_KEYS = frozenset(
    ["best_model_checkpoint", "is_hyper_param_search", "is_local_process_zero", "is_world_process_zero", "max_steps"]
)
_LOGGED_KEYS = frozenset(
    ["loss", "grad_norm", "learning_rate", "eval_loss", "eval_runtime", "train_loss", "train_runtime"]
)
_FOREIGN_KEYS = frozenset(["_step", "data", "input", "prompt"])
_SUMMARY_KEY = "train_runtime"
_COMPLETION_KEYS = frozenset(["step", "prompt", "completion", "advantage"])
_COMPLETIONS_FOLDER = re.compile("completions")
_COMPLETIONS_FILE = re.compile(r"completions_(\d{5,})\.parquet")
_EPOCH_S = range(946_684_800, 4_102_444_800)  # the years 2000 to 2099: other numbers are no time of a run


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
    if (logged_at := _epoch_s(metrics.get("ts"))) is not None:
        del metrics["ts"]
        common |= {"event_time": logged_at, "event_time_quality": "epoch_s"}
    # The final entry also has names that others have, such as `epoch`; what it says is of the whole run.
    yield from metric_events(position, metrics, common, (lambda _: "summary") if _SUMMARY_KEY in entry else split_of)


def _epoch_s(value: Any) -> datetime | None:
    if not is_number(value) or not _EPOCH_S.start <= value < _EPOCH_S.stop:
        return None
    return datetime.fromtimestamp(value, UTC)


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


ADAPTERS = (
    Adapter("trl_trainer_state", "1", ("json",), _score_state, _state_events),
    Adapter("trl_log_history", "1", ("jsonl",), _score_history, _history_events),
    Adapter("trl_completions", "1", ("parquet",), _score_completions, _completion_events),
)
