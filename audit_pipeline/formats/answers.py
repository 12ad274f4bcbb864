"""Answers of annotators, whatever their type, and the prompts of records that hold whole conversations."""

import math
from collections.abc import Sequence
from typing import Any

from audit_pipeline.formats.adapter import as_messages, is_number
from audit_pipeline.records import canonical

MOST_PROMPT = 1 << 20
_PER_MESSAGE = 32


def answer_value(value: Any) -> dict[str, Any]:
    """The one of `value_num`, `value_text` and `value_json` that holds an answer; null and NaN are JSON."""
    if is_number(value) and not (isinstance(value, float) and not math.isfinite(value)):
        return {"value_num": value}
    if isinstance(value, str):
        return {"value_text": value}
    return {"value_json": canonical.dump_canonical(value).decode()}


class Prompts:
    """The prompts of one record's responses, MOST_PROMPT characters together.

    Each repeats what was said before it, so that a small record could give a table without bound.
    """

    def __init__(self) -> None:
        self._left = MOST_PROMPT

    def of(self, before: Sequence[dict[str, Any]], size: int) -> list[dict[str, Any]] | None:
        """The messages before a response, of the `size` that `message_size` adds up to; None if that is too much."""
        if size > self._left:
            return None
        self._left -= size
        return as_messages(list(before))


def message_size(message: dict[str, str]) -> int:
    """What a message with role and content takes in a prompt."""
    return _PER_MESSAGE + len(message["role"]) + len(message["content"])
