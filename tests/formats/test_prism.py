"""Events of PRISM's survey, conversations, utterances and metadata."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.answers import MOST_PROMPT
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.support import MTIME, PEOPLE, derive, json_lines

USER = "user844"
WHEN = datetime(2023, 11, 22, 14, 5, 6, tzinfo=UTC)
SURVEY: dict[str, Any] = {
    "user_id": USER,
    "consent": "Yes, I consent to take part",
    "lm_familiarity": "Somewhat familiar",
    "self_description": "I grow orchids on a lighthouse",
    "system_string": "Be patient with my orchids",
    "age": "65+ years old",
    "location": {"birth_country": "Iceland"},
    "stated_prefs": {"values": 80, "safety": 0, "other": None, "other_text": "likes orchids"},
    "generated_datetime": "2023-11-22 14:05:06",
    "timing_duration_s": 610.0,
}


def user(turn: int, content: str) -> dict[str, Any]:
    return {"turn": turn, "role": "user", "content": content}


def model(turn: int, index: int, content: str, score: Any, if_chosen: Any) -> dict[str, Any]:
    named = {"model_provider": "hf", "model_name": f"m{index}", "within_turn_id": index}
    return {"turn": turn, "role": "model", "content": content, **named, "score": score, "if_chosen": if_chosen}


CONVERSATION: dict[str, Any] = {
    "conversation_id": "c0",
    "user_id": USER,
    "included_in_balanced_subset": True,
    "generated_datetime": "2023-11-22 14:05:06",
    "timing_duration_s": 610.5,
    "timing_duration_mins": 10.18,
    "conversation_type": "unguided",
    "opening_prompt": "hi",
    "conversation_turns": 2,
    "conversation_history": [
        user(0, "hi"),
        model(0, 0, "yo", 60, False),
        model(0, 1, "hello", 90, True),
        model(0, 2, "no", 1, False),
        user(1, "go on"),
        model(1, 0, "so", 40, True),
        model(1, 1, "well", 30, False),
    ],
    "performance_attributes": {"fluency": 70, "safety": None},
    "choice_attributes": {"fluency": 20, "label": "orchids"},
    "open_feedback": "it knew my orchids",
}
UTTERANCE: dict[str, Any] = {
    "utterance_id": "ut5",
    "interaction_id": "int2",
    "conversation_id": "c0",
    "user_id": USER,
    "turn": 0,
    "within_turn_id": 1,
    "included_in_balanced_subset": True,
    "conversation_type": "unguided",
    "user_prompt": "hi",
    "model_response": "hello",
    "model_name": "m1",
    "model_provider": "hf",
    "score": 90,
    "if_chosen": True,
}
METADATA: dict[str, Any] = {
    "column_id": "model_response",
    "user_id": USER,
    "conversation_id": "c0",
    "interaction_id": "int2",
    "utterance_id": "ut5",
    "pii_flag": True,
    "pii_manual_flag": False,
    "language_flag": "en",
    "en_flag": True,
    "moderation_flag": {"flagged": False, "categories": {"hate": False}, "category_scores": {"hate": 0.01}},
}
FILES = {
    "prism_survey": SURVEY,
    "prism_conversations": CONVERSATION,
    "prism_utterances": UTTERANCE,
    "prism_metadata": METADATA,
}


def rows_of(format: str, value: Any) -> dict[str, list[dict[str, Any]]]:
    return derive(format, f"prism/{format}.jsonl", [value])


def said(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["role"], one["content"]) for one in messages]


def history(*said: dict[str, Any]) -> dict[str, Any]:
    return {"conversation_id": "c1", "user_id": USER, "conversation_history": list(said)}


def test_sliders_of_the_survey_are_ratings_of_one_person() -> None:
    rows = rows_of("prism_survey", SURVEY)

    assert rows.keys() == {"annotations"}
    found = [(r["question"], r["kind"], r["value_num"], r["value_json"]) for r in rows["annotations"]]
    assert found == [
        ("stated_prefs.values", "rating", 80.0, None),
        ("stated_prefs.safety", "rating", 0.0, None),
        ("stated_prefs.other", "rating", None, "null"),
    ]
    for row in rows["annotations"]:
        assert (row["annotator_id"], row["annotator_kind"]) == (PEOPLE.pseudonym(USER), "human")
        assert (row["event_time"], row["created_at"], row["event_time_quality"]) == (WHEN, WHEN, "naive_assumed")
        assert (row["item_id"], row["status"]) == ("0", "submitted")


def test_what_would_tell_who_a_person_is_stays_in_the_record() -> None:
    for format, value in FILES.items():
        rows = rows_of(format, {**value, "birth_town": "orchids"})

        shown = json.dumps(rows, default=str)
        for secret in (USER, "orchids", "Iceland", "65+", "familiar", "consent"):
            assert secret not in shown, (format, secret)


def test_a_response_of_a_conversation_is_a_generation() -> None:
    generations = rows_of("prism_conversations", CONVERSATION)["generations"]

    opening = [("user", "hi")]
    later = [("user", "hi"), ("model", "hello"), ("user", "go on")]
    found = [
        (said(g["prompt_messages"]), said(g["completion_messages"]), g["group_id"], g["sample_index"])
        for g in generations
    ]
    assert found == [
        (opening, [("model", "yo")], "c0/0", 0),
        (opening, [("model", "hello")], "c0/0", 1),
        (opening, [("model", "no")], "c0/0", 2),
        (later, [("model", "so")], "c0/1", 0),
        (later, [("model", "well")], "c0/1", 1),
    ]
    last = generations[-1]
    assert (last["model_name"], last["split"], last["role_boundaries"]) == ("m1", "dataset", "structured")
    assert (last["event_time"], last["event_time_quality"]) == (WHEN, "naive_assumed")
    assert json.loads(last["extra_json"]) == {
        "turn": 1,
        "within_turn_id": 1,
        "model_provider": "hf",
        "conversation_type": "unguided",
        "conversation_turns": 2,
        "timing_duration_s": 610.5,
        "timing_duration_mins": 10.18,
        "included_in_balanced_subset": True,
    }


def test_scores_choices_and_attributes_are_annotations() -> None:
    rows = rows_of("prism_conversations", CONVERSATION)
    ids = {g["event_id"]: n for n, g in enumerate(rows["generations"])} | {None: None}

    found = [
        (
            r["question"],
            r["kind"],
            r["value_num"],
            r["item_id"],
            *(ids[r[f"{name}_id"]] for name in ("response_a", "response_b", "chosen", "rejected")),
        )
        for r in rows["annotations"]
    ]
    nothing = (None, None, None, None)
    assert found == [
        ("score", "rating", 60.0, "c0/0", 0, None, None, None),
        ("score", "rating", 90.0, "c0/0", 1, None, None, None),
        ("score", "rating", 1.0, "c0/0", 2, None, None, None),
        ("if_chosen", "ranking", None, "c0/0", None, None, 1, None),
        ("score", "rating", 40.0, "c0/1", 3, None, None, None),
        ("score", "rating", 30.0, "c0/1", 4, None, None, None),
        ("if_chosen", "pairwise", None, "c0/1", 3, 4, 3, 4),
        ("performance_attributes.fluency", "rating", 70.0, "c0", *nothing),
        ("performance_attributes.safety", "rating", None, "c0", *nothing),
        ("choice_attributes.fluency", "rating", 20.0, "c0", *nothing),
    ]
    assert {r["annotator_id"] for r in rows["annotations"]} == {PEOPLE.pseudonym(USER)}
    assert {r["outcome"] for r in rows["annotations"]} == {None}
    chosen = [r["extra_json"] for r in rows["annotations"] if r["question"] == "score"]
    assert chosen == [f'{{"if_chosen":{value}}}' for value in ("false", "true", "false", "true", "false")]


@pytest.mark.parametrize("others", [1, 2])
def test_a_choice_between_equal_scores_is_a_tie(others: int) -> None:
    """`if_chosen` is then drawn by lot."""
    responses = [model(0, 0, "a", 50, True), *(model(0, at + 1, "b", 50, False) for at in range(others))]

    choice = rows_of("prism_conversations", history(user(0, "q"), *responses))["annotations"][-1]

    assert (choice["question"], choice["outcome"]) == ("if_chosen", "tie")
    assert (choice["chosen_id"], choice["rejected_id"]) == (None, None)


@pytest.mark.parametrize(
    "responses",
    [
        [model(0, 0, "a", 50, True)],
        [model(0, 0, "a", 50, True), model(0, 1, "a", 40, True)],
        [model(0, 0, "a", 50, False), model(0, 1, "b", 40, None)],
    ],
)
def test_no_choice_is_made_up(responses: list[dict[str, Any]]) -> None:
    rows = rows_of("prism_conversations", history(user(0, "q"), *responses))

    assert {r["question"] for r in rows["annotations"]} == {"score"}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (None, (None, None, "null")),
        (float("nan"), (None, None, '{"$nonfinite":"NaN"}')),
        ("high", (None, "high", None)),
        ([1], (None, None, "[1]")),
    ],
)
def test_a_score_that_is_no_number_is_kept(score: Any, expected: tuple[Any, ...]) -> None:
    for format, value in (
        ("prism_utterances", {**UTTERANCE, "score": score}),
        ("prism_conversations", history(user(0, "q"), model(0, 0, "a", score, True))),
    ):
        [rating] = rows_of(format, value)["annotations"]
        assert (rating["value_num"], rating["value_text"], rating["value_json"]) == expected


def test_odd_members_of_a_history_are_passed_over() -> None:
    odd: list[Any] = [None, {"role": "system", "content": "x"}, {"role": "user"}, {"role": ["user"], "content": "x"}]
    value = history(model(0, 0, "first", 1, False), *odd, user(1, "q"), model(1, 0, "a", 2, True))

    generations = rows_of("prism_conversations", value)["generations"]

    assert [g["prompt_messages"] and said(g["prompt_messages"]) for g in generations] == [None, [("user", "q")]]


def test_prompts_of_one_record_are_bounded() -> None:
    value = history(user(0, "x" * (MOST_PROMPT // 3)), *(model(0, at, "a", 1, False) for at in range(4)))
    long_id = {**value, "conversation_id": "c" * 1001, "conversation_type": "t" * 1001}

    generations = rows_of("prism_conversations", long_id)["generations"]

    assert [g["prompt_messages"] is not None for g in generations] == [True, True, False, False]
    assert {g["group_id"] for g in generations} == {"0/0"}
    assert "conversation_type" not in generations[0]["extra_json"]


def test_an_utterance_is_a_generation_and_its_rating() -> None:
    rows = rows_of("prism_utterances", UTTERANCE)

    [generation], [rating] = rows["generations"], rows["annotations"]
    assert (generation["prompt_text"], generation["completion_text"]) == ("hi", "hello")
    assert (generation["group_id"], generation["model_name"], generation["split"]) == ("int2", "m1", "dataset")
    assert generation["role_boundaries"] == "lost"
    assert (rating["question"], rating["kind"], rating["value_num"]) == ("score", "rating", 90.0)
    assert (rating["item_id"], rating["response_a_id"]) == ("ut5", generation["event_id"])
    assert (rating["annotator_id"], rating["extra_json"]) == (PEOPLE.pseudonym(USER), '{"if_chosen":true}')
    assert (rating["event_time"], rating["created_at"]) == (MTIME, None)
    columns = {"interaction_id", "user_id", "user_prompt", "model_response", "model_name", "score", "if_chosen"}
    assert json.loads(generation["extra_json"]) == {k: v for k, v in UTTERANCE.items() if k not in columns}


def test_flags_of_a_text_are_annotations_by_programs() -> None:
    rows = rows_of("prism_metadata", METADATA)

    found = [
        (r["question"], r["annotator_kind"], r["kind"], r["value_num"], r["value_text"]) for r in rows["annotations"]
    ]
    assert found == [
        ("pii_flag", "model", "binary", 1.0, None),
        ("pii_manual_flag", "human", "binary", 0.0, None),
        ("en_flag", "model", "binary", 1.0, None),
        ("language_flag", "model", "text", None, "en"),
        ("moderation_flag", "model", "binary", 0.0, None),
    ]
    assert json.loads(rows["annotations"][-1]["value_json"]) == METADATA["moderation_flag"]
    assert {(r["item_id"], r["annotator_id"]) for r in rows["annotations"]} == {("ut5", None)}
    ids = {key: METADATA[key] for key in ("column_id", "conversation_id", "interaction_id", "utterance_id")}
    assert json.loads(rows["annotations"][0]["extra_json"]) == ids


@pytest.mark.parametrize(
    ("ids", "item_id"),
    [({}, "0"), ({"conversation_id": "c0"}, "c0"), ({"conversation_id": "c0", "interaction_id": "int2"}, "int2")],
)
def test_a_flagged_text_has_the_nearest_id(ids: dict[str, str], item_id: str) -> None:
    value = {"column_id": "self_description", "user_id": USER, "pii_flag": False, "utterance_id": None, **ids}

    [row] = rows_of("prism_metadata", value)["annotations"]

    assert row["item_id"] == item_id


@pytest.mark.parametrize("value", [None, float("nan"), "yes", 2, 10**400, [True]])
def test_a_flag_that_is_none_gives_no_row(value: Any) -> None:
    rows = rows_of("prism_metadata", {**METADATA, "pii_manual_flag": value})

    assert "pii_manual_flag" not in {r["question"] for r in rows["annotations"]}


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize(
    "value", [{}, [], "x", 1, {"user_id": USER}, {"conversation_history": []}, {"stated_prefs": {}}]
)
def test_what_is_not_known_gives_a_finding_and_nothing_else(format: str, value: Any) -> None:
    rows = rows_of(format, value)

    assert [row["found"] for row in rows.pop("log_findings")] == [f"not of a shape that {format} 1 knows"]
    assert rows == {}


def found(value: Any) -> str:
    content = json_lines([value] * 3)
    return detect("data/some.jsonl", content, len(content)).format


@pytest.mark.parametrize("format", FILES)
def test_files_are_recognised(format: str) -> None:
    assert found(FILES[format]) == format


@pytest.mark.parametrize(
    "other",
    [
        {**SURVEY, "stated_prefs": "none"},
        {**CONVERSATION, "conversation_history": [{"role": "system", "content": "x"}]},
        {"conversation_id": "c", "user_id": "u", "conversation": [user(0, "x")]},
        {key: value for key, value in UTTERANCE.items() if key != "interaction_id"},
        {"column_id": "c", "user_id": "u", "flag": True},
        {"user_prompt": "q", "model_response": "a", "score": 3},
    ],
)
def test_others_are_not_claimed(other: dict[str, Any]) -> None:
    assert found(other) == "generic_jsonl"


def test_every_column_given_is_declared_and_no_other() -> None:
    text = {**UTTERANCE, "score": "high"}
    spoken = history(user(0, "q"), model(0, 0, "a", "high", True), model(0, 1, "b", 1, False))
    tie = history(user(0, "q"), model(0, 0, "a", 1, True), model(0, 1, "b", 1, False))
    unclear = {**UTTERANCE, "score": None}
    odd = {**SURVEY, "stated_prefs": {"values": 10**400}}
    given = {
        "prism_survey": [SURVEY, odd],
        "prism_conversations": [CONVERSATION, spoken, tie],
        "prism_utterances": [UTTERANCE, text, unclear],
        "prism_metadata": [METADATA],
    }
    for format, values in given.items():
        assert columns_given(derive(format, "a.jsonl", values)) == ADAPTERS[format].fields.keys(), format
