"""Events of Label Studio's JSON export."""

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import MTIME, PEOPLE, derive, json_lines, source

MADE, CHANGED = "2026-02-01T10:00:00.123456Z", "2026-02-01T11:00:00+02:00"
ANN = {"id": 7, "email": "ann@example.org", "first_name": "Annabel", "last_name": "Leigh"}


def result(type_: str, value: Any, name: str = "q", to: str = "txt") -> dict[str, Any]:
    return {"id": "r-1", "type": type_, "value": value, "from_name": name, "to_name": to, "origin": "manual"}


PAIRWISE = result("pairwise", {"selected": "right"}, "better", "answer1,answer2")
ANNOTATION = {
    "id": 31,
    "completed_by": ANN,
    "result": [PAIRWISE, result("rating", {"rating": 4}, "quality", "answer1"), result("choices", {"choices": ["ok"]})],
    "was_cancelled": False,
    "ground_truth": True,
    "created_at": MADE,
    "updated_at": CHANGED,
    "lead_time": 12.5,
    "unique_id": "u-1",
    "task": 5,
    "updated_by": 8,
    "last_created_by": 8,
    "created_username": "Annabel Leigh ann@example.org, 7",
    "parent_annotation": 30,
    "parent_prediction": None,
    "reviews": [{"accepted": True, "created_by": {"id": 9, "email": "rev@example.org"}}],
}
PREDICTION = {
    "id": 41,
    "result": [PAIRWISE],
    "model_version": "judge-7b",
    "score": 0.5,
    "created_at": MADE,
    "created_ago": "1 day",
    "task": 5,
}
DRAFT = {
    "id": 51,
    "result": [result("textarea", {"text": ["why"]})],
    "user": "ann@example.org",
    "created_username": "Annabel Leigh ann@example.org, 7",
    "created_at": MADE,
    "lead_time": 1,
    "annotation": 31,
}
TASK = {
    "id": 5,
    "data": {"prompt": "q", "answer1": "good", "answer2": "bad", "user": "kept"},
    "meta": {"by": "kept too"},
    "annotations": [ANNOTATION],
    "predictions": [PREDICTION],
    "drafts": [DRAFT],
    "created_at": MADE,
    "project": 3,
    "updated_by": [{"user_id": 8}],
    "comment_authors": [9],
}


def rows_of(item: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("label_studio", "export.json", [item])


def task(*annotations: Any, data: dict[str, Any] | None = None, **others: Any) -> dict[str, Any]:
    return {"id": 5, "data": data or {"text": "t"}, "annotations": [*annotations], **others}


def answered(*results: Any, data: dict[str, Any] | None = None, **others: Any) -> list[dict[str, Any]]:
    return rows_of(task({"id": 1, "result": [*results], **others}, data=data))["annotations"]


def test_each_answer_of_an_annotation_is_a_row() -> None:
    rows = rows_of(TASK)["annotations"]

    found = [(row["source_annotation_id"], row["question"], row["kind"], row["status"]) for row in rows]
    assert found == [
        ("31", "better", "pairwise", "submitted"),
        ("31", "quality", "rating", "submitted"),
        ("31", "q", "text", "submitted"),
        ("41", "better", "pairwise", "unknown"),
        ("51", "q", "text", "draft"),
    ]
    assert [(row["item_id"], row["annotator_kind"]) for row in rows[2:]] == [
        ("5", "human"),
        ("5", "model"),
        ("5", "human"),
    ]
    assert [(row["value_num"], row["value_text"]) for row in rows] == [
        (None, "right"),
        (4.0, None),
        (None, "ok"),
        (None, "right"),
        (None, "why"),
    ]


def test_all_rows_of_an_annotation_say_when_and_how_it_was_made() -> None:
    for row in rows_of(TASK)["annotations"][:3]:
        made = datetime(2026, 2, 1, 10, 0, 0, 123456, UTC)
        assert (row["created_at"], row["event_time"], row["event_time_quality"]) == (made, made, "utc")
        assert row["updated_at"] == datetime(2026, 2, 1, 9, tzinfo=UTC)
        assert (row["is_gold"], row["lead_time_s"], row["parent_annotation_id"]) == (True, 12.5, "30")


@pytest.mark.parametrize("when", [None, "yesterday", 1_700_000_000])
def test_what_is_no_time_is_kept_and_the_file_tells_the_time(when: Any) -> None:
    [row] = answered(PAIRWISE, created_at=when)

    assert (row["created_at"], row["event_time"], row["event_time_quality"]) == (None, MTIME, "file_mtime")
    assert json.loads(row["extra_json"])["annotation"] == {"created_at": when}


def test_a_pairwise_answer_prefers_the_response_on_its_side() -> None:
    rows = rows_of(TASK)

    first, second = rows["generations"]
    assert [(row["prompt_text"], row["completion_text"], row["group_id"]) for row in (first, second)] == [
        ("q", "good", "5"),
        ("q", "bad", "5"),
    ]
    assert [(row["split"], row["sample_index"]) for row in (first, second)] == [("dataset", 0), ("dataset", 1)]
    by_ann, quality, about_text, by_model, _ = rows["annotations"]
    for row in (by_ann, by_model):
        assert (row["outcome"], row["response_a_id"], row["response_b_id"]) == (
            "b",
            first["event_id"],
            second["event_id"],
        )
        assert (row["chosen_id"], row["rejected_id"]) == (second["event_id"], first["event_id"])
    assert (quality["response_a_id"], quality["response_b_id"]) == (first["event_id"], None)
    assert (about_text["response_a_id"], about_text["outcome"]) == (None, None)


def test_the_order_of_a_pair_is_that_of_its_names() -> None:
    data = {"answer1": "one", "answer2": "two"}
    left = result("pairwise", {"selected": "left"}, "turned", "answer2, answer1")

    rows = rows_of(task({"result": [PAIRWISE, left]}, data=data))

    one, two = (row["event_id"] for row in rows["generations"])
    turned = rows["annotations"][1]
    assert (turned["outcome"], turned["response_a_id"], turned["response_b_id"]) == ("a", two, one)
    assert (turned["chosen_id"], turned["rejected_id"]) == (two, one)


def test_an_answer_about_more_than_the_known_responses_refers_to_none() -> None:
    about = result("rating", {"rating": 1}, "q", "answer1,image")

    [_, row] = answered(PAIRWISE, about, data={"answer1": "good", "answer2": "bad"})

    assert (row["response_a_id"], row["response_b_id"]) == (None, None)


def test_conversations_stay_conversations() -> None:
    chat = [{"role": "user", "content": "hi"}]
    rows = rows_of(task({"result": [PAIRWISE]}, data={"prompt": chat, "answer1": chat, "answer2": chat}))

    first = rows["generations"][0]
    assert first["prompt_messages"][0]["content"] == first["completion_messages"][0]["content"] == "hi"
    assert first["role_boundaries"] == "structured"


@pytest.mark.parametrize(
    ("to", "data"),
    [
        ("answer1,answer2", {"answer1": "good"}),
        ("answer1,answer2", {"answer1": "good", "answer2": 1}),
        ("answer1,answer1", {"answer1": "good"}),
        ("answer1,answer2,answer3", {"answer1": "a", "answer2": "b", "answer3": "c"}),
        ("txt-1,txt-2", {"answer1": "a", "answer2": "b"}),
        (None, {"answer1": "a", "answer2": "b"}),
    ],
)
def test_a_pair_that_the_data_do_not_name_has_an_outcome_alone(to: Any, data: dict[str, Any]) -> None:
    rows = rows_of(task({"result": [{**PAIRWISE, "to_name": to}]}, data=data))

    assert "generations" not in rows
    [row] = rows["annotations"]
    assert (row["outcome"], row["chosen_id"], row["response_a_id"]) == ("b", None, None)
    assert json.loads(row["extra_json"])["task"]["data"] == data


@pytest.mark.parametrize(
    ("selected", "column", "held"),
    [
        ("none", "value_text", "none"),
        (1, "value_num", 1.0),
        (None, "value_json", "null"),
        (["left"], "value_json", '["left"]'),
    ],
)
def test_another_side_is_unparsed(selected: Any, column: str, held: Any) -> None:
    data = {"answer1": "good", "answer2": "bad"}
    [row] = answered({**PAIRWISE, "value": {"selected": selected}}, data=data)

    assert (row["outcome"], row["chosen_id"], row["rejected_id"]) == ("unparsed", None, None)
    assert row["response_a_id"] is not None
    assert row[column] == held


@pytest.mark.parametrize(
    ("type_", "value", "kind", "column", "held"),
    [
        ("rating", {"rating": 3}, "rating", "value_num", 3.0),
        ("choices", {"choices": ["a", "b"]}, "text", "value_json", '["a","b"]'),
        ("textarea", {"text": "one"}, "text", "value_text", "one"),
        ("taxonomy", {"taxonomy": [["a", "b"]]}, "text", "value_json", '[["a","b"]]'),
        ("ranker", {"ranker": ["b", "a"]}, "ranking", "value_json", '["b","a"]'),
        ("ranker", {"ranker": {"_": ["a"], "good": []}}, "ranking", "value_json", '{"_":["a"],"good":[]}'),
        ("labels", {"start": 0, "end": 2, "labels": ["x"]}, "span", "value_json", '{"end":2,"labels":["x"],"start":0}'),
        ("number", {"number": 3}, None, "value_json", '{"number":3}'),
        ("not yet invented", {"new": [1]}, None, "value_json", '{"new":[1]}'),
        ("rating", {"stars": 3}, "rating", "value_json", '{"stars":3}'),
        ("rating", 3, "rating", "value_json", "3"),
        (["rating"], {"rating": 3}, None, "value_json", '{"rating":3}'),
    ],
)
def test_a_result_has_the_kind_of_its_type(type_: Any, value: Any, kind: str | None, column: str, held: Any) -> None:
    [row] = answered(result(type_, value))

    assert (row["kind"], row[column]) == (kind, held)
    assert sum(row[name] is not None for name in ("value_num", "value_text", "value_json")) == 1
    assert json.loads(row["extra_json"])["results"] == [
        {"id": "r-1", "type": type_, "to_name": "txt", "origin": "manual"}
    ]


def test_an_answer_about_a_region_keeps_the_region() -> None:
    [row] = answered(result("choices", {"start": 1, "end": 2, "text": "s", "choices": ["a"]}))

    assert (row["kind"], row["value_text"]) == ("text", "a")
    assert json.loads(row["extra_json"])["results"][0]["value"] == {"start": 1, "end": 2, "text": "s"}


def test_several_results_to_one_question_are_one_row() -> None:
    values = [{"start": 0, "end": 1, "labels": ["x"]}, {"start": 2, "end": 3, "labels": ["y"]}]

    [row] = answered(*(result("labels", value) for value in values))

    assert (row["kind"], json.loads(row["value_json"])) == ("span", values)
    assert len(json.loads(row["extra_json"])["results"]) == 2


def test_a_relation_and_what_is_no_result_are_kept() -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}

    [row] = answered(relation, "odd")

    assert (row["question"], row["kind"], row["value_json"]) == (None, None, None)
    extra = json.loads(row["extra_json"])
    assert (extra["results"], extra["annotation"]) == ([relation], {"result": ["odd"]})


def test_an_annotation_without_answers_is_a_row() -> None:
    """As a task that was skipped, which is a decision too."""
    [row] = answered(was_cancelled=True, completed_by=7)

    assert (row["status"], row["question"], row["kind"], row["annotator_id"]) == (
        "cancelled",
        None,
        None,
        PEOPLE.pseudonym("7"),
    )


@pytest.mark.parametrize(("flag", "kept"), [(None, {"was_cancelled": None}), ("no", {"was_cancelled": "no"})])
def test_a_flag_that_does_not_say_leaves_the_status_unknown(flag: Any, kept: dict[str, Any]) -> None:
    [row] = answered(PAIRWISE, was_cancelled=flag)

    assert row["status"] == "unknown"
    assert json.loads(row["extra_json"])["annotation"] == kept


def test_people_are_pseudonyms_and_nothing_else() -> None:
    rows = rows_of(TASK)

    assert not any(name in str(rows) for name in ("ann@", "rev@", "Annabel", "Leigh", "judge-7b"))
    ann, model = PEOPLE.pseudonym("7"), PEOPLE.pseudonym("judge-7b")
    assert [row["annotator_id"] for row in rows["annotations"]] == [ann, ann, ann, model, ann]
    assert {row["updated_by"] for row in rows["annotations"][:3]} == {PEOPLE.pseudonym("8")}
    extra = json.loads(rows["annotations"][0]["extra_json"])["annotation"]
    assert extra == {"unique_id": "u-1", "task": 5, "parent_prediction": None, "reviews": [{"accepted": True}]}


def test_nothing_but_people_is_left_to_the_record() -> None:
    """Sides and times are there in the words of the tables."""
    assert {*map(str, lost(TASK, rows_of(TASK)))} == {
        *("ann@example.org", "Annabel", "Leigh", "Annabel Leigh ann@example.org, 7", "rev@example.org", "judge-7b"),
        CHANGED,
    }


@pytest.mark.parametrize(
    ("who", "raw"),
    [
        ({"completed_by": 7}, "7"),
        ({"completed_by": ANN}, "7"),
        ({"completed_by": {"email": "ann@example.org"}}, "ann@example.org"),
        ({"completed_by": None}, None),
        ({"completed_by": [1]}, None),
        ({"user": "ann@example.org"}, "ann@example.org"),
        ({"user": "ann@example.org", "created_username": " ann@example.org, 7"}, "7"),
        ({}, None),
    ],
)
def test_one_person_has_one_pseudonym_however_named(who: dict[str, Any], raw: str | None) -> None:
    [row] = answered(PAIRWISE, **who)

    assert row["annotator_id"] == (None if raw is None else PEOPLE.pseudonym(raw))
    assert row["annotator_kind"] == ("unknown" if raw is None else "human")
    assert "ann@" not in str(row)


@pytest.mark.parametrize("version", ["undefined", "", None])
def test_a_prediction_without_a_version_is_a_models_all_the_same(version: Any) -> None:
    [row] = rows_of(task(predictions=[{**PREDICTION, "model_version": version}]))["annotations"]

    assert (row["annotator_id"], row["annotator_kind"]) == (None, "model")
    assert json.loads(row["extra_json"])["annotation"] == {"score": 0.5, "created_ago": "1 day", "task": 5}


def test_what_belongs_to_the_task_is_kept_once() -> None:
    rows = rows_of(TASK)

    kept = [row["extra_json"] for table in ("generations", "annotations") for row in rows[table]]
    assert json.loads(kept[0]) == {
        "task": {"created_at": MADE, "project": 3, "data": {"user": "kept"}, "meta": {"by": "kept too"}}
    }
    assert not any('"task":{' in extra for extra in kept[1:] if extra)
    assert sum('"annotation":{' in extra for extra in kept if extra) == 3


def test_ids_in_place_of_predictions_and_drafts_are_kept() -> None:
    rows = rows_of(task({"id": 1, "result": []}, predictions=[41, 42], drafts=[51]))

    assert len(rows["annotations"]) == 1
    whole = json.loads(rows["annotations"][0]["extra_json"])["task"]
    assert (whole["predictions"], whole["drafts"]) == ([41, 42], [51])


def test_an_id_is_the_tasks_or_its_position() -> None:
    ids = [rows_of({**TASK, "id": id_})["annotations"][0]["item_id"] for id_ in ("x", 7, None, "i" * 2000, True)]

    assert ids == ["x", "7", "0", "0", "0"]
    long = json.loads(rows_of({**TASK, "id": "i" * 2000})["generations"][0]["extra_json"])
    assert long["task"]["id"] == "i" * 2000


def test_many_responses_do_not_repeat_the_prompt() -> None:
    data = {"prompt": "p", **{f"a{n}": "x" for n in range(18)}}
    results = [result("pairwise", {"selected": "left"}, str(n), f"a{n},a{n + 1}") for n in range(17)]

    rows = rows_of(task({"result": results}, data=data))["generations"]

    assert len(rows) == 18
    assert {row["prompt_text"] for row in rows} == {None}
    assert json.loads(rows[0]["extra_json"])["task"]["data"] == {"prompt": "p"}


def test_a_task_that_nobody_judged_says_so() -> None:
    rows = rows_of(task(predictions=[]))

    assert rows.keys() == {"log_findings"}
    assert [row["found"] for row in rows["log_findings"]] == ["a task without annotations and predictions"]


@pytest.mark.parametrize(
    "item",
    [
        *([], "x", {"data": {}}, {"id": 1, "annotations": []}, {**TASK, "data": []}),
        *({**TASK, "annotations": {}}, {**TASK, "annotations": [{"id": 1}]}, {**TASK, "predictions": [[]]}),
    ],
)
def test_what_is_no_task_gives_a_finding_and_nothing_else(item: Any) -> None:
    rows = rows_of(item)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that label_studio 1 knows"]
    assert rows == {}


def test_an_object_with_a_repeated_key_does_not_show_its_people() -> None:
    twice = '{"a": 1, "a": 2, "created_by": "Annabel", "user": 7}'
    texts = [json.dumps({**TASK, "drafts": ["@"]}), json.dumps(task({"result": ["@"], "reviews": "@", "id": 1}))]
    records = [(at, text.replace('"@"', twice).encode(), "ok") for at, text in enumerate(texts)]

    tables = derive_rows("label_studio", source("export.json"), records, PEOPLE)

    rows = {table: found.to_pylist() for table, found in tables.items()}
    assert "Annabel" not in str(rows)
    assert '"$pairs":[["a",1],["a",2]]' in rows["generations"][0]["extra_json"]
    assert rows["annotations"][-1]["extra_json"].count('"$pairs":[["a",1],["a",2]]') == 2


ODD = [None, True, 1, 10**400, float("nan"), "", "x", "\ud800", [], [[]], [1], {}, {"a": {}}, [{"role": 1}]]


def test_no_value_anywhere_breaks_it() -> None:
    items = [changed(TASK, path, odd) for path in paths(TASK) for odd in ODD]

    rows = derive("label_studio", "export.json", items)

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


def test_an_export_is_found() -> None:
    bare = {"id": 1, "data": {"text": "t"}, "annotations": [{"id": 1, "result": []}]}
    for items in ([TASK], [bare] * 3, [task(), TASK], [{"data": {}, "predictions": [{"result": []}]}]):
        assert found("export.json", json.dumps(items).encode()) == "label_studio"
        assert found("export.json", json.dumps(items, indent=1).encode()) == "label_studio"


def test_the_name_of_an_export_is_a_hint_and_no_proof() -> None:
    score = ADAPTERS["label_studio"].score
    name = "project-3-at-2026-02-01-10-00-1a2b3c4d.json"

    assert score(name, [TASK]) == pytest.approx(score("export.json", [TASK]) + 0.1)
    assert found(name, b'[{"a": 1}]') == "generic_json"


@pytest.mark.parametrize(
    "item",
    [
        {"id": 1, "text": "t", "q": "a", "annotator": 1, "annotation_id": 3, "created_at": MADE, "lead_time": 1.5},
        {"id": 1, "fields": {"text": "t"}, "responses": {}, "suggestions": {}, "annotations": []},
        {"step": 1, "data": {"actor/loss": 0.5}},
        {"instruction": "i", "completions": [{"annotations": {"helpfulness": {"Rating": "3"}}}]},
        {"data": {"columns": []}, "annotations": [{"bbox": [1], "category_id": 2, "image_id": 3}]},
        {"data": [[1]], "annotations": []},
    ],
)
def test_others_are_not_claimed(item: dict[str, Any]) -> None:
    assert found("export.json", json.dumps([item] * 3).encode()) != "label_studio"
    assert found("export.jsonl", json_lines([item] * 3)) != "label_studio"
    assert ADAPTERS["label_studio"].score("export.json", [item]) == 0


def test_every_column_given_is_declared_and_no_other() -> None:
    chat = [{"role": "user", "content": "hi"}]
    items = [TASK, task(), task({"result": [PAIRWISE]}, data={"prompt": chat, "answer1": chat, "answer2": chat})]
    items.append(task({"result": [result("number", {"number": 1})]}))

    given = columns_given(derive("label_studio", "export.json", items))

    assert given == set(ADAPTERS["label_studio"].fields)
