"""Preference data sets: a pair of responses, responses by rank, or responses and steps with a label of true or false.

Shapes, texts or lists of {role, content}: TRL `docs/source/dataset_formats.md` {prompt?, chosen, rejected},
{prompt, completion, label} and stepwise {prompt, completions, labels}, with `images` and `tools` at times · HH-RLHF
{chosen, rejected} · NeMo-Aligner {prompt, chosen_response, rejected_response} · NeMo-RL
`data/datasets/preference_datasets/preference_dataset.py` {context, completions: [{rank, completion}]}, the lowest rank
preferred · open-instruct `rejection_sampling/rejection_sampling.py`, pairs with `chosen_score` and `rejected_score` by
path of the reward model. They hold no annotator and no time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, is_messages, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.responses import RESPONSE_FIELDS, is_content, item_id, others, response_row
from audit_pipeline.records import canonical

_PAIRS = (("chosen", "rejected"), ("chosen_response", "rejected_response"))
_SCORES = (("chosen_score", "rejected_score"), ("score_chosen", "score_rejected"))
_JUDGES = ("gpt-3.5", "gpt-4")  # by which open-instruct tells a judge from a reward model


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, _is_ours)


def _is_ours(item: dict[str, Any]) -> bool:
    return _pair_keys(item) is not None or _is_labelled(item) or _is_stepwise(item) or _is_ranked(item)


def _pair_keys(item: dict[str, Any]) -> tuple[str, str] | None:
    """The keys of the preferred and the other response; None where the record holds no pair."""
    for keys in _PAIRS:
        chosen, rejected = map(item.get, keys)
        if (isinstance(chosen, str) and isinstance(rejected, str)) or (is_messages(chosen) and is_messages(rejected)):
            return keys
    return None


def _is_labelled(item: dict[str, Any]) -> bool:
    return {"prompt", "completion"} <= item.keys() and isinstance(item.get("label"), bool)


def _is_stepwise(item: dict[str, Any]) -> bool:
    steps, labels = item.get("completions"), item.get("labels")
    if "prompt" not in item or not isinstance(steps, list) or not isinstance(labels, list):
        return False
    return (
        len(steps) == len(labels) > 0 and all(map(is_content, steps)) and all(isinstance(one, bool) for one in labels)
    )


def _is_ranked(item: dict[str, Any]) -> bool:
    ranked = item.get("completions")
    return "context" in item and isinstance(ranked, list) and len(ranked) > 1 and all(map(_has_rank, ranked))


def _has_rank(one: Any) -> bool:
    return isinstance(one, dict) and is_number(one.get("rank")) and is_content(one.get("completion"))


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict):
            continue
        if (keys := _pair_keys(item)) is not None:
            yield from _pair_events(position, item, keys)
        elif _is_labelled(item):
            yield from _label_events(position, item, "completion", "label", [item["completion"]], [item["label"]])
        elif _is_stepwise(item):
            yield from _label_events(position, item, "completions", "labels", item["completions"], item["labels"])
        elif _is_ranked(item):
            yield from _ranked_events(position, item)


def _pair_events(position: int, item: dict[str, Any], keys: tuple[str, str]) -> Iterator[Event]:
    score_keys = next((pair for pair in _SCORES if all(is_scored(item.get(key)) for key in pair)), ())
    annotation = _annotation(position, item, {"prompt", *keys, *score_keys})
    for index, key in enumerate(keys):
        yield position, "generations", response_row(annotation["item_id"], index, item.get("prompt"), item[key])
    sides = {"chosen_id": EventRef("generations", 0), "rejected_id": EventRef("generations", 1)}
    yield position, "annotations", {**annotation, "kind": "pairwise", **sides}
    for index, key in enumerate(score_keys):
        yield from score_events(position, index, item[key])


def _label_events(
    position: int, item: dict[str, Any], key: str, label_key: str, responses: list[Any], labels: list[bool]
) -> Iterator[Event]:
    annotation = _annotation(position, item, {"prompt", key, label_key})
    for index, response in enumerate(responses):
        yield position, "generations", response_row(annotation["item_id"], index, item["prompt"], response)
    for index, label in enumerate(labels):
        answer = {"kind": "binary", "value_num": float(label), "response_a_id": EventRef("generations", index)}
        yield position, "annotations", {**annotation, **answer}
        annotation.pop("extra", None)  # said once


def _ranked_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    annotation = _annotation(position, item, {"context", "completions"})
    ranked = item["completions"]
    for index, one in enumerate(ranked):
        row = response_row(annotation["item_id"], index, item["context"], one["completion"])
        yield position, "generations", {**row, "extra": others(one, {"rank", "completion"})}
    ranks = [one["rank"] for one in ranked]
    answer: dict[str, Any] = {"kind": "ranking", "value_json": canonical.dump_canonical(ranks).decode()}
    best = ranks.index(min(ranks))
    if ranks.count(min(ranks)) == 1:
        answer["chosen_id"] = EventRef("generations", best)
    if len(ranks) == 2:
        answer["kind"] = "pairwise"
        answer |= {"rejected_id": EventRef("generations", 1 - best)} if "chosen_id" in answer else {"outcome": "tie"}
    yield position, "annotations", {**annotation, **answer}


def is_scored(value: Any) -> bool:
    """Whether it is a score, or scores by path of the reward model."""
    return is_number(value) or (
        isinstance(value, dict) and all(one is None or is_number(one) for one in value.values())
    )


def score_events(position: int, index: int, score: Any) -> Iterator[Event]:
    """Scores of the record's response `index`: a number, or numbers by path of the reward model."""
    for scorer, value in score.items() if isinstance(score, dict) else [("score", score)]:
        kind = "judge" if any(name in scorer for name in _JUDGES) else "reward_model"
        of = {"generation_id": EventRef("generations", index), "scorer": scorer, "scorer_kind": kind}
        yield position, "reward_scores", {**of, **score_value(value)}


def _annotation(position: int, item: dict[str, Any], known: set[str]) -> dict[str, Any]:
    name, id_key = item_id(position, item)
    extra = others(item, {*known, id_key})
    return {"item_id": name, "annotator_kind": "unknown", "status": "unknown", "extra": extra}


ADAPTERS = (
    Adapter(
        "preference_pairs",
        2,
        ("jsonl", "json", "csv", "parquet"),
        _score,
        _events,
        reads="Preference data as TRL, NeMo-RL, NeMo-Aligner and open-instruct read or write it, and HH-RLHF: pairs, "
        "responses by rank, responses or steps with a label of true or false.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "generations.prompt_text": "`prompt` or `context`, where it is text; else what comes before the last turn",
            "generations.prompt_messages": "the same, where it is a conversation",
            "generations.completion_text": "`chosen`, `rejected`, `chosen_response`, `rejected_response`, `completion` "
            "or one of `completions`, where it is text; without `prompt` its last turn",
            "generations.completion_messages": "the same, where it is a conversation",
            "generations.extra_json": "other fields of a ranked completion; what does not fit its column",
            "annotations.item_id": "as generations.group_id",
            "annotations.annotator_kind": "`unknown`",
            "annotations.kind": "`pairwise`, also of two by `rank`; `ranking` of more; `binary` of labels",
            "annotations.outcome": "`tie` where two have the same `rank`",
            "annotations.value_num": "`label`, or one of `labels`",
            "annotations.value_json": "each `rank`, in the order of `completions`",
            "annotations.response_a_id": "the response, or the step, with the label",
            "annotations.chosen_id": "`chosen` or `chosen_response`; the only one of the lowest `rank`",
            "annotations.rejected_id": "`rejected` or `rejected_response`; the other of two by `rank`",
            "annotations.status": "`unknown`",
            "annotations.extra_json": "any other key; of steps in the first one's row",
            "reward_scores.generation_id": "the response of the score",
            "reward_scores.scorer": "key in `chosen_score` and `rejected_score`; `score` where these, or "
            "`score_chosen` and `score_rejected`, are numbers",
            "reward_scores.scorer_kind": "`judge` where the key names GPT-3.5 or GPT-4, else `reward_model`",
            "reward_scores.score": "value of the key",
            "reward_scores.score_state": "by the value",
            "reward_scores.extra_json": "numbers that are no double",
        },
    ),
)
