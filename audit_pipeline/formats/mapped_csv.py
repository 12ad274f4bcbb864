"""Tables of judgements whose columns the policy names, because no header says what it means.

`columns` beside a stream with `format: mapped_csv` gives, for a column of the event tables, the name of the CSV's own
(`policy/models.py` lists them). It is kept with each snapshot, so that the events follow from what is stored.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    Person,
    SourceContext,
    as_person,
    marked_roles,
)
from audit_pipeline.formats.times import epoch_time, iso_time

_SIDES = (("response_a", "model_a"), ("response_b", "model_b"))


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    columns = json.loads(source.mapping or "{}")
    named = {column for column in columns.values() if isinstance(column, str)}.union(columns.get("annotators", ()))
    for position, row in items:
        # A header that lacks a column which the policy names is of another table: its rows are findings, not events.
        if named and isinstance(row, dict) and named <= row.keys():
            yield from _row(columns, position, row)


def _row(columns: Mapping[str, Any], position: int, row: dict[str, Any]) -> Iterator[Event]:
    said = {name: row.get(column) for name, column in columns.items() if isinstance(column, str)}
    known = {column for column in columns.values() if isinstance(column, str)} | set(columns.get("annotators", ()))
    item_id = str(said.get("item_id") or position)
    sides = [(side, model) for side, model in _SIDES if side in columns]
    for index, (side, model) in enumerate(sides):
        yield position, "generations", _response(item_id, index, said.get("prompt"), said[side], said.get(model))
    judgement = {
        "item_id": item_id,
        "annotator_kind": "unknown",
        "status": "submitted",
        "question": said.get("question"),
        "strength": _as_number(said.get("strength")),
        "lead_time_s": _as_number(said.get("lead_time_s")),
        **{f"{side}_id": EventRef("generations", index) for index, (side, _) in enumerate(sides)},
        **_time(said.get("created_at")),
        "extra": {name: value for name, value in row.items() if name not in known},
    }
    outcomes = columns.get("outcomes", {})
    if "annotators" in columns:
        for judge in columns["annotators"]:
            of = {"annotator_id": Person(judge), **_answer(row.get(judge), outcomes, len(sides))}
            yield position, "annotations", {**judgement, **of}
    else:
        answer = said.get("outcome") if "outcome" in columns else said.get("value")
        of = {"annotator_id": as_person(said.get("annotator_id")), **_answer(answer, outcomes, len(sides))}
        yield position, "annotations", {**judgement, **of}


def _response(item_id: str, index: int, prompt: Any, text: Any, model: Any) -> dict[str, Any]:
    return {
        "split": "dataset",
        "sample_index": index,
        "group_id": item_id,
        "prompt_text": prompt,
        "completion_text": text,
        "model_name": model,
        "role_boundaries": marked_roles(f"{prompt or ''}{text or ''}"),
    }


def _answer(answer: Any, outcomes: Mapping[str, str], responses: int) -> dict[str, Any]:
    """The outcome that the policy gives this text, or the number or text that it is."""
    if outcomes:
        outcome = outcomes.get(str(answer).strip(), "unparsed")
        sides = {"a": ("chosen_id", "rejected_id"), "b": ("rejected_id", "chosen_id")}.get(
            outcome if responses == 2 else "", ()
        )
        chosen = {side: EventRef("generations", index) for index, side in enumerate(sides)}
        return {"kind": "pairwise", "outcome": outcome, "value_text": answer, **chosen}
    number = _number(answer)
    return {"kind": "text", "value_text": answer} if number is None else {"kind": "rating", "value_num": number}


def _as_number(text: Any) -> Any:
    """The number; a text that is none stays, and moves to `extra_json`."""
    return (text or None) if (number := _number(text)) is None else number


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return None


def _time(text: Any) -> dict[str, Any]:
    found = iso_time(text) or epoch_time(_number(text))
    if found is None:
        return {"created_at": text or None}  # what cannot be read moves to `extra_json`
    return {"created_at": found[0], "event_time": found[0], "event_time_quality": found[1]}


ADAPTERS = (
    Adapter(
        "mapped_csv",
        2,
        ("csv",),
        events=_events,
        reads="CSV files of judgements, where the policy names the columns.",
        fields={
            "generations.split": "always dataset",
            "generations.sample_index": "0 for response_a, 1 for response_b",
            "generations.group_id": "item_id",
            "generations.prompt_text": "prompt",
            "generations.completion_text": "response_a, response_b",
            "generations.model_name": "model_a, model_b",
            "generations.role_boundaries": "words in the texts that stand for roles",
            "annotations.item_id": "item_id, else the row's number",
            "annotations.annotator_id": "annotator_id, or the name of the judge's column",
            "annotations.annotator_kind": "always unknown",
            "annotations.status": "always submitted",
            "annotations.question": "question",
            "annotations.kind": "pairwise where outcomes are given, else rating or text",
            "annotations.outcome": "outcomes of the text; unparsed where it has none",
            "annotations.value_num": "value, where it is a number",
            "annotations.value_text": "outcome, or value where it is no number",
            "annotations.strength": "strength",
            "annotations.lead_time_s": "lead_time_s",
            "annotations.response_a_id": "response_a",
            "annotations.response_b_id": "response_b",
            "annotations.chosen_id": "the response that won",
            "annotations.rejected_id": "the other",
            "annotations.created_at": "created_at, ISO 8601 or epoch seconds",
            "annotations.event_time": "created_at",
            "annotations.event_time_quality": "how created_at says its zone",
            "annotations.extra_json": "every column that the policy does not name",
        },
    ),
)
