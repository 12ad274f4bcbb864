"""Events of AlpacaEval annotations."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import MTIME, PEOPLE, derive

JUDGE = "judge_config_7"
ROW = {
    "instruction": "Name a colour.",
    "output_1": "Blue.",
    "generator_1": "model-m",
    "dataset": "helpful",
    "output_2": "Green.",
    "generator_2": "model-n",
    "annotator": JUDGE,
    "preference": 1.25,
    "price_per_example": 0.0625,
    "time_per_example": 2.5,
    "raw_completion": {"explanation": "why", "ordered_models": [{"model": "M", "rank": 1}]},
}
NEWER = {key: value for key, value in ROW.items() if key not in ("price_per_example", "time_per_example")} | {
    "preference_price_per_example": 0.0625,
    "preference_time_per_example": 2.5,
    "preference_version": "0.6.6",
    "preference_date": "2025-01-13T12:30:00.250000",
}


def rows_of(*values: Any) -> dict[str, list[dict[str, Any]]]:
    return derive("alpaca_eval", "results/m/annotations.json", values)


def test_a_preference_is_a_comparison_of_two_outputs() -> None:
    rows = rows_of(ROW)

    one, two = rows["generations"]
    [judged] = rows["annotations"]
    assert [(r["prompt_text"], r["completion_text"], r["model_name"], r["sample_index"]) for r in (one, two)] == [
        ("Name a colour.", "Blue.", "model-m", 0),
        ("Name a colour.", "Green.", "model-n", 1),
    ]
    assert (judged["kind"], judged["question"], judged["outcome"], judged["value_num"]) == (
        "pairwise",
        "preference",
        "a",
        1.25,
    )
    assert (judged["response_a_id"], judged["response_b_id"]) == (one["event_id"], two["event_id"])
    assert (judged["chosen_id"], judged["rejected_id"]) == (one["event_id"], two["event_id"])
    assert (judged["lead_time_s"], judged["annotator_kind"], judged["status"]) == (2.5, "model", "submitted")
    assert {judged["item_id"], one["group_id"], two["group_id"]} == {"0"}


@pytest.mark.parametrize(
    ("preference", "outcome", "value"),
    [
        (1, "a", 1.0),
        (1.4999, "a", 1.4999),
        (1.5, "tie", 1.5),
        (0, "tie", 0.0),
        (1.5001, "b", 1.5001),
        (2.0, "b", 2.0),
        (None, "unparsed", None),
        (float("nan"), "unparsed", None),
        (-1, "unparsed", None),
        (3, None, 3.0),
        (0.5, None, 0.5),
        ("1", None, None),
        (True, None, None),
        ([1], None, None),
        (10**400, None, None),
    ],
)
def test_a_preference_says_which_output_or_that_there_is_none(
    preference: Any, outcome: str | None, value: float | None
) -> None:
    rows = rows_of({**ROW, "preference": preference})

    [judged] = rows["annotations"]
    assert (judged["outcome"], judged["value_num"]) == (outcome, value)
    chosen = {"a": rows["generations"][0]["event_id"], "b": rows["generations"][1]["event_id"]}.get(outcome or "")
    assert judged["chosen_id"] == chosen
    kept = {"preference", "value_num"} & json.loads(judged["extra_json"]).keys()
    assert bool(kept) == (value is None), "what is no value is in extra_json"


def test_newer_files_say_when_but_not_in_which_zone() -> None:
    older, newer = rows_of(ROW, NEWER)["annotations"]

    assert (older["event_time"], older["created_at"]) == (MTIME, None)
    assert newer["event_time"] == newer["created_at"] == datetime(2025, 1, 13, 12, 30, 0, 250000, UTC)
    assert (newer["event_time_quality"], newer["lead_time_s"]) == ("naive_assumed", 2.5)
    assert json.loads(newer["extra_json"]).keys() == {
        "dataset",
        "raw_completion",
        "preference_price_per_example",
        "preference_version",
    }


def test_a_judge_is_a_pseudonym_and_nothing_else() -> None:
    rows = rows_of(ROW, NEWER)

    assert {row["annotator_id"] for row in rows["annotations"]} == {PEOPLE.pseudonym(JUDGE)}
    assert JUDGE not in json.dumps(rows, default=str)


def test_nothing_is_lost() -> None:
    row = {**ROW, "id": "item-9", "referenced_models": {"m": "output_1"}, "datasplit": "eval-x", "preference": 1.8125}
    known = {key: value for key, value in row.items() if key != "annotator"}

    assert lost(known, rows_of(row)) == []
    assert rows_of(row)["annotations"][0]["item_id"] == "item-9"
    odd = {
        **ROW,
        "output_1": ["list-x"],
        "generator_2": 77123,
        "time_per_example": "fast-x",
        "preference_date": "day-x",
    }
    assert lost({key: value for key, value in odd.items() if key != "annotator"}, rows_of(odd)) == []


def test_the_columns_given_are_those_declared() -> None:
    odd = {**ROW, "output_1": ["x"]}

    assert columns_given(rows_of(ROW, NEWER, odd)) == ADAPTERS["alpaca_eval"].fields.keys()


@pytest.mark.parametrize("drop", ["instruction", "output_1", "output_2", "annotator", "preference"])
def test_files_are_known_by_their_keys(drop: str) -> None:
    def found(rows: list[Any]) -> str:
        content = json.dumps(rows, indent=2).encode()
        return detect("results/m/annotations.json", content, len(content)).format

    assert (
        found([ROW, NEWER, {key: ROW[key] for key in ROW if not key.startswith(("generator", "raw"))}]) == "alpaca_eval"
    )
    assert found([{key: ROW[key] for key in ROW if key != drop}]) == "generic_json"
    assert [row["found"] for row in rows_of({key: ROW[key] for key in ROW if key != drop})["log_findings"]] == [
        "not of a shape that alpaca_eval 1 knows"
    ]
