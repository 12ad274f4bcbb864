"""Secrets, e-mail and IP addresses reach no event table; each is a finding that says where, and not what."""

import json
from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.formats.withheld import withhold
from audit_pipeline.records.events import EVENT_SCHEMAS
from tests.formats.support import PEOPLE, source

SECRETS = {
    "Hugging Face token": ["hf_" + "aB3" * 12],
    "API key": ["sk-" + "proj-" + "x1Y2" * 8, "AIza" + "S" * 35, "xoxb-123456789012-abcdef"],
    "cloud key": ["AKIA" + "ABCDEFGHIJKLMNOP"],
    "repository token": ["ghp_" + "a1" * 18, "github_pat_" + "a1" * 20, "glpat-" + "a1" * 11],
    "signed token": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkw.SflKxwRJSMeKKF2QT4"],
    "private key": ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"],
    "e-mail address": ["jo.doe+x@mail.example.com"],
    "IP address": ["203.0.113.77", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"],
}
CASES = [(kind, text) for kind, texts in SECRETS.items() for text in texts]


def pair(prompt: Any, **more: Any) -> dict[str, pa.Table]:
    record = json.dumps({"prompt": prompt, "chosen": "a", "rejected": "b", **more}).encode()
    return derive_rows("preference_pairs", source("pairs.jsonl"), [(0, record, "ok")], PEOPLE)


def everything(tables: dict[str, pa.Table]) -> str:
    return json.dumps([table.to_pylist() for table in tables.values()], default=str)


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[kind for kind, _ in CASES])
def test_a_secret_in_a_text_is_withheld_and_what_is_around_it_stays(kind: str, text: str) -> None:
    tables = pair(f"before {text} after")

    assert text not in everything(tables)
    prompts = {row["prompt_text"] for row in tables["generations"].to_pylist()}
    assert prompts == {f"before [withheld: {kind}] after"}


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[kind for kind, _ in CASES])
def test_a_secret_in_a_field_without_a_column_is_withheld(kind: str, text: str) -> None:
    assert text not in everything(pair("q", note={"deep": [text]}))


@pytest.mark.parametrize(
    "key",
    ["api_key", "OPENAI_API_KEY", "wandb.api-key".replace("-", "_"), "password", "hub_token", "aws_secret_access_key"],
)
def test_a_value_is_a_secret_if_its_name_says_so(key: str) -> None:
    tables = pair("q", config={key: "hunter2", "kept": "yes"})

    assert "hunter2" not in everything(tables)
    extra = json.loads(tables["annotations"].column("extra_json")[0].as_py())
    assert extra == {"config": {key: "[withheld: secret by its name]", "kept": "yes"}}


def test_a_secret_in_json_within_a_text_is_withheld() -> None:
    inner = json.dumps({"password": "hunter2", "kept": "yes"})
    tables = pair("q", args=inner)

    extra = json.loads(tables["annotations"].column("extra_json")[0].as_py())
    assert json.loads(extra["args"]) == {"password": "[withheld: secret by its name]", "kept": "yes"}


@pytest.mark.parametrize("password", ["two words", "a\\nb", 'quo"ted', "it's", "\u00e9\u00e8", "back\\\\slash"])
def test_a_secret_is_withheld_to_its_end(password: str) -> None:
    inner = json.dumps({"password": password, "kept": "yes"})
    tables = pair("q", config={"password": password, "kept": "yes"}, args=inner)

    extra = json.loads(tables["annotations"].column("extra_json")[0].as_py())
    assert extra["config"] == {"password": "[withheld: secret by its name]", "kept": "yes"}
    assert "words" not in extra["args"]


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[kind for kind, _ in CASES])
def test_a_secret_behind_an_escape_is_withheld_and_json_stays_json(kind: str, text: str) -> None:
    """In JSON a line break is the letter n behind a backslash, and would be taken for the start of the token."""
    tables = pair("q", note=f"line\n{text}", raw=f"tab\t{text}\u00e9", **{f"key\n{text}": 1})

    assert text not in everything(tables)
    extra = json.loads(tables["annotations"].column("extra_json")[0].as_py())
    assert extra["note"] == f"line\n[withheld: {kind}]"
    assert f"key\n[withheld: {kind}]" in extra


@pytest.mark.parametrize(
    "text", ["a", "a.", "a-", "eyJ-", "1.", "a@", "://a:", 'secret"', "-----BEGIN PRIVATE KEY-----"]
)
def test_a_long_text_is_searched_in_time_that_grows_with_its_length(text: str) -> None:
    """A hundred times as many characters would take ten thousand times as long, which nobody would wait for."""
    long = (text * 300_000)[:300_000]
    rows = pa.table({"run_id": ["jo@example.com", long]})

    without, _ = withhold(rows)

    assert without.column("run_id")[0].as_py() == "[withheld: e-mail address]"


def test_a_secret_in_what_python_prints_is_withheld() -> None:
    tables = pair("q", args="{'api_key': 'hunter2 hunter3', 'kept': 'yes'}")

    extra = json.loads(tables["annotations"].column("extra_json")[0].as_py())
    assert extra == {"args": "{'api_key': '[withheld: secret by its name]', 'kept': 'yes'}"}


def test_a_password_in_a_url_is_withheld() -> None:
    tables = pair("see postgres://user:hunter2@db/x")

    assert "hunter2" not in everything(tables)
    assert "postgres://[withheld: password in a URL]@db/x" in everything(tables)


@pytest.mark.parametrize(
    "harmless",
    [
        "num_tokens 12, max_tokens 7", "a token of love", "hf_hub", "sk-learn", "3.11.7", "user@host", "12:30:45",
        "https://example.com/a:b@c", "the secret is patience", "listens on 0.0.0.0 and 127.0.0.1",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(harmless: str) -> None:
    tables = pair(harmless)

    assert "log_findings" not in tables
    assert tables["generations"].column("prompt_text")[0].as_py() == harmless


def test_a_placeholder_under_a_secret_name_stays() -> None:
    assert "<HUB_TOKEN>" in everything(pair("q", config={"hub_token": "<HUB_TOKEN>", "num_tokens": "12"}))


def test_each_thing_withheld_is_a_finding_that_names_its_place() -> None:
    tables = pair("mail a@b.example and c@d.example from 10.0.0.1")

    findings = tables["log_findings"].to_pylist()
    of = {row["event_id"]: row for row in tables["generations"].to_pylist()}
    assert [(row["kind"], row["found"], row["in_table"], row["in_column"]) for row in findings] == [
        ("withheld", kind, "generations", "prompt_text") for _ in of for kind in ("e-mail address", "IP address")
    ]
    assert {row["of_event"] for row in findings} == set(of)
    assert len({row["event_id"] for row in findings}) == len(findings)
    assert "a@b.example" not in everything(tables)


def test_messages_and_lists_of_texts_are_searched() -> None:
    schema = EVENT_SCHEMAS["runs"]
    row = dict.fromkeys(schema.names) | {"position": 0, "dataset_refs": ["good", "a@b.example"]}
    bare = pa.schema([field.with_nullable(True) for field in schema])

    rows, found = withhold(pa.Table.from_pylist([row], schema=bare))

    assert rows.column("dataset_refs").to_pylist() == [["good", "[withheld: e-mail address]"]]
    assert found == [(0, "dataset_refs", "e-mail address")]
    messages = [{"role": "user", "content": "I am a@b.example"}, {"role": "assistant", "content": "Hi"}]
    generations = pair(messages)["generations"].to_pylist()
    assert generations[0]["prompt_messages"][0]["content"] == "I am [withheld: e-mail address]"


def test_rows_without_anything_to_withhold_are_the_same_table() -> None:
    table = pa.table({"run_id": ["a", None], "value": [1.0, 2.0]})

    rows, found = withhold(table)

    assert rows is table
    assert found == []
