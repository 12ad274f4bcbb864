"""Model cards of TRL and transformers, line by line."""

from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import detect
from audit_pipeline.records.events import COMMON_COLUMNS
from tests.formats.support import MTIME, PEOPLE, source

CARD = b"""---
base_model: tiny-llama
datasets: "hh-rlhf"
library_name: transformers
model_name: dpo-s1
---

# Model Card for dpo-s1

This model was trained with Online DPO, a method introduced in [A. B](https://huggingface.co/papers/1).

- TRL: 1.16.0
- Transformers: 5.23.0
- Pytorch: 2.13.0+cpu
"""
SAYS_NOTHING = "a line of a model card that says nothing of its run"


def tables_of(content: bytes, path: str) -> dict[str, pa.Table]:
    records = [(at, line, "ok") for at, line in enumerate(content.removesuffix(b"\n").split(b"\n"))]
    return derive_rows("model_card", source(path), records, PEOPLE)


def rows_of(content: bytes, path: str = "dpo-s1/README.md") -> dict[str, list[dict[str, Any]]]:
    return {table: rows.to_pylist() for table, rows in tables_of(content, path).items()}


def run(line: str) -> dict[str, Any]:
    [row] = rows_of(b"---\n" + line.encode())["runs"]
    return row


def test_the_first_line_is_the_file() -> None:
    [row] = rows_of(CARD, "dpo-s1/checkpoint-10/README.md")["model_checkpoints"]

    assert (row["position"], row["run_id"], row["step"], row["checkpoint"]) == (0, "dpo-s1", 10, "checkpoint-10")
    assert (row["file"], row["kind"], row["event_time"]) == ("README.md", "card", MTIME)


def test_each_line_that_says_something_of_the_run_is_a_row() -> None:
    facts = ("base_model", "dataset_refs", "run_name", "algorithm", "framework", "framework_version", "extra_json")

    rows = rows_of(CARD)["runs"]

    assert {(row["run_id"], row["run_key"]) for row in rows} == {("dpo-s1", "dpo-s1")}
    assert [(row["position"], {name: row[name] for name in facts if row[name]}) for row in rows] == [
        (1, {"base_model": "tiny-llama"}),
        (2, {"dataset_refs": ["hh-rlhf"]}),
        (4, {"run_name": "dpo-s1"}),
        (9, {"algorithm": "Online DPO"}),
        (11, {"framework": "trl", "framework_version": "1.16.0"}),
        (12, {"framework": "transformers", "framework_version": "5.23.0"}),
        (13, {"extra_json": '{"Pytorch":"2.13.0+cpu"}'}),
    ]


def test_all_other_lines_are_accounted_for() -> None:
    found = {row["position"]: row["found"] for row in rows_of(CARD)["log_findings"]}

    assert found == {3: SAYS_NOTHING, 5: SAYS_NOTHING, 6: "blank", 7: SAYS_NOTHING, 8: "blank", 10: "blank"}


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [
        ("- Transformers 4.40.0", "framework_version", "4.40.0"),
        ("- PEFT 0.12.0", "extra_json", '{"PEFT":"0.12.0"}'),
        ("This model was trained with Reward.", "algorithm", "Reward"),
        ("base_model: 'a b'\r", "base_model", "a b"),
        ('base_model: "', "base_model", '"'),
    ],
)
def test_lines_as_transformers_and_yaml_write_them(line: str, column: str, value: str) -> None:
    assert run(line)[column] == value


@pytest.mark.parametrize(
    "line",
    [
        "base_model:",
        "my base_model: x",
        "- loss: 0.5",
        "- Datasets",
        "This model was trained from scratch on an unknown dataset.",
        "This model was trained with",
    ],
)
def test_a_near_miss_says_nothing(line: str) -> None:
    rows = rows_of(b"---\n" + line.encode())

    assert "runs" not in rows
    assert [row["found"] for row in rows["log_findings"]] == [SAYS_NOTHING]


def test_a_line_is_read_by_itself_however_the_card_is_cut() -> None:
    records = [(at, line, "ok") for at, line in enumerate(CARD.split(b"\n"))]
    whole = derive_rows("model_card", source("a/README.md"), records, PEOPLE)["runs"]

    parts = [derive_rows("model_card", source("a/README.md"), [record], PEOPLE).get("runs") for record in records]

    assert pa.concat_tables([part for part in parts if part is not None]).equals(whole)


def test_an_empty_card_and_bytes_that_are_no_text_give_findings() -> None:
    rows = rows_of(b"\xef\xbb\xbf---\n\xff\xfe")

    assert [row["kind"] for row in rows["model_checkpoints"]] == ["card"]
    assert [(row["position"], row["found"]) for row in rows["log_findings"]] == [(1, "no value")]


def test_the_columns_given_are_those_declared() -> None:
    common = {column.name for column in COMMON_COLUMNS} - {"run_id", "extra_json"}
    given = {
        f"{table}.{name}"
        for table, rows in rows_of(CARD, "dpo-s1/checkpoint-10/README.md").items()
        for row in rows
        for name, value in row.items()
        if table != "log_findings" and value is not None and name not in common
    }

    assert given == set(ADAPTERS["model_card"].fields)


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("a/README.md", CARD, "model_card"),
        ("a/card.md", CARD, "model_card"),
        ("a/README.md", b"---\nlibrary_name: peft\n---\n" + b"text\n" * 200, "model_card"),
        ("a/README.md", b"---\ntitle: A page\n---\n\nbase_model: x\n", "generic_text"),
        ("a/README.md", b"---\nlicense: mit\ntask_categories:\n- x\n---\n", "generic_text"),
        ("a/README.md", b"# Title\n\n---\nbase_model: x\n", "generic_text"),
        ("a/README.md", b"# Title\nlibrary_name: x\n", "generic_text"),
        ("a/train.log", b"base_model: x\n", "generic_text"),
    ],
)
def test_it_is_told_from_other_texts(path: str, content: bytes, expected: str) -> None:
    assert detect(path, content, len(content)).format == expected
