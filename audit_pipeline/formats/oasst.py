"""OpenAssistant: message trees, and messages row by row.

Sources: Open-Assistant `oasst-data/oasst_data/schemas.py` (ExportMessageTree, ExportMessageNode, the events),
`oasst_data/reader.py` (Hugging Face rows have `emojis` and `labels` as structs of lists) and
`backend/oasst_backend/utils/tree_export.py` (fields that are null may be left out). Messages nest under `replies`, in
trees and in files of messages alike. Labels are means over `count` volunteers, and a rank (0 is best) is what their
rankings came to; who answered is only in `events`, which most exports do not have.
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
    as_person,
    is_number,
    share,
)
from audit_pipeline.formats.answers import MOST_PROMPT, Prompts, answer_value, message_size
from audit_pipeline.formats.judged import short_name
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.times import iso_time
from audit_pipeline.records import canonical

_OWN_KEYS = frozenset(["parent_id", "lang", "review_count", "replies", "message_tree_id", "tree_state"])
_ROLES = ("prompter", "assistant", "")  # a sample of Parquet has empty texts
_PLAIN_KEYS = frozenset(["text", "role", "model_name", "user_id"])
_EVENT_ANSWERS = {
    "emoji": ("text", "emoji"),
    "rating": ("rating", "rating"),
    "ranking": ("ranking", "ranking"),
    "report": ("text", "report_type"),
    "score": ("rating", "score"),
}
"""Kind of annotation, and the field with the answer, of each type of event."""


def _score_messages(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, lambda item: _is_message(item) and bool(_OWN_KEYS & item.keys()))


def _score_trees(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, lambda item: _is_tree(item) and item["prompt"]["role"] in _ROLES)


def _is_message(value: Any) -> bool:
    return _is_said(value) and value["role"] in _ROLES


def _is_said(value: Any) -> bool:
    return (
        isinstance(value, dict) and "message_id" in value and all(_is_text(value.get(key)) for key in ("text", "role"))
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, canonical.OutOfRange)


def _is_tree(item: dict[str, Any]) -> bool:
    return "message_tree_id" in item and _is_said(item.get("prompt"))


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if _is_said(item):
            yield from _walk(position, item, {})
        elif isinstance(item, dict) and _is_tree(item):
            tree = {key: value for key, value in item.items() if key != "prompt"}
            yield from _walk(position, item["prompt"], {"tree": tree})


def _walk(position: int, root: dict[str, Any], tree: dict[str, Any]) -> Iterator[Event]:
    """The events of a message and all below it, each message before its replies and these in their order."""
    prompts = Prompts()
    pending: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, str]], int]] = [(root, {}, [], 0)]
    ordinal = 0
    while pending:
        message, place, before, size = pending.pop()
        own = {"role": message["role"], "content": message["text"]}
        shown = {**place, "prompt_messages": prompts.of(before, size), "completion_messages": as_messages([own])}
        yield from _message(position, ordinal, message, shown, {} if ordinal else tree)
        ordinal += 1
        thread, thread_size = [*before, own], size + message_size(own)
        pending += [
            (reply, {"group_id": short_name(message["message_id"]), "sample_index": index}, thread, thread_size)
            for index, reply in reversed(list(enumerate(_replies(message))))
            if _is_said(reply)
        ]


def _replies(message: dict[str, Any]) -> list[Any]:
    replies = message.get("replies")
    return replies if isinstance(replies, list) else []


def _message(
    position: int, ordinal: int, message: dict[str, Any], shown: dict[str, Any], tree: dict[str, Any]
) -> Iterator[Event]:
    parent, when = short_name(message.get("parent_id")), _when(message)
    answers = [(key, answer) for key, find in _FINDERS.items() for answer in find(message.get(key))]
    scores = _scores(message.get("detoxify"))
    known = _PLAIN_KEYS | {key for key, _ in answers}
    known |= {"created_date"} if when else set()
    known |= {"parent_id"} if parent is not None else set()
    known |= {"detoxify"} if scores else set()
    generation = {
        "split": "dataset",
        **shown,
        **({} if parent is None else {"group_id": parent}),
        **when,
        "model_name": message.get("model_name"),
        "role_boundaries": "structured",
        "extra": _without_people({**_others(message, known), **tree}),
    }
    yield position, "generations", generation
    of = EventRef("generations", ordinal)
    item_id = short_name(message["message_id"]) or str(position)
    about = {"item_id": item_id, "response_a_id": of, "status": "submitted"}
    if (author := as_person(message.get("user_id"))) is not None:
        wrote = {"annotator_id": author, "annotator_kind": "model" if message.get("synthetic") is True else "human"}
        made = {**when, "created_at": when.get("event_time")}
        yield position, "annotations", {**about, **wrote, "question": "text", "kind": "text", **made}
    for _, answer in answers:
        yield position, "annotations", {**about, "annotator_kind": "human", **answer}
    for name, score in scores.items():
        scored = {"generation_id": of, "scorer": f"detoxify/{name}", "scorer_kind": "reward_model"}
        yield position, "reward_scores", {**scored, **score_value(score)}


def _when(message: dict[str, Any]) -> dict[str, Any]:
    found = iso_time(message.get("created_date"))
    return {"event_time": found[0], "event_time_quality": found[1]} if found else {}


def _others(message: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields that are not known, and of `replies` those that are no messages."""
    others = {key: _emojis(value) if key == "emojis" else value for key, value in message.items() if key not in known}
    if isinstance(message.get("replies"), list):
        others["replies"] = [reply for reply in message["replies"] if not _is_said(reply)]
        if not others["replies"]:
            del others["replies"]
    return others


def _labels(value: Any) -> list[dict[str, Any]]:
    """The annotations that `labels` are; none where they have neither of their two shapes."""
    if not isinstance(value, dict):
        return []
    named = list(value.items())
    if value.keys() == {"name", "value", "count"} and _are_lists_alike(list(value.values())):
        rows = zip(value["name"], value["value"], value["count"], strict=True)
        named = [(name, {"value": mean, "count": count}) for name, mean, count in rows]
    if not all(isinstance(label, dict) and "value" in label for _, label in named):
        return []
    return [_label(name, label) for name, label in named]


def _label(name: Any, label: dict[str, Any]) -> dict[str, Any]:
    others = {key: value for key, value in label.items() if key != "value"}
    answer = {"question": name, "kind": "rating", **answer_value(label["value"])}
    return {**answer, "extra": _without_people(others)}


def _rank(value: Any) -> list[dict[str, Any]]:
    return [{"question": "rank", "kind": "ranking", "value_num": value}] if is_number(value) else []


def _message_events(value: Any) -> list[dict[str, Any]]:
    """The annotations that `events` are, each of one person; none where they have another shape."""
    if not isinstance(value, dict):
        return []
    if not all(short_name(name) and isinstance(some, list) for name, some in value.items()):
        return []
    if not all(isinstance(one, dict) for some in value.values() for one in some):
        return []
    return [_message_event(name, one) for name, some in value.items() for one in some]


def _message_event(name: str, event: dict[str, Any]) -> dict[str, Any]:
    kind, field = _EVENT_ANSWERS.get(name, (None, ""))
    others = {key: value for key, value in event.items() if key not in {field, "user_id"}}
    answer = answer_value(event[field]) if field in event else {}
    person = {"annotator_id": as_person(event.get("user_id"))}
    return {**person, "question": name, "kind": kind, **answer, "extra": _without_people(others)}


_FINDERS = {"labels": _labels, "rank": _rank, "events": _message_events}


def _scores(value: Any) -> dict[str, Any]:
    """`detoxify`, a score by name; empty where it is anything else."""
    return value if isinstance(value, dict) and all(one is None or is_number(one) for one in value.values()) else {}


def _emojis(value: Any) -> Any:
    """`emojis` by name, also where a row has a list of names and one of counts."""
    if not isinstance(value, dict) or value.keys() != {"name", "count"} or not _are_lists_alike(list(value.values())):
        return value
    names = value["name"]
    is_by_name = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return dict(zip(names, value["count"], strict=True)) if is_by_name else value


def _are_lists_alike(values: list[Any]) -> bool:
    return all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1


def _without_people(value: Any) -> Any:
    """The same without any `user_id`, however deep."""
    if isinstance(value, canonical.RepeatedKeys):
        return canonical.RepeatedKeys((key, _without_people(member)) for key, member in value if key != "user_id")
    if isinstance(value, dict):
        return {key: _without_people(member) for key, member in value.items() if key != "user_id"}
    return [_without_people(member) for member in value] if isinstance(value, list) else value


_FIELDS = {
    "generations.event_time": "`created_date`",
    "generations.event_time_quality": "zone of `created_date`",
    "generations.extra_json": "all other fields of the message, `emojis` by name; of a tree's first message also "
    "`tree`, the fields beside `prompt`; a `user_id` never",
    "generations.split": "always `dataset`",
    "generations.sample_index": "place among the `replies` of the message it is nested under",
    "generations.group_id": "`parent_id`, else the `message_id` of the message it is nested under",
    "generations.prompt_messages": f"the messages it is nested under; null once a record has {MOST_PROMPT:,} "
    "characters of such prompts. What a row does not nest is found by `group_id`",
    "generations.completion_messages": "`role` and `text`",
    "generations.model_name": "`model_name`",
    "generations.role_boundaries": "always `structured`",
    "annotations.event_time": "`created_date`, of the row that says who wrote the message",
    "annotations.event_time_quality": "zone of `created_date`",
    "annotations.extra_json": "`count` and other fields of a label, other fields of an event; a `user_id` never",
    "annotations.item_id": "`message_id`, else the record's position",
    "annotations.annotator_id": "`user_id` of the message (question `text`) or of the event",
    "annotations.annotator_kind": "`human`; `model` for the author of a message that is `synthetic`",
    "annotations.question": "`text` for who wrote the message, the name of a label, `rank`, the type of an event",
    "annotations.kind": "`text` (message, emoji, report), `rating` (label, rating, score) or `ranking` (rank, ranking)",
    "annotations.value_num": "`value` of a label, `rank`, or the answer of an event if it is a number",
    "annotations.value_text": "`emoji`, `rating` or `report_type` of an event",
    "annotations.value_json": "`ranking` of an event; a label's `value` that is null",
    "annotations.response_a_id": "the message",
    "annotations.status": "always `submitted`",
    "annotations.created_at": "`created_date`, of the row that says who wrote the message",
    "reward_scores.generation_id": "the message",
    "reward_scores.scorer": "`detoxify/` and the name of the score",
    "reward_scores.scorer_kind": "always `reward_model`",
    "reward_scores.score": "`detoxify`",
    "reward_scores.score_state": "whether it is a number",
}

ADAPTERS = (
    Adapter(
        "oasst_tree",
        1,
        ("jsonl",),
        _score_trees,
        _events,
        reads="Message trees of OpenAssistant, one per line.",
        fields=_FIELDS,
    ),
    Adapter(
        "oasst_message",
        1,
        ("jsonl", "parquet"),
        _score_messages,
        _events,
        reads="Messages of OpenAssistant, one per line with or without its replies, and rows as Hugging Face has them.",
        fields=_FIELDS,
    ),
)
