"""Events of Argilla's records."""

import copy
import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import PEOPLE, derive, json_lines, source

ANN, BOB = "7d3c7a5e-0001-4000-8000-000000000001", "7d3c7a5e-0002-4000-8000-000000000002"
NESTED = {
    "id": "r1",
    "fields": {"instruction": "q", "response1": "good", "response2": "bad", "context": "c"},
    "metadata": {"source": "web"},
    "suggestions": {"quality": {"value": 4, "score": 0.75, "agent": "judge-7b"}},
    "responses": {
        "ranking": [
            {"value": ["response2", "response1"], "user_id": ANN},
            {"value": ["response1", "response2"], "user_id": BOB},
        ],
        "quality": [{"value": 5, "user_id": ANN}],
    },
    "vectors": {"v": [0.5, 0.25]},
    "status": "completed",
    "_server_id": "s1",
}
FLAT = {
    "id": "r1",
    "status": "pending",
    "_server_id": None,
    "prompt": "q",
    "response_left": "good",
    "response_right": "bad",
    "source": "web",
    "choice.responses": ["left", "right", "tie", "both are bad"],
    "choice.responses.users": [ANN, BOB, "None", ANN],
    "choice.responses.status": ["submitted", "draft", "discarded", None],
    "note.suggestion": "fine",
    "note.suggestion.score": None,
    "note.suggestion.agent": None,
    "only.others.have.suggestion": None,
}


def rows_of(item: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("argilla", "d/records.json", [item])


def annotations(item: Any) -> list[dict[str, Any]]:
    return rows_of(item)["annotations"]


def record(responses: Any = None, suggestions: Any = None, **fields: Any) -> dict[str, Any]:
    return {**NESTED, "fields": fields, "responses": responses or {}, "suggestions": suggestions or {}}


def answer(value: Any, **fields: Any) -> dict[str, Any]:
    [row] = annotations(record({"q": [{"value": value, "user_id": ANN}]}, **fields))
    return row


def test_a_response_to_a_question_is_a_row() -> None:
    rows = annotations(NESTED)

    found = [(row["item_id"], row["question"], row["kind"], row["annotator_kind"], row["status"]) for row in rows]
    assert found == [
        ("r1", "ranking", "pairwise", "human", "unknown"),
        ("r1", "ranking", "pairwise", "human", "unknown"),
        ("r1", "quality", "rating", "human", "unknown"),
        ("r1", "quality", "rating", "model", "unknown"),
    ]
    assert [row["value_num"] for row in rows] == [None, None, 5.0, 4.0]
    assert rows[3]["extra_json"] == '{"score":0.75}'


def test_a_ranking_of_two_responses_prefers_one() -> None:
    rows = rows_of(NESTED)

    first, second = rows["generations"]
    assert [(row["prompt_text"], row["completion_text"]) for row in rows["generations"]] == [
        ("q", "good"),
        ("q", "bad"),
    ]
    assert [(row["split"], row["group_id"], row["sample_index"]) for row in rows["generations"]] == [
        ("dataset", "r1", 0),
        ("dataset", "r1", 1),
    ]
    against, for_, quality, _ = rows["annotations"]
    ids = first["event_id"], second["event_id"]
    assert (against["response_a_id"], against["response_b_id"]) == (for_["response_a_id"], for_["response_b_id"]) == ids
    assert (against["outcome"], against["chosen_id"], against["rejected_id"]) == ("b", *reversed(ids))
    assert (for_["outcome"], for_["chosen_id"], for_["rejected_id"]) == ("a", *ids)
    assert for_["value_json"] == '["response1","response2"]'
    assert (quality["response_a_id"], quality["outcome"]) == (None, None)


def test_the_flat_form_keeps_the_status_of_each_response() -> None:
    rows = rows_of(FLAT)

    first, second = (row["event_id"] for row in rows["generations"])
    choices, [note] = rows["annotations"][:4], rows["annotations"][4:]
    assert [(row["question"], row["value_text"], row["status"]) for row in choices] == [
        ("choice", "left", "submitted"),
        ("choice", "right", "draft"),
        ("choice", "tie", "discarded"),
        ("choice", "both are bad", "unknown"),
    ]
    assert [(row["kind"], row["outcome"], row["chosen_id"], row["rejected_id"]) for row in choices] == [
        ("pairwise", "a", first, second),
        ("pairwise", "b", second, first),
        ("pairwise", "tie", None, None),
        ("text", None, None, None),
    ]
    assert (choices[2]["response_a_id"], choices[2]["response_b_id"]) == (first, second)
    assert (note["question"], note["value_text"], note["annotator_kind"]) == ("note", "fine", "unknown")


@pytest.mark.parametrize("item", [NESTED, FLAT])
def test_people_are_pseudonyms_and_nothing_else(item: dict[str, Any]) -> None:
    rows = rows_of(item)

    assert ANN not in str(rows)
    assert BOB not in str(rows)
    assert "judge-7b" not in str(rows)
    people = [row["annotator_id"] for row in rows["annotations"]]
    assert people[:2] == [PEOPLE.pseudonym(ANN), PEOPLE.pseudonym(BOB)]
    if item is NESTED:
        assert people[2:] == [PEOPLE.pseudonym(ANN), PEOPLE.pseudonym("judge-7b")]
    else:
        assert people[2:] == [None, PEOPLE.pseudonym(ANN), None]


@pytest.mark.parametrize(("item", "people"), [(NESTED, ["judge-7b", ANN, BOB, ANN]), (FLAT, [ANN, BOB, "None", ANN])])
def test_nothing_but_people_is_left_to_the_record(item: dict[str, Any], people: list[str]) -> None:
    assert lost(item, rows_of(item)) == people


@pytest.mark.parametrize(
    ("item", "whole"),
    [
        (
            NESTED,
            {
                "fields": {"context": "c"},
                "metadata": {"source": "web"},
                "vectors": {"v": [0.5, 0.25]},
                "status": "completed",
                "_server_id": "s1",
            },
        ),
        (FLAT, {"fields": {"source": "web"}, "status": "pending", "_server_id": None}),
    ],
)
def test_what_belongs_to_the_record_is_kept_once(item: dict[str, Any], whole: dict[str, Any]) -> None:
    rows = rows_of(item)

    kept = [row["extra_json"] for table in ("generations", "annotations") for row in rows[table]]
    assert json.loads(kept[0]) == {"record": whole}
    assert not any('"record"' in extra for extra in kept[1:] if extra)


def test_without_responses_to_show_the_first_answer_keeps_the_record() -> None:
    rows = rows_of(record({"q": [{"value": "x", "user_id": ANN}] * 2}, text="t", prompt="p"))

    assert rows.keys() == {"annotations"}
    first, second = rows["annotations"]
    assert json.loads(first["extra_json"])["record"]["fields"] == {"text": "t", "prompt": "p"}
    assert second["extra_json"] is None


@pytest.mark.parametrize(
    ("value", "kind", "column", "held"),
    [
        (3, "rating", "value_num", 3.0),
        (0.5, "rating", "value_num", 0.5),
        (True, "binary", "value_num", 1.0),
        ("label", "text", "value_text", "label"),
        (["a", "b"], None, "value_json", '["a","b"]'),
        ([{"label": "l", "start": 0, "end": 2}], "span", "value_json", '[{"end":2,"label":"l","start":0}]'),
        ([], None, "value_json", "[]"),
    ],
)
def test_an_answer_has_the_kind_of_its_type(value: Any, kind: str | None, column: str, held: Any) -> None:
    row = answer(value)

    assert (row["kind"], row[column]) == (kind, held)
    assert sum(row[name] is not None for name in ("value_num", "value_text", "value_json")) == 1


def test_a_draft_without_an_answer_is_a_row() -> None:
    row = answer(None)

    assert (row["kind"], row["value_json"], row["annotator_id"]) == (None, None, PEOPLE.pseudonym(ANN))


def test_an_answer_about_the_only_response_refers_to_it() -> None:
    rows = rows_of(record({"q": [{"value": 3, "user_id": ANN}]}, instruction="q", response="r"))

    assert rows["annotations"][0]["response_a_id"] == rows["generations"][0]["event_id"]
    assert rows["annotations"][0]["response_b_id"] is None


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("left", {"response_left": "a"}),
        ("left", {"left": "a", "right": "b"}),
        ("1", {"response1": "a", "response2": "b"}),
        ("response_time", {"response_time": "a", "response_model": "b"}),
        ("response1", {"response1": "a", "response2": "b", "response3": "c"}),
        (["response1"], {"response1": "a", "response2": "b"}),
        ("tie", {"text": "a"}),
    ],
)
def test_no_side_is_guessed(value: Any, fields: dict[str, Any]) -> None:
    row = answer(value, **fields)

    assert (row["outcome"], row["chosen_id"], row["response_b_id"]) == (None, None, None)
    assert row["kind"] != "pairwise"


def test_a_chat_field_is_a_conversation() -> None:
    chat = [{"role": "user", "content": "hi"}]
    rows = rows_of(record({"q": [{"value": 1, "user_id": ANN}]}, prompt=chat, response=[chat[0] | {"role": "bot"}]))

    [row] = rows["generations"]
    assert [message["content"] for message in row["prompt_messages"]] == ["hi"]
    assert [message["role"] for message in row["completion_messages"]] == ["bot"]
    assert row["role_boundaries"] == "structured"


def test_many_responses_do_not_repeat_the_prompt() -> None:
    fields = {f"response{n}": "r" for n in range(17)}
    rows = rows_of(record({}, prompt="p" * 100, **fields))

    assert {row["prompt_text"] for row in rows["generations"]} == {None}
    assert json.loads(rows["generations"][0]["extra_json"])["record"]["fields"] == {"prompt": "p" * 100}


@pytest.mark.parametrize(
    ("suggestion", "kind", "extra"),
    [
        ({"value": 1, "score": None, "agent": "m"}, "model", {}),
        ({"value": 1, "score": [0.5], "agent": None}, "unknown", {"score": [0.5]}),
        ({"value": 1, "agent": "a person", "type": "human"}, "human", {}),
        ({"value": 1, "type": "other", "seen": True}, "unknown", {"type": "other", "seen": True}),
    ],
)
def test_a_suggestion_is_a_models_where_it_says_so(suggestion: Any, kind: str, extra: dict[str, Any]) -> None:
    [row] = annotations(record({}, {"q": suggestion}))

    assert (row["annotator_kind"], row["status"], row["value_num"]) == (kind, "unknown", 1.0)
    kept = json.loads(row["extra_json"])
    del kept["record"]
    assert kept == extra


def test_fields_that_no_version_writes_are_kept() -> None:
    response = {"value": "x", "user_id": ANN, "status": "odd", "why": "because"}
    [row] = annotations(record({"q": [response]}))

    kept = json.loads(row["extra_json"])
    assert (row["status"], kept["status"], kept["why"]) == ("unknown", "odd", "because")


@pytest.mark.parametrize("lists", [(["x"], [ANN, BOB]), (["x", "y"], [ANN]), ("x", BOB)])
def test_parallel_lists_of_unequal_length_lose_nothing(lists: tuple[Any, Any]) -> None:
    values, users = lists
    rows = annotations({"id": 1, "_server_id": None, "q.responses": values, "q.responses.users": users})

    expected = [*values], [PEOPLE.pseudonym(user) for user in ([users] if isinstance(users, str) else users)]
    assert tuple([row[k] for row in rows if row[k]] for k in ("value_text", "annotator_id")) == expected


def test_an_id_is_the_records_or_its_position() -> None:
    long = "i" * 2000
    ids = [annotations({**FLAT, "id": id_})[0]["item_id"] for id_ in ("x", 7, None, long, True)]

    assert ids == ["x", "7", "0", "0", "0"]
    assert json.loads(rows_of({**FLAT, "id": long})["generations"][0]["extra_json"])["record"]["id"] == long


def test_a_record_that_nobody_judged_says_so() -> None:
    rows = rows_of(record(text="t"))

    assert rows.keys() == {"log_findings"}
    assert [row["found"] for row in rows["log_findings"]] == ["a record without responses and suggestions"]


@pytest.mark.parametrize(
    "item",
    [
        [],
        "x",
        {"fields": {}},
        {**NESTED, "fields": []},
        {**NESTED, "responses": [{"values": {"q": {"value": 1}}, "user_id": ANN}]},
        {**NESTED, "suggestions": "x"},
        record({"q" * 1001: [{"value": 1, "user_id": ANN}]}),
        {"id": 1, "q.responses": ["x"]},
    ],
)
def test_what_is_no_record_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = rows_of(item)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that argilla 1 knows"]
    assert rows == {}


def test_an_object_with_a_repeated_key_does_not_show_its_people() -> None:
    text = json.dumps(record({"q": ["@"], "r": "@", "t": [{"value": 1, "user_id": ANN}]}, {"s": "@@"}))
    twice = f'{{"value": "a", "value": "b", "user_id": "{ANN}", "agent": "judge-7b"}}'
    raw = text.replace('"@@"', twice).replace('"@"', twice)

    rows = derive_rows("argilla", source("records.json"), [(0, raw.encode(), "ok")], PEOPLE)["annotations"].to_pylist()

    assert [row["question"] for row in rows] == ["q", "r", "t", "s"]
    assert [rows[at]["value_json"] for at in (0, 1, 3)] == ['{"$pairs":[["value","a"],["value","b"]]}'] * 3
    assert ANN not in str(rows)
    assert "judge-7b" not in str(rows)


ODD = [None, True, 1, 10**400, float("nan"), "", "x", "\ud800", [], [[]], [1], {}, {"a": {}}, [{"role": 1}]]


@pytest.mark.parametrize("item", [NESTED, FLAT])
def test_no_value_anywhere_breaks_it(item: dict[str, Any]) -> None:
    items = [changed(item, path, odd) for path in paths(item) for odd in ODD]

    rows = derive("argilla", "records.json", items)

    assert {row["position"] for table in rows.values() for row in table} == {*range(len(items))}


def paths(value: Any) -> list[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, member in members for path in [(key,), *((key, *rest) for rest in paths(member))]]


def changed(item: Any, path: tuple[Any, ...], odd: Any) -> Any:
    parent = copy.deepcopy(item)
    whole = parent
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = odd
    return whole


def found(path: str, content: bytes) -> str:
    return detect(path, content, len(content)).format


def test_both_forms_are_found_as_json_and_as_lines() -> None:
    for item in (NESTED, FLAT):
        items = [{**item, "id": str(n)} for n in range(3)]
        assert found("records.json", json.dumps(items).encode()) == "argilla"
        assert found("export.jsonl", json_lines(items)) == "argilla"


@pytest.mark.parametrize(
    "item",
    [
        {"id": 1, "fields": {"text": "t"}, "metadata": {}},
        {"id": 1, "prompt": "p", "responses": ["a", "b"], "status": "pending"},
        {"id": 1, "q.responses": ["a"], "q.responses.users": ["u"]},
        {"id": "1", "data": {"prompt": "p"}, "annotations": [], "predictions": []},
        {"prompt": "p", "chosen": "a", "rejected": "b", "metadata": {}},
        {key: value for key, value in NESTED.items() if key != "vectors"},
    ],
)
def test_others_are_not_claimed(item: dict[str, Any]) -> None:
    assert found("records.jsonl", json_lines([item] * 3)) != "argilla"
    assert ADAPTERS["argilla"].score("records.json", [item]) == 0


def test_every_column_given_is_declared_and_no_other() -> None:
    chat = [{"role": "user", "content": "hi"}]
    items = [
        NESTED,
        FLAT,
        record({"q": [{"value": 1, "user_id": ANN}]}, prompt=chat, response=chat),
        record({"q": [{"value": "x", "user_id": ANN, "why": 1}]}),
        record(),
    ]
    assert columns_given(derive("argilla", "records.json", items)) == set(ADAPTERS["argilla"].fields)
