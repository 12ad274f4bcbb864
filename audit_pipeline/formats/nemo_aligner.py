"""NeMo-Aligner: data of its regression reward models, and conversations with packed attribute labels.

Sources: NeMo-Aligner `examples/nlp/data/steerlm/{process_to_regression_format,preprocess_helpsteer2_data,
preprocess_openassistant_data,common}.py`, `nemo_aligner/data/nlp/datasets.py` (RegressionRewardModelDataset),
`examples/nlp/cai/generate_sl_cai_dataset.py`. Two shapes:
{text, label: [number]}, where -100 is an attribute that nobody labelled; which attribute stands where is the training
configuration's to say · {system, mask, type?, dataset?, conversations: [{from, value, label?}]}, where a label is
"helpfulness:4,correctness:3". There is no annotator, time or id. Its preference pairs are read by `preference_pairs`.
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
    is_number,
    marked_roles,
    share,
)
from audit_pipeline.formats.metrics import score_value

_MISSING = -100
_ASSISTANT = "<extra_id_1>Assistant\n"
_TURN_MARK = "<extra_id_1>"
_LABEL = re.compile(r"([^,:]+):(-?[0-9]+(?:\.[0-9]+)?)")


def _score_rm(path: str, items: Sequence[Any]) -> float:
    # Data of any classifier with several labels has the same keys; the marks of a turn are NeMo-Aligner's.
    marked = share(items, lambda item: _is_rm(item) and _TURN_MARK in item["text"])
    return 0.4 * share(items, _is_rm) + 0.5 * marked


def _score_sft(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, lambda item: _is_sft(item) and "system" in item)


def _is_rm(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return False
    label = item.get("label")
    return isinstance(label, list) and bool(label) and all(is_number(value) for value in label)


def _is_sft(item: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(item.get("mask"), str):
        return False
    turns = item.get("conversations")
    return isinstance(turns, list) and bool(turns) and all(map(_is_turn, turns))


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and isinstance(turn.get("from"), str) and "value" in turn


def _rm_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not _is_rm(item):
            continue
        before, mark, response = item["text"].rpartition(_ASSISTANT)
        yield (
            position,
            "generations",
            {
                "split": "dataset",
                "sample_index": 0,
                "group_id": str(position),
                "prompt_text": before + mark or None,
                "completion_text": response,
                "role_boundaries": marked_roles(item["text"]),
                "extra": {key: value for key, value in item.items() if key not in {"text", "label"}},
            },
        )
        for at, value in enumerate(item["label"]):
            of = {"generation_id": EventRef("generations", 0), "scorer": f"label[{at}]"}
            yield position, "reward_scores", {**of, **_label_value(value)}


def _label_value(value: Any) -> dict[str, Any]:
    if value == _MISSING:
        return {"score": None, "score_state": "sentinel", "extra": {"label": value}}
    return score_value(value)


def _sft_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if _is_sft(item):
            yield from _conversation(position, item)


def _conversation(position: int, item: dict[str, Any]) -> Iterator[Event]:
    """A generation for each turn with a label, and for the last one if it is not of the speaker in `mask`."""
    extra = {key: value for key, value in item.items() if key not in {"conversations", "system"}}
    system, turns = item.get("system"), item["conversations"]
    messages = [_message(turn) for turn in turns]
    shift = 0
    if isinstance(system, str) and system:
        messages.insert(0, {"role": "system", "content": system})
        shift = 1
    elif "system" in item:
        extra["system"] = system
    labels = [_read_label(turn.get("label")) for turn in turns]
    last = len(turns) - 1
    responses = [at for at in range(len(turns)) if labels[at] or (at == last and turns[at]["from"] != item["mask"])]
    for index, at in enumerate(responses or [len(turns)]):
        begin = at + shift
        yield (
            position,
            "generations",
            {
                "split": "dataset",
                "sample_index": index,
                "group_id": str(position),
                "prompt_messages": as_messages(messages[:begin]),
                "completion_messages": as_messages(messages[begin : begin + 1]),
                "role_boundaries": "structured",
                "extra": extra,
            },
        )
    for index, at in enumerate(responses):
        for attribute, value in labels[at]:
            of = {"generation_id": EventRef("generations", index), "scorer": attribute}
            yield position, "reward_scores", {**of, **_label_value(value)}


def _message(turn: dict[str, Any]) -> dict[str, Any]:
    others = {key: value for key, value in turn.items() if key not in {"from", "value", "role", "content"}}
    odd = {f"turn.{key}": turn[key] for key in ("role", "content") if key in turn}  # not NeMo-Aligner's, and not lost
    return {**others, **odd, "role": turn["from"], "content": turn["value"]}


def _read_label(label: Any) -> list[tuple[str, float]]:
    """(attribute, value) of a packed label; none where it is empty or any part of it is something else."""
    if not isinstance(label, str):
        return []
    parts = [_LABEL.fullmatch(part) for part in label.split(",")]
    read = [(part[1], float(part[2])) for part in parts if part]
    return read if len(read) == len(parts) else []


_RESPONSE = {
    "generations.split": "always `dataset`",
    "generations.group_id": "the record's position",
}
_LABELLED = {
    "reward_scores.generation_id": "the response that the label is of",
    "reward_scores.score": "the label's number",
    "reward_scores.score_state": "`sentinel` for -100, which stands for an attribute that was not labelled",
    "reward_scores.extra_json": "`label` where it is -100, and a number that no column can hold",
}

ADAPTERS = (
    Adapter(
        "nemo_aligner_rm",
        1,
        ("jsonl", "json"),
        _score_rm,
        _rm_events,
        reads="Data for NeMo-Aligner's regression reward models: a `text` with turn marks and a list `label`.",
        fields={
            **_RESPONSE,
            **_LABELLED,
            "generations.sample_index": "always 0",
            "generations.prompt_text": "`text` up to the last mark of an assistant's turn, with it",
            "generations.completion_text": "`text` after that mark; all of it where there is none",
            "generations.role_boundaries": "whether `text` has marks of turns",
            "generations.extra_json": "all other fields",
            "reward_scores.scorer": "`label[i]`, the place in the list: which attribute that is the file does not say",
        },
    ),
    Adapter(
        "nemo_aligner_sft",
        1,
        ("jsonl", "json"),
        _score_sft,
        _sft_events,
        reads="NeMo-Aligner's SFT and SteerLM conversations: `system`, `mask` and `conversations` with packed labels.",
        fields={
            **_RESPONSE,
            **_LABELLED,
            "generations.sample_index": "order of the responses in the conversation",
            "generations.prompt_messages": "`system` and the turns before the response",
            "generations.completion_messages": (
                "the turn, for each that has a label, and for the last if it is not of the speaker in `mask`"
            ),
            "generations.role_boundaries": "always `structured`",
            "generations.extra_json": "`mask`, `type`, `dataset`, an empty `system` and all other fields",
            "reward_scores.scorer": "the attribute's name in `conversations[].label`",
        },
    ),
)
