"""Events of HH-RLHF's red-team transcripts."""

import json
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import PEOPLE, derive

MEMBER = 770077
ATTEMPT = {
    "transcript": "\n\nHuman: a \n\nAssistant: b \n\nHuman: c \n\nAssistant: d",
    "min_harmlessness_score_transcript": -1.875,
    "num_params": "52B",
    "model_type": "rlhf",
    "rating": 3.0,
    "task_description": "task-x",
    "task_description_harmlessness_score": 0.625,
    "red_team_member_id": MEMBER,
    "is_upworker": True,
    "tags": ["tag-x"],
}


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("hh_red_team", "red_team_attempts.jsonl", values)


def test_an_attempt_is_a_transcript_its_rating_and_a_score() -> None:
    rows = rows_of(ATTEMPT)

    [said], [rated], [scored] = rows["generations"], rows["annotations"], rows["reward_scores"]
    assert said["prompt_text"].endswith("\n\nHuman: c \n\nAssistant:")
    assert (said["completion_text"], said["model_name"], said["role_boundaries"]) == (" d", "rlhf", "marker_text")
    assert (rated["kind"], rated["question"], rated["value_num"]) == ("rating", "rating", 3.0)
    assert (rated["annotator_kind"], rated["status"], rated["item_id"]) == ("human", "submitted", "0")
    assert (scored["scorer"], scored["scorer_kind"], scored["score"]) == (
        "min_harmlessness_score_transcript",
        "reward_model",
        -1.875,
    )
    assert rated["response_a_id"] == scored["generation_id"] == said["event_id"]


def test_the_attacker_is_a_pseudonym_and_nothing_else() -> None:
    rows = rows_of(ATTEMPT, {**ATTEMPT, "red_team_member_id": str(MEMBER)}, {**ATTEMPT, "red_team_member_id": None})

    one = PEOPLE.pseudonym(str(MEMBER))
    assert [row["annotator_id"] for row in rows["annotations"]] == [one, one, None]
    assert str(MEMBER) not in json.dumps(rows, default=str)


def test_nothing_is_lost() -> None:
    row = {**ATTEMPT, "transcript": "all-x", "new_key": {"x": ["deep-value"]}}
    odd = {**row, "rating": "odd-x", "model_type": ["odd-y"], "min_harmlessness_score_transcript": "odd-z"}

    for item in (row, odd):
        assert lost({key: item[key] for key in item if key != "red_team_member_id"}, rows_of(item)) == []


def test_the_columns_given_are_those_declared() -> None:
    odd = {**ATTEMPT, "model_type": 5, "min_harmlessness_score_transcript": 10**400}

    assert columns_given(rows_of(ATTEMPT, odd)) == ADAPTERS["hh_red_team"].fields.keys()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (ATTEMPT, "hh_red_team"),
        ({key: ATTEMPT[key] for key in ("transcript", "rating")}, "generic_json"),
        ({**ATTEMPT, "transcript": None}, "generic_json"),
        ({"chosen": "a", "rejected": "b"}, "preference_pairs"),
    ],
)
def test_files_are_known_by_their_keys(value: Any, found: str) -> None:
    """The file is called JSON Lines and is one array."""
    content = json.dumps([value] * 3, indent=1).encode()

    assert detect("red_team_attempts.jsonl", content, len(content)).format == found


@pytest.mark.parametrize("value", [{}, [], {"transcript": "a"}, {"rating": 1}])
def test_another_shape_gives_a_finding_and_nothing_else(value: Any) -> None:
    assert rows_of(value).keys() == {"log_findings"}
