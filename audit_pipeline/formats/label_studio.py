"""Label Studio: tasks of its JSON export with their annotations, predictions and drafts.

Sources: label-studio `data_export/serializers.py` and `data_export/mixins.py` (which parts are exported, whole or as
ids), `tasks/serializers.py` (fields; `created_username` is `<names> <e-mail>, <id>`), the editor's `regions/Result.js`
(a result, and the values of each type) and `tags/control/Pairwise.js`; label-studio-sdk `types/annotation.py`. The
labelling configuration is not exported: which data a control judges is known only where its `to_name` is the name of
the data too, as in the templates for human preference (`answer1,answer2`).

What one annotation answers to one question, `from_name`, is one row. What belongs to the whole annotation is kept once,
in its first row, under `annotation`, and what belongs to the whole task in its first event, under `task`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    Person,
    SourceContext,
    as_person,
    share,
)
from audit_pipeline.formats.answers import answer_value
from audit_pipeline.formats.judged import (
    MOST_PROMPTED,
    RESPONSE_FIELDS,
    as_list,
    is_turn,
    pair_sides,
    short_name,
)
from audit_pipeline.formats.paths import file_name
from audit_pipeline.formats.responses import response_row
from audit_pipeline.formats.times import iso_time
from audit_pipeline.records import canonical

_LISTS = ("annotations", "predictions", "drafts")
_EXPORT_FILE = re.compile(r"project-\d+-at-[\w-]+\.json")
_PEOPLE = re.compile(
    r"(.*_)?(by|by_id|users?|user_id|username|email|first_name|last_name|initials|avatar|assigned_to"
    r"|(author|annotator|reviewer|assignee)s?|model_version)"
)
"""Keys of Label Studio's own that say who: these stay in the record, but for the two that have columns."""
_USER_ID = re.compile(r".*, (\d+)", re.DOTALL | re.ASCII)
_TYPES = {
    "pairwise": ("pairwise", "selected"),
    "rating": ("rating", "rating"),
    "ranker": ("ranking", "ranker"),
    "choices": ("text", "choices"),
    "taxonomy": ("text", "taxonomy"),
    "textarea": ("text", "text"),
}
"""Type of a result: (kind of its annotation, key of the answer in its value)."""
_OUTCOMES = {"left": "a", "right": "b"}


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_task) + 0.1 * bool(_EXPORT_FILE.fullmatch(file_name(path)))


def _is_task(item: dict[str, Any]) -> bool:
    judged = [item[key] for key in _LISTS[:2] if item.get(key) is not None]
    return isinstance(item.get("data"), dict) and bool(judged) and all(map(_is_judgements, judged))


def _is_judgements(value: Any) -> bool:
    """Whether it is a list of judgements or of their ids."""
    return isinstance(value, list) and all(_is_judgement(one) for one in value)


def _is_judgement(value: Any) -> bool:
    return short_name(value) is not None or (isinstance(value, dict) and "result" in value)


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_task(item):
            yield from _task(position, item)


def _task(position: int, task: dict[str, Any]) -> Iterator[Event]:
    data = task["data"]
    id_ = short_name(task.get("id"))
    item_id = id_ or str(position)
    judgements = {key: [one for one in as_list(task.get(key)) if isinstance(one, dict)] for key in _LISTS}
    shown = _shown(data, [one for key in _LISTS for one in judgements[key]])
    has_prompt = 0 < len(shown) <= MOST_PROMPTED and is_turn(data.get("prompt"))
    prompt = data["prompt"] if has_prompt else None
    rows = [
        ("generations", response_row(item_id, index, prompt, data[name], splits=False))
        for index, name in enumerate(shown)
    ]
    for key in _LISTS:
        for one in judgements[key]:
            rows += [("annotations", {"item_id": item_id, **row}) for row in _judgement(key, one, shown)]
    if not rows:
        yield position, "log_findings", {"kind": "no_event", "found": "a task without annotations and predictions"}
        return
    used = {*shown, "prompt"} if has_prompt else {*shown}
    known = {"data", "meta", *_LISTS} if id_ is None else {"id", "data", "meta", *_LISTS}
    whole = {
        **_without_people({key: value for key, value in task.items() if key not in known}),
        **{key: rest for key in _LISTS if (rest := _not_judgements(task.get(key)))},
        # What was to be annotated is kept as it is: a key such as `user` is none of Label Studio's there.
        "data": {key: value for key, value in data.items() if key not in used},
        **({"meta": task["meta"]} if "meta" in task else {}),
    }
    rows[0][1]["extra"] = {**rows[0][1].get("extra", {}), "task": whole}
    for table, values in rows:
        yield position, table, values


def _shown(data: dict[str, Any], judgements: Sequence[dict[str, Any]]) -> list[str]:
    """The keys of `data` that a pairwise control compares, where it names them."""
    names: dict[str, None] = {}
    for one in judgements:
        for result in as_list(one.get("result")):
            if isinstance(result, dict) and result.get("type") == "pairwise":
                pair = _to_names(result)
                if len(pair) == len({*pair}) == 2 and all(is_turn(data.get(name)) for name in pair):
                    names |= dict.fromkeys(pair)
    return list(names)


def _judgement(key: str, one: dict[str, Any], shown: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each question; one row where nothing was answered."""
    questions: dict[str | None, list[dict[str, Any]]] = {}
    unread = []
    for result in as_list(one.get("result")):
        if isinstance(result, dict):
            name = result.get("from_name")
            questions.setdefault(name if isinstance(name, str) else None, []).append(result)
        else:
            unread.append(result)
    common, rest = _common(key, one)
    rows = [
        {**common, "question": question, **_answer(results, shown)}
        for question, results in (questions or {None: []}).items()
    ]
    rest |= {"result": _without_people(unread)} if unread else {}
    rows[0]["extra"] = {**rows[0].get("extra", {}), **({"annotation": rest} if rest else {})}
    return rows


def _common(key: str, one: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(columns that the answers to all questions share, what has no column)."""
    rest = {name: member for name, member in one.items() if name not in {"result", "ground_truth", "lead_time"}}
    who = _who(key, one)
    common: dict[str, Any] = {
        "annotator_id": who,
        "annotator_kind": "model" if key == "predictions" else "unknown" if who is None else "human",
        "status": "draft" if key == "drafts" else "unknown",
        "is_gold": one.get("ground_truth"),
        "lead_time_s": one.get("lead_time"),
        "updated_by": _person(one.get("updated_by")),
    }
    if key == "annotations" and isinstance(one.get("was_cancelled"), bool):
        common["status"] = "cancelled" if rest.pop("was_cancelled") else "submitted"
    for column, name in (("source_annotation_id", "id"), ("parent_annotation_id", "parent_annotation")):
        if (id_ := short_name(one.get(name))) is not None:
            common[column] = id_
            del rest[name]
    for name in ("created_at", "updated_at"):
        if (found := iso_time(one.get(name))) is not None:
            del rest[name]
            common |= {name: found[0]}
            common |= {"event_time": found[0], "event_time_quality": found[1]} if name == "created_at" else {}
    return common, _without_people(rest)


def _who(key: str, one: dict[str, Any]) -> Person | None:
    if key == "predictions":  # of which those without a version are imported as `undefined`
        return None if one.get("model_version") == "undefined" else as_person(one.get("model_version"))
    if (known := _person(one.get("completed_by"))) is not None:
        return known
    # A draft names its user by e-mail; the id behind it is what annotations have.
    name = one.get("created_username")
    found = _USER_ID.fullmatch(name) if isinstance(name, str) else None
    return Person(found[1]) if found else _person(one.get("user"))


def _person(value: Any) -> Person | None:
    """Whom an id names, or an object of a user, which has it beside the e-mail address."""
    if isinstance(value, dict):
        return as_person(value.get("id")) or as_person(value.get("email"))
    return as_person(value)


def _answer(results: Sequence[dict[str, Any]], shown: Sequence[str]) -> dict[str, Any]:
    """The columns of what was answered to one question."""
    if not results:
        return {}
    rests = [_without_people(_rest(result)) for result in results]
    extra = {"results": rests}
    if len(results) > 1:
        values = [result.get("value") for result in results]
        kinds = {_kind(result) for result in results}
        return {"kind": kinds.pop() if len(kinds) == 1 else None, "value_json": _json(values), "extra": extra}
    [result] = results
    kind, value = _kind(result), result.get("value")
    main = _main_key(result)
    if main is None or not isinstance(value, dict):
        return {"kind": kind, "value_json": _json(value) if "value" in result else None, "extra": extra}
    if len(value) > 1:
        rests[0]["value"] = {name: member for name, member in value.items() if name != main}
    return {"kind": kind, **_value(kind, value[main]), **_sides(kind, value[main], result, shown), "extra": extra}


def _rest(result: dict[str, Any]) -> dict[str, Any]:
    read = {"value", "from_name"} if isinstance(result.get("from_name"), str) else {"value"}
    return {name: member for name, member in result.items() if name not in read}


def _kind(result: dict[str, Any]) -> str | None:
    type_, value = result.get("type"), result.get("value")
    if isinstance(type_, str) and type_ in _TYPES:
        return _TYPES[type_][0]
    return "span" if isinstance(value, dict) and {"start", "end"} <= value.keys() else None


def _main_key(result: dict[str, Any]) -> str | None:
    """Where in its value the answer is; None where that is not known."""
    type_, value = result.get("type"), result.get("value")
    if not isinstance(type_, str) or type_ not in _TYPES or not isinstance(value, dict):
        return None
    return _TYPES[type_][1] if _TYPES[type_][1] in value else None


def _value(kind: str | None, answer: Any) -> dict[str, Any]:
    is_one = kind == "text" and isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], str)
    return answer_value(answer[0] if is_one else answer)


def _sides(kind: str | None, answer: Any, result: dict[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    """Which responses were judged, where they are known, and which of two is better."""
    outcome = _OUTCOMES.get(answer, "unparsed") if isinstance(answer, str) else "unparsed"
    sides = {"outcome": outcome} if kind == "pairwise" else {}
    at = [shown.index(name) for name in _to_names(result) if name in shown]
    if len(at) != len(_to_names(result)):
        return sides
    if len(at) == 1:
        return {**sides, "response_a_id": EventRef("generations", at[0])}
    return {**sides, **pair_sides(outcome if sides else "", *at)} if len(at) == 2 else sides


def _to_names(result: dict[str, Any]) -> list[str]:
    names = result.get("to_name")
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else []


def _not_judgements(value: Any) -> Any:
    """Ids of judgements that were not exported, and what else is no judgement."""
    return _without_people([one for one in as_list(value) if not isinstance(one, dict)])


def _without_people(value: Any) -> Any:
    if isinstance(value, canonical.RepeatedKeys):
        return canonical.RepeatedKeys((k, _without_people(v)) for k, v in value if not _PEOPLE.fullmatch(k))
    if isinstance(value, dict):
        return {k: _without_people(v) for k, v in value.items() if not _PEOPLE.fullmatch(k)}
    return [_without_people(one) for one in value] if isinstance(value, list) else value


def _json(value: Any) -> str:
    return canonical.dump_canonical(value).decode()


ADAPTERS = (
    Adapter(
        "label_studio",
        1,
        ("json",),
        _score,
        _events,
        reads="Label Studio's JSON export: a list of tasks with `data` and `annotations`. Not JSON_MIN and not CSV.",
        fields={
            **RESPONSE_FIELDS,
            "generations.sample_index": "place among the two that `to_name` of a pairwise result names",
            "generations.group_id": "`id` of the task, else the record's position",
            "generations.prompt_text": "`data.prompt`",
            "generations.completion_text": "what `to_name` of a pairwise result names in `data`",
            "generations.extra_json": "what belongs to the whole task, in its first event",
            "annotations.event_time": "`created_at`",
            "annotations.event_time_quality": "by the zone of `created_at`, which is UTC",
            "annotations.item_id": "`id` of the task, else the record's position",
            "annotations.annotator_id": "`completed_by` or its `id`; id or `user` of a draft; `model_version`",
            "annotations.annotator_kind": "`human` of annotations and drafts that say who, `model` of predictions",
            "annotations.question": "`result[].from_name`",
            "annotations.kind": "by `result[].type`; `span` where a value has `start` and `end`",
            "annotations.outcome": "`value.selected`: left is `a`, right is `b`",
            "annotations.value_num": "`value.rating`, or another single answer that is a number",
            "annotations.value_text": "`value.selected`; `value.choices`, `value.text` with one answer",
            "annotations.value_json": "`value.ranker`, `value.taxonomy`, several answers; `value` of other types",
            "annotations.response_a_id": "what `to_name` names, the first or the only one",
            "annotations.response_b_id": "the second that `to_name` names",
            "annotations.chosen_id": "the response that `value.selected` names",
            "annotations.rejected_id": "the other one",
            "annotations.status": "`was_cancelled`; `draft` of drafts",
            "annotations.is_gold": "`ground_truth`",
            "annotations.lead_time_s": "`lead_time`",
            "annotations.created_at": "`created_at`",
            "annotations.updated_at": "`updated_at`",
            "annotations.updated_by": "`updated_by` or its `id`",
            "annotations.parent_annotation_id": "`parent_annotation`",
            "annotations.source_annotation_id": "`id` of the annotation, prediction or draft",
            "annotations.extra_json": "other fields: of results, of the annotation (its first row), of the task",
        },
    ),
)
