"""What annotation tools share: tasks with an id, responses shown in them, and judgements of these."""

from typing import Any

from audit_pipeline.formats.adapter import EventRef, is_messages
from audit_pipeline.records import canonical

MOST_PROMPTED = 16
"""Responses of one task that repeat its prompt; with more, a small record could give a table without bound."""
LONGEST_NAME = 1000
"""Characters of an id or a name that the rows of one record repeat, for the same reason."""


def short_name(value: Any) -> str | None:
    """The text of an id; None where it is none, or too long to be repeated."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    name = str(value)
    return name if len(name) <= LONGEST_NAME else None


def as_list(value: Any) -> list[Any]:
    """A list as it is, anything else but null as its only element."""
    if isinstance(value, list) and not isinstance(value, canonical.RepeatedKeys):
        return value
    return [] if value is None else [value]


def is_turn(value: Any) -> bool:
    """Whether it can be a prompt or a response: text or a conversation."""
    return (isinstance(value, str) and not isinstance(value, canonical.OutOfRange)) or is_messages(value)


def pair_sides(outcome: str, first: int, second: int) -> dict[str, Any]:
    """Columns of a judgement of the record's generations number `first` and `second`."""
    a, b = EventRef("generations", first), EventRef("generations", second)
    shown = {"response_a_id": a, "response_b_id": b}
    if outcome not in ("a", "b"):
        return shown
    return {**shown, "chosen_id": a if outcome == "a" else b, "rejected_id": b if outcome == "a" else a}


RESPONSE_FIELDS = {
    "generations.split": "`dataset`",
    "generations.completion_messages": "the same as `completion_text`, where it is a conversation",
    "generations.prompt_messages": "the same as `prompt_text`, where it is a conversation",
    "generations.role_boundaries": "whether prompt and response are conversations or text",
}
"""`Adapter.fields` of what `response_row` gives whatever the tool."""
