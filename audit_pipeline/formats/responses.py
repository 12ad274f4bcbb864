r"""Rows of `generations` from the records of data sets, and what names a record's item.

A conversation without a prompt of its own ends with the response: the last message, or in a text of HH-RLHF what
follows the last "\n\nAssistant:".
"""

import math
from collections.abc import Iterable
from typing import Any

from audit_pipeline.formats.adapter import EventRef, as_messages, is_messages, is_number, marked_roles

_ASSISTANT = "\n\nAssistant:"  # HH-RLHF
_ID_KEYS = ("id", "prompt_id", "question_id", "uid")

RESPONSE_FIELDS = {
    "generations.split": "`dataset`",
    "generations.sample_index": "place among the record's responses",
    "generations.role_boundaries": "by the prompt and the response",
}
"""Columns that `response_row` fills alike for every tool."""


def response_row(group_id: str, index: int, prompt: Any, response: Any, *, splits: bool = True) -> dict[str, Any]:
    """The row of one response; without a prompt, that is what comes before the response in its conversation.

    `splits`: whether a response may hold its prompt, as it does in data sets and not in annotation tools.
    """
    before, own = split_last_turn(response) if prompt is None and splits else (prompt, response)
    is_structured = is_messages(before) or is_messages(own)
    return {
        "split": "dataset",
        "sample_index": index,
        "group_id": group_id,
        "prompt_messages" if is_messages(before) else "prompt_text": as_messages(before) or before,
        "completion_messages" if is_messages(own) else "completion_text": as_messages(own) or own,
        "role_boundaries": "structured" if is_structured else marked_roles(f"{before or ''}{own or ''}"),
    }


def split_last_turn(conversation: Any) -> tuple[Any, Any]:
    """(what came before, the response); (None, everything) where no turn can be told."""
    if isinstance(conversation, list):
        return conversation[:-1] or None, conversation[-1:]
    if not isinstance(conversation, str):
        return None, conversation
    before, marker, own = conversation.rpartition(_ASSISTANT)
    return (before + marker, own) if marker else (None, conversation)


def compared(outcome: str | None, first: int = 0, second: int = 1) -> dict[str, Any]:
    """A judgment of two responses of the record, shown in this order: sides, outcome, and who won if one did."""
    a, b = EventRef("generations", first), EventRef("generations", second)
    won = {"a": {"chosen_id": a, "rejected_id": b}, "b": {"chosen_id": b, "rejected_id": a}}.get(outcome or "", {})
    return {"kind": "pairwise", "response_a_id": a, "response_b_id": b, "outcome": outcome, **won}


def by_sign(strength: Any) -> str | None:
    """The outcome of a strength of preference, below 0 where the first is better; None for what is no number."""
    if not is_finite(strength):
        return None
    return "tie" if strength == 0 else "a" if strength < 0 else "b"


def is_finite(value: Any) -> bool:
    """Whether it is a number, and neither infinite nor NaN."""
    return is_number(value) and -math.inf < value < math.inf


def is_content(value: Any) -> bool:
    """Whether it is a text or a conversation."""
    return isinstance(value, str) or is_messages(value)


def item_id(position: int, item: dict[str, Any]) -> tuple[str, str | None]:
    """(what names the item, the key that says so); the record's position where no key does."""
    key = next((key for key in _ID_KEYS if _is_id(item.get(key))), None)
    return (str(position), None) if key is None else (str(item[key]), key)


def others(item: dict[str, Any], known: Iterable[str | None]) -> dict[str, Any]:
    """The fields of a record that are not known, for `extra`."""
    left = item.keys() - set(known)
    return {key: value for key, value in item.items() if key in left}


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)
