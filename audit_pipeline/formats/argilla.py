"""Argilla: the records of a dataset, nested as `records.to_json` writes them or flat as `to_list(flatten=True)` does.

Sources: argilla 2.x `records/_resource.py` (to_dict), `records/_io/_generic.py` (_record_to_dict), `responses.py`,
`suggestions.py`, `settings/_templates.py`. There is no time in them, no type of a question, and in the nested form no
status of a response. A missing user is the text `None`.

Which field is a response to a prompt is told by its name, as Argilla's templates name them: `response`, `response1`,
`response2`, or with `_1`, `_a`, `_left` and so on. With two of them, an answer that names one is a preference. What
belongs to the whole record is kept once, in its first event, under `record`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    SourceContext,
    as_person,
    is_number,
    share,
)
from audit_pipeline.formats.answers import answer_value
from audit_pipeline.formats.judged import (
    LONGEST_NAME,
    MOST_PROMPTED,
    RESPONSE_FIELDS,
    as_list,
    is_turn,
    pair_sides,
    short_name,
)
from audit_pipeline.formats.responses import response_row
from audit_pipeline.records import canonical

_NESTED_KEYS = frozenset(["fields", "metadata", "suggestions", "responses", "vectors", "_server_id"])
_FLAT_KEYS = frozenset(["id", "_server_id"])
_OF_QUESTION = re.compile(
    rf"(.{{1,{LONGEST_NAME}}})\.(responses(?:\.users|\.status)?|suggestion(?:\.agent|\.score)?)", re.DOTALL
)
_PROMPTS = ("prompt", "instruction")
_RESPONSE = re.compile(r"response(?:_?\d+|_(left|right|a|b))?", re.ASCII)
_STATUSES = frozenset(["draft", "submitted", "discarded"])

_Parts = tuple[dict[str, Any], dict[str, Any], list[tuple[Any, dict[str, Any]]]]
"""(fields of the record, what else it has, (answer, columns that do not depend on it) of each judgement)."""


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, lambda item: (item.keys() >= _NESTED_KEYS and _is_nested(item)) or _is_flat(item))


def _is_nested(item: dict[str, Any]) -> bool:
    judged = [item[key] for key in ("responses", "suggestions") if item.get(key) is not None]
    if not judged or not all(isinstance(one, dict) for one in [item.get("fields"), *judged]):
        return False
    return all(len(name) <= LONGEST_NAME for one in judged for name in one)


def _is_flat(item: dict[str, Any]) -> bool:
    return item.keys() >= _FLAT_KEYS and any(map(_OF_QUESTION.fullmatch, item))


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and (_is_nested(item) or _is_flat(item)):
            yield from _record(position, item)


def _record(position: int, item: dict[str, Any]) -> Iterator[Event]:
    fields, others, judgements = _nested(item) if _is_nested(item) else _flat(item)
    item_id = short_name(others.get("id"))
    if item_id is not None or others.get("id") is None:
        others.pop("id", None)
    of_item = {"item_id": item_id or str(position)}
    responses = [name for name, value in fields.items() if _RESPONSE.fullmatch(name) and is_turn(value)]
    prompt = next((name for name in _PROMPTS if is_turn(fields.get(name))), None)
    if not 0 < len(responses) <= MOST_PROMPTED:
        prompt = None
    asked = fields[prompt] if prompt else None
    rows = [
        ("generations", response_row(of_item["item_id"], index, asked, fields[name], splits=False))
        for index, name in enumerate(responses)
    ]
    rows += [("annotations", {**of_item, **of, **_answer(value, responses)}) for value, of in judgements]
    if not rows:
        yield position, "log_findings", {"kind": "no_event", "found": "a record without responses and suggestions"}
        return
    unshown = {name: value for name, value in fields.items() if name != prompt and name not in responses}
    whole = {**others, "fields": unshown} if unshown else others
    rows[0][1]["extra"] = {**rows[0][1].get("extra", {}), **({"record": whole} if whole else {})}
    for table, values in rows:
        yield position, table, values


def _nested(item: dict[str, Any]) -> _Parts:
    responses, suggestions = item.get("responses") or {}, item.get("suggestions") or {}
    judgements = [_nested_response(name, one) for name, given in responses.items() for one in as_list(given)]
    judgements += [_nested_suggestion(name, one) for name, one in suggestions.items() if one is not None]
    return item["fields"], _without(item, "fields", "responses", "suggestions"), judgements


def _nested_response(question: str, response: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(response, dict):
        return _nameless(response), _of_response(question, None, None)
    of = _of_response(question, response.get("user_id"), response.get("status"))
    return response.get("value"), _with_extra(of, _without(response, "value", "user_id", "status"))


def _nested_suggestion(question: str, suggestion: Any) -> tuple[Any, dict[str, Any]]:
    if not isinstance(suggestion, dict):
        return _nameless(suggestion), _of_suggestion(question, None, None)
    of = _of_suggestion(question, suggestion.get("agent"), suggestion.get("score"), suggestion.get("type"))
    return suggestion.get("value"), _with_extra(of, _without(suggestion, "value", "agent", "score", "type"))


def _nameless(value: Any) -> Any:
    """What no version of Argilla writes. In an object that repeats a key, too, people stay in the record alone."""
    if not isinstance(value, canonical.RepeatedKeys):
        return value
    return canonical.RepeatedKeys(pair for pair in value if pair[0] not in ("user_id", "agent"))


def _flat(item: dict[str, Any]) -> _Parts:
    """The flat form does not tell fields, metadata and vectors from each other."""
    questions: dict[str, dict[str, Any]] = {}
    rest = {}
    for key, value in item.items():
        if (found := _OF_QUESTION.fullmatch(key)) is None:
            rest[key] = value
        else:
            questions.setdefault(found[1], {})[found[2]] = value
    others: dict[str, Any] = {key: rest.pop(key) for key in ("id", "status", "_server_id") if key in rest}
    return rest, others, [one for name, parts in questions.items() for one in _flat_judgements(name, parts)]


def _flat_judgements(question: str, parts: dict[str, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    lists = [as_list(parts.get(name)) for name in ("responses", "responses.users", "responses.status")]
    for value, user, status in zip_longest(*lists):
        yield value, _of_response(question, user, status)
    value, agent, score = (parts.get(f"suggestion{part}") for part in ("", ".agent", ".score"))
    if (value, agent, score) != (None, None, None):  # what only other records have is null
        yield value, _of_suggestion(question, agent, score)


def _of_response(question: str, user: Any, status: Any) -> dict[str, Any]:
    of = {"question": question, "annotator_id": as_person(user), "annotator_kind": "human"}
    if isinstance(status, str) and status in _STATUSES:
        return {**of, "status": status}
    return _with_extra({**of, "status": "unknown"}, {} if status is None else {"status": status})


def _of_suggestion(question: str, agent: Any, score: Any, kind: Any = None) -> dict[str, Any]:
    judge = as_person(agent)
    known = kind in ("model", "human")
    of = {"question": question, "annotator_id": judge, "status": "unknown"}
    of["annotator_kind"] = kind if known else "unknown" if judge is None else "model"
    extra = {"type": None if known else kind, "score": score}
    return _with_extra(of, {key: value for key, value in extra.items() if value is not None})


def _answer(value: Any, responses: Sequence[str]) -> dict[str, Any]:
    """The columns of an answer, by its own type and by which of the responses it names."""
    if value is None:
        return {"response_a_id": EventRef("generations", 0)} if len(responses) == 1 else {}
    if isinstance(value, bool):
        answer: dict[str, Any] = {"kind": "binary", "value_num": float(value)}
    else:
        held = answer_value(value)
        answer = {"kind": "rating" if is_number(value) else "text" if isinstance(value, str) else None, **held}
    if isinstance(value, list) and value and all(map(_is_span, value)):
        answer["kind"] = "span"
    if len(responses) == 1:
        return {**answer, "response_a_id": EventRef("generations", 0)}
    outcome = _outcome(value, responses) if len(responses) == 2 else None
    return (
        answer if outcome is None else {**answer, "kind": "pairwise", "outcome": outcome, **pair_sides(outcome, 0, 1)}
    )


def _outcome(value: Any, pair: Sequence[str]) -> str | None:
    """Which of two responses a label or a ranking prefers; None where it names none."""
    if isinstance(value, list) and value in ([*pair], [*reversed(pair)]):
        value = value[0]
    if not isinstance(value, str):
        return None
    sides = {"tie": "tie"}
    for name, outcome in zip(pair, "ab", strict=True):
        found = _RESPONSE.fullmatch(name)
        sides |= {name: outcome} | ({found[1]: outcome} if found and found[1] else {})
    return sides.get(value)


def _is_span(value: Any) -> bool:
    return isinstance(value, dict) and {"start", "end"} <= value.keys()


def _without(value: dict[str, Any], *known: str) -> dict[str, Any]:
    return {key: member for key, member in value.items() if key not in known}


def _with_extra(of: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    return {**of, "extra": {**of.get("extra", {}), **extra}} if extra else of


_RESPONSES = "`responses.<question>[]`, flat `<question>.responses`"
_SUGGESTIONS = "`suggestions.<question>`, flat `<question>.suggestion`"
_NAMED = "a field named `response`, `response1`, `response_a`, `response_left` and the like"

ADAPTERS = (
    Adapter(
        "argilla",
        1,
        ("json", "jsonl"),
        _score,
        _events,
        reads="Records of an Argilla dataset: `records.json` of `Dataset.to_disk`, or records exported flat.",
        fields={
            **RESPONSE_FIELDS,
            "generations.sample_index": "place of the response among the record's responses",
            "generations.group_id": "`id`, else the record's position",
            "generations.prompt_text": "the field `prompt`, else `instruction`",
            "generations.completion_text": _NAMED,
            "generations.extra_json": "what belongs to the whole record, in its first event",
            "annotations.item_id": "`id`, else the record's position",
            "annotations.annotator_id": "`user_id`, flat `<question>.responses.users`; `agent` of a suggestion",
            "annotations.annotator_kind": "`human` of a response; `model` of a suggestion that names its agent",
            "annotations.question": "name of the question",
            "annotations.kind": "by the answer: a number, text, spans, or which of two responses is better",
            "annotations.outcome": "which of two responses the answer names, or `tie`",
            "annotations.value_num": f"{_RESPONSES}; {_SUGGESTIONS}: numbers, true and false",
            "annotations.value_text": "the same: text",
            "annotations.value_json": "the same: lists and objects",
            "annotations.response_a_id": _NAMED + ", the first or the only one",
            "annotations.response_b_id": "the second of two",
            "annotations.chosen_id": "the response that the answer names",
            "annotations.rejected_id": "the other of two",
            "annotations.status": "flat `<question>.responses.status`; the nested form has none",
            "annotations.extra_json": "`score` of a suggestion; what belongs to the whole record, in its first event",
        },
    ),
)
