"""Rows of `training_metrics` and `policy_updates` from a flat object of metrics, for every tool that logs one."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from audit_pipeline.formats.adapter import Event, Metrics, is_number
from audit_pipeline.records import canonical

CANONICAL_NAMES = {
    "loss": "loss",
    "train_loss": "loss",
    "policy_loss": "loss",
    "loss/policy_avg": "loss",
    "actor/pg_loss": "loss",
    "reward": "reward",
    "critic/rewards/mean": "reward",
    "objective/rlhf_reward": "reward",
    "kl": "kl",
    "ppo_kl": "kl",
    "actor/ppo_kl": "kl",
    "objective/kl": "kl",
    "grad_norm": "grad_norm",
    "actor_grad_norm": "grad_norm",
    "actor/grad_norm": "grad_norm",
    "lr": "lr",
    "learning_rate": "lr",
    "actor_lr": "lr",
    "actor/lr": "lr",
    "entropy": "entropy",
    "entropy_loss": "entropy",
    "actor/entropy": "entropy",
    "policy/entropy_avg": "entropy",
    "clip_ratio/region_mean": "clip_fraction",
    "ppo_clip_ratio": "clip_fraction",
    "actor/pg_clipfrac": "clip_fraction",
    "policy/clipfrac_avg": "clip_fraction",
}
"""What TRL, OpenRLHF and verl call the numbers of CANONICAL_METRICS, without `train/`, `eval/` or `eval_` in front."""

_SPLIT = re.compile(r"(train|eval|val|test|system)(?:/|_(?=.))|val-")
_LONGEST = 64  # more of a name is not looked at, nor remembered: all that is known is shorter
_SUMMARY = re.compile(r"(?:train/)?(?:train_(?:loss|runtime|samples_per_second|steps_per_second)|total_flos)")


def split_of(metric: str) -> str:
    """`train`, `eval`, `summary` or `system`, by the name that a trainer gives a metric."""
    return _split_of(metric[:_LONGEST])


def canonical_of(metric: str) -> str | None:
    """Which of CANONICAL_METRICS a metric is; None where it is none."""
    return _canonical_of(metric[:_LONGEST])


@lru_cache
def always(split: str) -> Callable[[str], str]:
    """The split of every metric, whatever its name."""
    return lambda metric: split


@lru_cache(4096)
def _split_of(metric: str) -> str:
    if _SUMMARY.fullmatch(metric):
        return "summary"
    found = _SPLIT.match(metric)
    prefix = found[1] if found else "train"
    return {"train": "train", "system": "system"}.get(prefix or "val", "eval")


@lru_cache(4096)
def _canonical_of(metric: str) -> str | None:
    return CANONICAL_NAMES.get(metric) or CANONICAL_NAMES.get(re.sub(r"^(?:train/|eval/|eval_)", "", metric))


def metric_events(
    position: int, metrics: Mapping[str, Any], common: Mapping[str, Any], split: Callable[[str], str] = split_of
) -> Iterator[Event]:
    """A row of `training_metrics` for each metric of a log entry, and one of `policy_updates` if any is canonical.

    `common`: the columns that all have, such as `run_id`, `step` and `epoch`. `split` tells it by a metric's name.
    """
    if metrics:
        yield position, "training_metrics", Metrics(metrics, common, split)
    update: dict[str, Any] = {}
    odd = []
    for name in filter(canonical_of, metrics):
        if split(name) == "train":
            canonical_name, found = str(canonical_of(name)), metric_value(metrics[name])
            update.setdefault(canonical_name, found["value"])
            odd += [canonical_name] * (found["value_state"] in {"nan", "+inf", "-inf"})
    if update:
        shared = {key: value for key, value in common.items() if key != "extra"}
        yield position, "policy_updates", {**shared, **update, "not_finite": odd or None, "attempt": 0}


def metric_value(value: Any) -> dict[str, Any]:
    """`value`, `value_state` and `value_raw`. true and false are 1 and 0; what is no number has the state `text`."""
    number = _as_double(value)
    if number is None:
        raw = value if isinstance(value, str) else canonical.dump_canonical(value).decode()
        return {"value": None, "value_state": "null" if value is None else "text", "value_raw": raw}
    if math.isfinite(number):
        is_whole = not isinstance(value, bool) and value == number
        return {"value": number, "value_state": "finite", "value_raw": None if is_whole else json.dumps(value)}
    state, raw = ("nan", "NaN") if math.isnan(number) else ("+inf", "Infinity") if number > 0 else ("-inf", "-Infinity")
    return {"value": None, "value_state": state, "value_raw": raw}


def score_value(value: Any, null_state: str = "null") -> dict[str, Any]:
    """`score` and `score_state` of a number, true, false or null."""
    if value is None:
        return {"score": None, "score_state": null_state}
    number = _as_double(value)
    if number is None:  # an integer that only extra_json can hold
        return {"score": value, "score_state": "finite"}
    if math.isnan(number):
        return {"score": None, "score_state": "nan"}
    return {"score": number, "score_state": "finite" if math.isfinite(number) else "inf"}


def _as_double(value: Any) -> float | None:
    """The nearest double, None for what is no number or larger than a double."""
    if not isinstance(value, bool) and not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
