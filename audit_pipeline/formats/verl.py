"""verl: rollouts and validation generations per step, and the metrics of its file logger.

Sources: verl `trainer/ppo/ray_trainer.py` and `trainer/ppo/v1/trainer_base.py` (_write_generations, _validate), and
`utils/tracking.py` (FileLogger). A rollout line is {input, output, score, step, gts?, one key per reward extra}; a
metrics line is {step, data} in `<project>/<experiment>.jsonl`, where NaN and infinities were written as null. Neither
has a time or a run id.

Trainer v1 adds `uid`, `<sample>_<rollout>_<output>`: outputs of one sample share the first part. In validation files
the score stands twice, as `score` and as `reward`, and v1 repeats the score of a rollout's last output on each of its
outputs. A restarted run writes the files of its steps anew.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit_pipeline.formats.adapter import (
    Adapter,
    Block,
    Event,
    EventRef,
    Fields,
    Items,
    SourceContext,
    is_number,
    marked_roles,
    marked_roles_of,
    share,
)
from audit_pipeline.formats.columns import full_column, plain_doubles
from audit_pipeline.formats.metric_rows import metric_blocks
from audit_pipeline.formats.metrics import metric_events, score_value
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.records import canonical

_ROLLOUT_KEYS = frozenset(["input", "output", "gts", "score", "step"])
_ID_KEYS = frozenset(["uid", "request_id"])
_NO_EXTRAS = _ROLLOUT_KEYS | _ID_KEYS
_READ = _ROLLOUT_KEYS - {"score"}
_FOREIGN_KEYS = frozenset(["instruction", "prompt", "chosen", "rejected", "messages"])
_STEP_FILE = re.compile(r"(\d+)\.jsonl")
_UID = re.compile(r"(.+)_\d+_\d+", re.DOTALL)
_ROLLOUT_FOLDER = re.compile(r"(rollouts?|train|val|validation)(_data)?(_dir)?")


def _score_rollouts(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_rollout) + 0.1 * bool(_STEP_FILE.fullmatch(file_name(path)))


def _score_metrics(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, _is_metrics)


def _is_rollout(item: dict[str, Any]) -> bool:
    texts = isinstance(item.get("input"), str) and isinstance(item.get("output"), str)
    return texts and {"score", "step"} <= item.keys() and not _FOREIGN_KEYS & item.keys()


def _is_metrics(item: dict[str, Any]) -> bool:
    metrics = item.get("data")
    return item.keys() == {"step", "data"} and isinstance(metrics, dict) and not any(map(_is_nested, metrics.values()))


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _rollout_events(source: SourceContext, items: Items) -> Iterator[Event]:
    run_id, split = _run_and_split(source)
    for position, item in items:
        if isinstance(item, dict) and {"input", "output"} <= item.keys():
            yield from _rollout(source, {"run_id": run_id, "step": _step(source, item)}, split, position, item)


def _run_and_split(source: SourceContext) -> tuple[str | None, str]:
    run_id = folder_name(source.path, _ROLLOUT_FOLDER) or folder_name(source.path)
    return run_id, "val" if any(part.startswith("val") for part in source.path.split("/")[:-1]) else "train"


def _rollout(
    source: SourceContext, common: dict[str, Any], split: str, position: int, item: dict[str, Any]
) -> Iterator[Event]:
    scores = {key: value for key, value in item.items() if key not in _NO_EXTRAS and _is_score(value)}
    if item.get("score") is None or _is_score(item["score"]):
        scores["score"] = item.get("score")
    truth = item.get("gts")
    generation = {
        **common,
        "split": split,
        "sample_index": position,
        "group_id": _sample(item.get("uid")),
        "prompt_text": item["input"],
        "completion_text": item["output"],
        "ground_truth_json": None if truth is None else canonical.dump_canonical(truth).decode(),
        # Special tokens are skipped when verl decodes, so roles are left as words at most.
        "role_boundaries": marked_roles(str(item["input"])),
        "extra": {key: value for key, value in item.items() if key not in _READ and key not in scores},
    }
    yield position, "generations", generation
    for scorer, score in scores.items():
        of = {"generation_id": EventRef("generations", 0), "scorer": scorer, "scorer_kind": "reward_func"}
        yield position, "reward_scores", {**common, **of, **score_value(score)}


def _rollout_columns(source: SourceContext, positions: npt.NDArray[np.int64], fields: Fields) -> list[Block] | None:
    """What `_rollout_events` gives of lines with two texts, a whole step, and numbers under all other keys."""
    scorers = [*(key for key in fields if key not in _ROLLOUT_KEYS), "score"]
    if not {"input", "output", "score", "step"} <= fields.keys() or _ID_KEYS & fields.keys():
        return None
    prompts, completions = (full_column(fields[key], pa.string()) for key in ("input", "output"))
    steps = full_column(fields["step"], pa.int64())
    scores = [numbers for key in scorers if (numbers := plain_doubles(fields[key])) is not None]
    if prompts is None or completions is None or steps is None or len(scores) < len(scorers):
        return None
    truths = fields.get("gts", [None] * len(positions))
    if not set(map(type, truths)) <= {str, type(None)}:
        return None
    texts = {truth: canonical.dump_canonical(truth).decode() for truth in set(truths) - {None}}
    run_id, split = _run_and_split(source)
    generations = {
        "run_id": run_id,
        "step": steps,
        "split": split,
        "sample_index": pa.array(positions, pa.int32()),
        "prompt_text": prompts,
        "completion_text": completions,
        "ground_truth_json": pa.array(map(texts.get, truths), pa.string()),
        "role_boundaries": marked_roles_of(prompts),
    }
    each = len(scorers)
    scored = {
        "run_id": run_id,
        "step": steps.take(pa.array(np.repeat(np.arange(len(positions)), each))),
        "generation_id": EventRef("generations", 0),
        "scorer": pa.array(scorers * len(positions), pa.string()),
        "scorer_kind": "reward_func",
        "score": pa.array(np.stack(scores, 1).ravel()),
        "score_state": "finite",
    }
    return [("generations", positions, generations), ("reward_scores", np.repeat(positions, each), scored)]


def _sample(uid: Any) -> str | None:
    """The sample of trainer v1's `uid`; None where it is none."""
    found = _UID.fullmatch(uid) if isinstance(uid, str) else None
    return found[1] if found else None


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float)


def _step(source: SourceContext, item: dict[str, Any]) -> Any:
    if "step" in item:
        return item["step"]
    in_name = _STEP_FILE.fullmatch(file_name(source.path))
    return int(in_name[1]) if in_name else None


def _metric_events(source: SourceContext, items: Items) -> Iterator[Event]:
    run_id = _experiment(source)
    for position, item in items:
        if not isinstance(item, dict) or not isinstance(item.get("data"), dict):
            continue
        if position == 0:
            yield position, "runs", _run(source)
        epoch = item["data"].get("training/epoch")
        others = {key: value for key, value in item.items() if key not in {"step", "data"}}
        common = {
            "run_id": run_id,
            "step": item.get("step"),
            "epoch": epoch if is_number(epoch) else None,
            "extra": others,
        }
        yield from metric_events(position, item["data"], common)


def _metric_columns(source: SourceContext, positions: npt.NDArray[np.int64], fields: Fields) -> list[Block] | None:
    """What `_metric_events` gives of lines with a whole step and some numbers, all finite."""
    entries, steps = fields.get("data", ()), full_column(fields.get("step", ()), pa.int64())
    if fields.keys() != {"step", "data"} or steps is None or set(map(type, entries)) != {dict} or not all(entries):
        return None
    epochs = [entry.get("training/epoch") for entry in entries]
    common = {
        "run_id": pa.repeat(pa.scalar(_experiment(source), pa.string()), len(positions)),
        "step": steps,
        "epoch": pa.array([float(epoch) if is_number(epoch) else None for epoch in epochs], pa.float64()),
    }
    blocks = metric_blocks(positions, entries, common)
    if blocks is None or positions[0] != 0:
        return blocks
    return [("runs", positions[:1], _run(source)), *blocks]


def _experiment(source: SourceContext) -> str:
    return file_name(source.path).removesuffix(".jsonl")


def _run(source: SourceContext) -> dict[str, Any]:
    run_id = _experiment(source)
    run = {"run_id": run_id, "run_key": run_id, "run_name": run_id, "framework": "verl"}
    return {**run, "project": folder_name(source.path)}


_RUN = "folder of the file, without folders such as `rollout_data`"
_STEP = "`step`, else the number that names the file"
_EXPERIMENT = "name of the file"

ADAPTERS = (
    Adapter(
        "verl_rollouts",
        2,
        ("jsonl",),
        _score_rollouts,
        _rollout_events,
        columns=_rollout_columns,
        reads="`<step>.jsonl` in verl's `rollout_data_dir` and `validation_data_dir`.",
        fields={
            "generations.run_id": _RUN,
            "generations.step": _STEP,
            "generations.split": "`val` in a folder whose name starts so, else `train`",
            "generations.sample_index": "place of the line in the file",
            "generations.group_id": "`uid` without the numbers of rollout and output",
            "generations.prompt_text": "`input`",
            "generations.completion_text": "`output`",
            "generations.ground_truth_json": "`gts`",
            "generations.role_boundaries": "by `input`; special tokens were skipped",
            "generations.extra_json": "`uid`, and reward extras that are no number, true or false",
            "reward_scores.run_id": _RUN,
            "reward_scores.generation_id": "the line's response",
            "reward_scores.scorer": "`score`, or the key of a reward extra that is a number, true or false",
            "reward_scores.scorer_kind": "`reward_func`",
            "reward_scores.score": "value of the key",
            "reward_scores.score_state": "by the value",
            "reward_scores.step": _STEP,
            "reward_scores.extra_json": "numbers that are no double",
        },
    ),
    Adapter(
        "verl_metrics",
        1,
        ("jsonl",),
        _score_metrics,
        _metric_events,
        columns=_metric_columns,
        reads="`<project>/<experiment>.jsonl` of verl's `file` logger.",
        fields={
            "runs.run_id": _EXPERIMENT,
            "runs.run_key": _EXPERIMENT,
            "runs.run_name": _EXPERIMENT,
            "runs.framework": "`verl`",
            "runs.project": "folder of the file",
            **{
                f"{table}.{column}": where
                for table in ("training_metrics", "policy_updates")
                for column, where in (
                    ("run_id", _EXPERIMENT),
                    ("step", "`step`"),
                    ("epoch", "`training/epoch`"),
                    ("attempt", "0"),
                    ("extra_json", "`step` where it is no number; other keys beside `data`"),
                )
            },
            "training_metrics.split": "`eval` for `val-*` and `val/*`, else `train`",
            "training_metrics.metric": "key in `data`",
            "training_metrics.metric_canonical": "by the key",
            "training_metrics.value": "value of the key",
            "training_metrics.value_state": "by the value; NaN and infinities were written as null",
            "training_metrics.value_raw": "value of the key",
            "policy_updates.loss": "`actor/pg_loss`",
            "policy_updates.reward": "`critic/rewards/mean`",
            "policy_updates.kl": "`actor/ppo_kl`",
            "policy_updates.grad_norm": "`actor/grad_norm`",
            "policy_updates.lr": "`actor/lr`",
            "policy_updates.entropy": "`actor/entropy`",
            "policy_updates.clip_fraction": "`actor/pg_clipfrac`",
            "policy_updates.not_finite": "those of these that are NaN or infinite",
        },
    ),
)
