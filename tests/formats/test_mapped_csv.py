"""CSV tables of judgements through the columns that a policy names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.errors import PolicyError
from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.policy import load_policy
from audit_pipeline.policy.models import ColumnsAttributes, StreamAttributes
from audit_pipeline.sources.landing import Stream
from tests.formats.support import PEOPLE, source
from tests.lakes import LakeForTests

PAIRS = {
    "item_id": "id", "annotator_id": "worker", "prompt": "prompt", "response_a": "left", "response_b": "right",
    "model_a": "model_x", "outcome": "winner", "outcomes": {"left": "a", "right": "b", "tie": "tie"},
    "lead_time_s": "secs", "created_at": "at",
}  # fmt: skip
ROW = {
    "id": "17", "worker": "w-3", "prompt": "q", "left": "one", "right": "two", "model_x": "m1", "winner": "right",
    "secs": "4.5", "at": "2026-03-05 10:00:00", "batch": "7",
}  # fmt: skip


def mapped(columns: dict[str, Any], *rows: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    stream = StreamAttributes(name="a", path="a", format="mapped_csv", columns=ColumnsAttributes(**columns)).stream()
    records = [(at, json.dumps(row).encode(), "ok") for at, row in enumerate(rows)]
    context = replace(source("crowd.csv"), mapping=stream.mapping)
    return {name: table.to_pylist() for name, table in derive_rows("mapped_csv", context, records, PEOPLE).items()}


def test_a_pair_of_columns_is_two_responses_and_a_judgement() -> None:
    rows = mapped(PAIRS, ROW)

    one, two = rows["generations"]
    assert [(one["completion_text"], one["model_name"]), (two["completion_text"], two["model_name"])] == [
        ("one", "m1"), ("two", None),
    ]  # fmt: skip
    assert {(row["prompt_text"], row["group_id"], row["split"]) for row in (one, two)} == {("q", "17", "dataset")}
    (judged,) = rows["annotations"]
    assert (judged["item_id"], judged["kind"], judged["outcome"], judged["value_text"]) == (
        "17",
        "pairwise",
        "b",
        "right",
    )
    assert (judged["response_a_id"], judged["response_b_id"]) == (one["event_id"], two["event_id"])
    assert (judged["chosen_id"], judged["rejected_id"]) == (two["event_id"], one["event_id"])
    assert judged["annotator_id"] == PEOPLE.pseudonym("w-3")
    assert (judged["lead_time_s"], judged["event_time_quality"]) == (4.5, "naive_assumed")
    assert str(judged["created_at"]) == "2026-03-05 10:00:00+00:00"
    assert json.loads(judged["extra_json"]) == {"batch": "7"}
    assert "w-3" not in json.dumps(rows, default=str)


@pytest.mark.parametrize(
    ("winner", "outcome"), [("tie", "tie"), (" left ", "a"), ("both", "unparsed"), ("", "unparsed")]
)
def test_an_outcome_is_what_the_policy_says_of_its_text(winner: str, outcome: str) -> None:
    (judged,) = mapped(PAIRS, {**ROW, "winner": winner})["annotations"]

    assert (judged["outcome"], judged["value_text"]) == (outcome, winner)
    assert (judged["chosen_id"] is None) == (outcome != "a")


def test_what_cannot_be_read_as_its_column_is_kept_beside_it() -> None:
    (judged,) = mapped(PAIRS, {**ROW, "secs": "soon", "at": "yesterday"})["annotations"]

    assert (judged["lead_time_s"], judged["created_at"], judged["event_time_quality"]) == (None, None, "file_mtime")
    assert json.loads(judged["extra_json"]) == {"batch": "7", "lead_time_s": "soon", "created_at": "yesterday"}


def test_a_column_for_each_judge_is_a_judgement_for_each() -> None:
    columns = {"annotators": ["annotator1", "annotator2"], "outcomes": {0: "tie", 1: "a", 2: "b"}}
    rows = mapped(columns, {"annotator1": "1", "annotator2": "0", "idx": "5"})["annotations"]

    assert [(row["annotator_id"], row["outcome"]) for row in rows] == [
        (PEOPLE.pseudonym("annotator1"), "a"), (PEOPLE.pseudonym("annotator2"), "tie"),
    ]  # fmt: skip
    assert {row["item_id"] for row in rows} == {"0"}
    assert {row["chosen_id"] for row in rows} == {None}, "there are no responses to point at"
    assert {row["extra_json"] for row in rows} == {'{"idx":"5"}'}


def test_a_value_is_a_rating_or_a_text() -> None:
    rows = mapped({"value": "stars", "annotator_id": "who"}, {"stars": "4", "who": "x"}, {"stars": "fine", "who": ""})

    assert [(r["kind"], r["value_num"], r["value_text"], r["annotator_id"] is None) for r in rows["annotations"]] == [
        ("rating", 4.0, None, False), ("text", None, "fine", True),
    ]  # fmt: skip
    assert "generations" not in rows


def test_a_number_that_no_double_holds_is_kept_as_it_is() -> None:
    columns = {"value": "stars", "lead_time_s": "secs", "created_at": "at"}

    [row] = mapped(columns, {"stars": 10**400, "secs": 10**400, "at": 10**400})["annotations"]  # type: ignore[dict-item]

    assert (row["kind"], row["value_num"], row["event_time_quality"]) == ("text", None, "file_mtime")
    assert json.loads(row["extra_json"]) == dict.fromkeys(["value_text", "lead_time_s", "created_at"], 10**400)


POLICY = """\
type: audit_pipeline.components.RunLogs
attributes:
  start: 2026-01-01
  streams:
    - name: crowd
      path: "{date}/*.csv"
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("format: mapped_csv", "`columns` and `format: mapped_csv` go together"),
        ("columns: {value: x}", "`columns` and `format: mapped_csv` go together"),
        ("format: mapped_csv\n      columns: {item_id: x}", "exactly one of outcome, value or annotators"),
        ("format: mapped_csv\n      columns: {value: x, outcome: y}", "exactly one of outcome, value or annotators"),
        ("format: mapped_csv\n      columns: {outcome: y}", "expected outcomes, such as"),
        ("format: mapped_csv\n      columns: {outcome: y, outcomes: {l: left}}", "outcomes"),
        ("format: mapped_csv\n      columns: {valu: x}", "valu"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused_by_file_and_line(
    lake: LakeForTests, tmp_path: Path, said: str, why: str
) -> None:
    from audit_pipeline.policy import init_project

    init_project(tmp_path / "project")
    file = tmp_path / "project" / "assets" / "run_logs" / "defs.yaml"
    file.write_text(POLICY + f"      {said}\n")

    with pytest.raises(PolicyError, match=r"run_logs/defs.yaml:\d+: ") as refused:
        load_policy(tmp_path / "project", {})
    assert why in str(refused.value)


def test_the_columns_are_kept_with_the_source_and_events_follow_from_them(tmp_path: Path) -> None:
    attributes = StreamAttributes(
        name="runs", path="runs/{date}/**", format="mapped_csv", columns=ColumnsAttributes(value="stars")
    )
    lake = LakeForTests(tmp_path, streams=[attributes.stream()])
    lake.land("a.csv", b"stars,who\n4,x\n")
    lake.run()
    # A policy that says otherwise later changes nothing of what was taken in.
    lake.streams = [Stream("runs", "runs/{date}/**")]
    lake.land("a.csv", b"stars,who\n4,x\n5,y\n")
    lake.run()

    assert {row["mapping"] for row in lake.rows("sources")} == {'{"value":"stars"}'}
    assert [row["value_num"] for row in lake.rows("annotations")] == [4.0, 5.0]
    assert lake.verify().problems == ()


def test_rows_without_a_column_that_the_policy_names_are_findings_and_no_events() -> None:
    rows = mapped({**PAIRS, "prompt": "promptt"}, ROW)

    assert list(rows) == ["log_findings"]
    assert [row["kind"] for row in rows["log_findings"]] == ["no_event"]
