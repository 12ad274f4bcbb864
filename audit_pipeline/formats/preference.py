r"""Preference data sets: one preferred and one rejected response per record, or one response with a yes or no.

Shapes, from TRL's dataset formats, the HH-RLHF data set and NeMo-Aligner:
{prompt?, chosen, rejected} as texts or as lists of {role, content} · {prompt, completion, label: bool} ·
{prompt, chosen_response, rejected_response}. Without `prompt`, the last turn is the response: the last message, or in
a text what follows the last "\n\nAssistant:". They hold no annotator and no time.
"""

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
    marked_roles,
    share,
)

_ASSISTANT = "\n\nAssistant:"  # HH-RLHF
_ID_KEYS = ("id", "prompt_id", "question_id", "uid")
_PAIRS = (("chosen", "rejected"), ("chosen_response", "rejected_response"))


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, lambda item: _pair_keys(item) is not None or _is_labelled(item))


def _pair_keys(item: dict[str, Any]) -> tuple[str, str] | None:
    """The keys of the preferred and the other response; None where the record holds no pair."""
    for keys in _PAIRS:
        chosen, rejected = map(item.get, keys)
        if (isinstance(chosen, str) and isinstance(rejected, str)) or (is_messages(chosen) and is_messages(rejected)):
            return keys
    return None


def _is_labelled(item: dict[str, Any]) -> bool:
    return {"prompt", "completion"} <= item.keys() and isinstance(item.get("label"), bool)


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict):
            continue
        if (keys := _pair_keys(item)) is not None:
            yield from _pair_events(position, item, keys)
        elif _is_labelled(item):
            yield from _labelled_events(position, item)


def _pair_events(position: int, item: dict[str, Any], keys: tuple[str, str]) -> Iterator[Event]:
    annotation = _annotation(position, item, {"prompt", *keys})
    for index, key in enumerate(keys):
        yield position, "generations", _response(annotation["item_id"], index, item.get("prompt"), item[key])
    sides = {"chosen_id": EventRef("generations", 0), "rejected_id": EventRef("generations", 1)}
    yield position, "annotations", {**annotation, "kind": "pairwise", **sides}


def _labelled_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    annotation = _annotation(position, item, {"prompt", "completion", "label"})
    yield position, "generations", _response(annotation["item_id"], 0, item["prompt"], item["completion"])
    answer = {"value_num": float(item["label"]), "response_a_id": EventRef("generations", 0)}
    yield position, "annotations", {**annotation, "kind": "binary", **answer}


def _annotation(position: int, item: dict[str, Any], known: set[str]) -> dict[str, Any]:
    id_key = next((key for key in _ID_KEYS if _is_id(item.get(key))), None)
    item_id = str(position) if id_key is None else str(item[id_key])
    extra = {key: value for key, value in item.items() if key not in known and key != id_key}
    return {"item_id": item_id, "annotator_kind": "unknown", "status": "unknown", "extra": extra}


def _response(item_id: str, index: int, prompt: Any, response: Any) -> dict[str, Any]:
    before, own = (prompt, response) if prompt is not None else _split_last_turn(response)
    is_structured = is_messages(before) or is_messages(own)
    return {
        "split": "dataset",
        "sample_index": index,
        "group_id": item_id,
        "prompt_messages" if is_messages(before) else "prompt_text": as_messages(before) or before,
        "completion_messages" if is_messages(own) else "completion_text": as_messages(own) or own,
        "role_boundaries": "structured" if is_structured else marked_roles(f"{before or ''}{own}"),
    }


def _split_last_turn(conversation: Any) -> tuple[Any, Any]:
    """(what came before, the response); (None, everything) where no turn can be told."""
    if isinstance(conversation, list):
        return conversation[:-1] or None, conversation[-1:]
    before, marker, own = conversation.rpartition(_ASSISTANT)
    return (before + marker, own) if marker else (None, conversation)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


ADAPTERS = (Adapter("preference_pairs", "1", ("jsonl", "json", "csv", "parquet"), _score, _events),)
