"""Events of MLflow stores."""

import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.containers.items import iter_items
from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import HEAD_BYTES, detect
from tests.formats.declared import columns_given
from tests.formats.support import MTIME, PEOPLE, source

RUN = "0123456789abcdef0123456789abcdef"
META = """\
artifact_uri: file:///srv/mlruns/7/0123456789abcdef0123456789abcdef/artifacts
end_time: 1795454936650
entry_point_name: ''
experiment_id: '7'
lifecycle_stage: active
run_id: 0123456789abcdef0123456789abcdef
run_name: "dpo: it's \\"2\\" \\u2028"
start_time: 1795454927804
status: 3
tags: []
user_id: jo
"""
KEYS = ("loss", "reward", "kl", "grad_norm", "learning_rate", "entropy", "ppo_clip_ratio")
Rows = dict[str, list[dict[str, Any]]]


def of_file(path: str, content: str) -> Rows:
    records = [(at, line.encode(), "ok") for at, line in enumerate(content.removesuffix("\n").split("\n"))]
    tables = derive_rows("mlflow_file_store", source(path), records, PEOPLE)
    return {table: rows.to_pylist() for table, rows in tables.items()}


def format_of(path: str, content: bytes) -> str:
    return detect(path, content[:HEAD_BYTES], len(content)).format


def test_a_metric_line_is_a_metric_with_its_time() -> None:
    rows = of_file(f"mlruns/7/{RUN}/metrics/rewards/margins", "1795454928319 0.5 1\n1795454928320 nan 2\n")

    assert rows.keys() == {"training_metrics"}
    first, second = rows["training_metrics"]
    assert (first["run_id"], first["metric"], first["step"], first["value"]) == (RUN, "rewards/margins", 1, 0.5)
    assert first["event_time"] == datetime(2026, 11, 23, 17, 28, 48, 319000, UTC)
    assert (first["event_time_quality"], first["split"], first["value_raw"]) == ("epoch_ms", "train", None)
    assert (second["value"], second["value_state"], second["position"]) == (None, "nan", 1)


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("1e-07", 1e-07, "finite"),
        ("-330.25", -330.25, "finite"),
        ("1.5e+300", 1.5e300, "finite"),
        ("3", 3.0, "finite"),
        ("inf", None, "+inf"),
        ("-inf", None, "-inf"),
    ],
)
def test_a_value_is_what_python_wrote(text: str, value: float | None, state: str) -> None:
    [row] = of_file(f"{RUN}/metrics/kl", f"1795454928319 {text} 0")["training_metrics"]

    assert (row["value"], row["value_state"]) == (value, state)


def test_a_canonical_metric_is_an_update_of_the_policy() -> None:
    [update] = of_file(f"{RUN}/metrics/loss", "1795454928319 inf 4")["policy_updates"]

    assert (update["run_id"], update["step"], update["loss"], update["not_finite"]) == (RUN, 4, None, ["loss"])
    assert update["event_time_quality"] == "epoch_ms"
    assert "policy_updates" not in of_file(f"{RUN}/metrics/eval_loss", "1795454928319 0.5 4")


def test_what_a_metric_line_says_beside_is_kept() -> None:
    lines = "5 0.5 1\n1795454928319 0.5 1 eval set 0a1b\n"

    untimed, of_dataset = of_file(f"{RUN}/metrics/kl", lines)["training_metrics"]

    assert (untimed["extra_json"], untimed["event_time"]) == ('{"timestamp":5}', MTIME)
    assert of_dataset["extra_json"] == '{"dataset_digest":"0a1b","dataset_name":"eval set"}'


@pytest.mark.parametrize(
    "line", ["", "1795454928319", "1795454928319 0.5", "a 0.5 1", "1795454928319 1e999 1", "1 x 1"]
)
def test_a_line_that_is_no_metric_is_a_finding(line: str) -> None:
    rows = of_file(f"{RUN}/metrics/loss", line)

    assert rows.keys() == {"log_findings"}
    assert [row["kind"] for row in rows["log_findings"]] == ["no_event"]


def test_a_parameter_is_a_setting_of_its_run() -> None:
    [row] = of_file(f"7/{RUN}/params/optim/lr", "0.001")["runs"]

    assert (row["run_id"], row["run_key"], row["framework"]) == (RUN, RUN, "mlflow")
    assert (row["config_json"], row["extra_json"]) == ('{"optim/lr":"0.001"}', None)


def test_a_value_of_several_lines_is_as_many_rows_and_loses_none() -> None:
    rows = of_file(f"{RUN}/params/prompt", 'You are\n\n {"a": "NaN"}\r\nthe end')["runs"]

    assert [json.loads(row["config_json"])["prompt"] for row in rows] == ["You are", "", ' {"a": "NaN"}\r', "the end"]
    assert [row["position"] for row in rows] == [0, 1, 2, 3]


def test_a_value_that_is_json_is_a_text_like_any_other() -> None:
    path = f"7/{RUN}/params/id2label"
    pretty = json.dumps({"a": 1, "b": [2]}, indent=1).encode()
    [(record, status, _)] = iter_items("json", io.BytesIO(pretty))

    [line] = of_file(path, '{"0": 1e5}')["runs"]
    [document] = derive_rows("mlflow_file_store", source(path), [(0, record, status)], PEOPLE)["runs"].to_pylist()

    assert json.loads(line["config_json"]) == {"id2label": '{"0": 1e5}'}
    assert json.loads(document["config_json"]) == {"id2label": '{"a":1,"b":[2]}'}
    assert detect(path, b'{"0": 1e5}', 10).container == "jsonl"
    assert (detect(path, pretty, len(pretty)).container, format_of(path, pretty)) == ("json", "mlflow_file_store")


def test_a_secret_is_withheld_by_the_name_of_its_file() -> None:
    rows = of_file(f"{RUN}/params/openai/api_key", "verysecret123")

    assert rows["runs"][0]["config_json"] == '{"openai/api_key":"[withheld: secret by its name]"}'
    assert [row["kind"] for row in rows["log_findings"]] == ["withheld"]
    assert "verysecret123" not in str(of_file(f"{RUN}/tags/hub_token", "verysecret123"))


def test_tags_name_the_run_its_user_and_its_code() -> None:
    [user] = of_file(f"{RUN}/tags/mlflow.user", "jo")["runs"]
    [name] = of_file(f"{RUN}/tags/mlflow.runName", "dpo-seed2")["runs"]
    [commit] = of_file(f"{RUN}/tags/mlflow.source.git.commit", "a" * 40)["runs"]
    [other] = of_file(f"{RUN}/tags/mlflow.source.name", "run.py")["runs"]

    assert (user["user_pseudonym"], user["extra_json"]) == (PEOPLE.pseudonym("jo"), None)
    assert '"jo"' not in str(user).replace("'", '"')
    assert (name["run_name"], commit["git_commit"]) == ("dpo-seed2", "a" * 40)
    assert other["extra_json"] == '{"tags":{"mlflow.source.name":"run.py"}}'


def test_each_line_of_the_meta_file_is_a_row_of_what_it_says() -> None:
    rows = of_file(f"7/{RUN}/meta.yaml", META)

    assert rows.keys() == {"runs"}
    assert len(rows["runs"]) == 11
    assert {row["run_id"] for row in rows["runs"]} == {RUN}
    said = {name: [row[name] for row in rows["runs"] if row[name] is not None] for name in rows["runs"][0]}
    assert said["run_name"] == ['dpo: it\'s "2" \u2028']
    assert (said["project"], said["status"]) == (["7"], ["FINISHED"])
    assert said["started_at"] == [datetime(2026, 11, 23, 17, 28, 47, 804000, UTC)]
    assert said["ended_at"] == [datetime(2026, 11, 23, 17, 28, 56, 650000, UTC)]
    assert said["user_pseudonym"] == [PEOPLE.pseudonym("jo")]
    assert [json.loads(text) for text in said["extra_json"]] == [
        {"artifact_uri": f"file:///srv/mlruns/7/{RUN}/artifacts"},
        {"entry_point_name": ""},
        {"lifecycle_stage": "active"},
        {"run_id": RUN},
        {"tags": "[]"},
    ]


@pytest.mark.parametrize(
    "line",
    [
        "run_name: 'dpo: a name that goes on",
        "  in the next line'",
        f"user_id: {'jo ' * 30}",
        'run_name: "\\',
        'user_id: "jo\\U99999999"',
        'user_id: "jo": [1]',
    ],
)
def test_a_value_that_may_go_on_in_another_line_is_not_cut_short(line: str) -> None:
    rows = of_file(f"7/{RUN}/meta.yaml", line)

    assert rows.keys() == {"log_findings"}
    assert rows["log_findings"][0]["found"] == "a part of a value that goes on in another line"


def test_odd_lines_of_the_meta_file_keep_what_they_say() -> None:
    lines = "end_time: null\nstatus: 9\nstart_time: 12\nrun_name: two words\nno line\nuser_id: ''\n"

    rows = of_file(f"7/{RUN}/meta.yaml", lines)

    assert [row["status"] for row in rows["runs"]] == [None] * 5
    assert rows["runs"][3]["run_name"] == "two words"
    said = ['{"end_time":null}', '{"status":9}', '{"start_time":12}', None, None]
    assert [row["extra_json"] for row in rows["runs"]] == said
    assert [row["position"] for row in rows["log_findings"]] == [4]


def test_without_a_run_in_its_path_a_file_gives_no_event() -> None:
    assert of_file("metrics/loss", "1795454928319 0.5 1").keys() == {"log_findings"}


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (f"{RUN}/metrics/loss", "1795454928319 0.5 1\n", "mlflow_file_store"),
        (f"store/7/{RUN}/metrics/eval/kl.gz", "1795454928319 nan 1\n1795454928319 -inf 2\n", "mlflow_file_store"),
        (f"store/7/{RUN}/metrics/loss", "not a metric\n", "generic_text"),
        (f"store/7/{RUN}/params/lr", "0.1", "mlflow_file_store"),
        (f"store/7/{RUN}/params/names", '{"a": 1}', "mlflow_file_store"),
        (f"store/7/{RUN}/params/blank", "\n\n", "mlflow_file_store"),
        (f"store/7/{RUN}/params/empty", "", "empty"),
        (f"store/7/{RUN}/tags/mlflow.note", "# Title\n\ntext\n", "mlflow_file_store"),
        (f"store/7/{RUN}/meta.yaml", META, "mlflow_file_store"),
        (f"store/7/{RUN}/meta.yaml", "name: x\n", "generic_text"),
        ("store/7/meta.yaml", "artifact_location: x\nexperiment_id: '7'\nname: x\n", "generic_text"),
        ("store/metrics/loss", "1795454928319 0.5 1\n", "generic_text"),
        (f"store/7/models/m-{RUN}/metrics/loss", f"1795454928319 0.5 1 {RUN}\n", "generic_text"),
        (f"store/7/{RUN}/artifacts/params/x", "0.1", "generic_text"),
    ],
)
def test_a_file_is_told_by_its_path_and_its_lines(path: str, content: str, expected: str) -> None:
    assert format_of(path, content.encode()) == expected


CREATED = (
    'CREATE TABLE "runs" (run_uuid, name, source_type, user_id, status, start_time BIGINT, end_time BIGINT, '
    "lifecycle_stage, experiment_id INTEGER)",
    'CREATE TABLE "metrics" ("key", value FLOAT, timestamp BIGINT, run_uuid, step BIGINT, is_nan BOOLEAN)',
    'CREATE TABLE "params" ("key", value, run_uuid)',
    'CREATE TABLE "tags" ("key", value, run_uuid)',
)
WRITTEN = (
    f"INSERT INTO runs VALUES ('{RUN}', 'dpo', 'LOCAL', 'jo', 'FINISHED', 1795454927804, 1795454936650, 'active', 7)",
    f"INSERT INTO params VALUES ('lr', '0.1', '{RUN}'), ('api_key', 'verysecret123', '{RUN}')",
    f"INSERT INTO tags VALUES ('mlflow.user', 'jo', '{RUN}'), ('note', 'x', '{RUN}')",
    f"INSERT INTO metrics VALUES ('loss', 0.5, 1795454928319, '{RUN}', 1, 0)",
    f"INSERT INTO metrics VALUES ('loss', 0, 1795454928319, '{RUN}', 2, 1)",
    f"INSERT INTO metrics VALUES ('loss', 1.7976931348623157e308, 5, '{RUN}', 3, 0)",
    f"INSERT INTO metrics VALUES ('kl', -1.7976931348623157e308, 1795454928319, '{RUN}', 3, 0)",
    "CREATE TABLE alembic_version (version_num)",
    "INSERT INTO alembic_version VALUES ('abc')",
)


def database(folder: Path, statements: tuple[str, ...]) -> bytes:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as made:
        for statement in statements:
            made.execute(statement)
    return (folder / "mlflow.db").read_bytes()


def of_database(content: bytes) -> Rows:
    records = [(at, record, status) for at, (record, status, _) in enumerate(iter_items("sqlite", io.BytesIO(content)))]
    tables = derive_rows("mlflow_sqlite", source("mlflow.db"), records, PEOPLE)
    return {table: rows.to_pylist() for table, rows in tables.items()}


def test_a_database_says_what_the_files_say(tmp_path: Path) -> None:
    content = database(tmp_path, CREATED + WRITTEN)

    found = detect("a/mlflow.db", content[:HEAD_BYTES], len(content))
    rows = of_database(content)

    assert (found.container, found.format) == ("sqlite", "mlflow_sqlite")
    lr, key, run, user, note = rows["runs"]
    assert {row["run_id"] for row in rows["runs"]} == {RUN}
    assert (lr["config_json"], key["config_json"]) == ('{"lr":"0.1"}', '{"api_key":"[withheld: secret by its name]"}')
    assert (run["run_name"], run["project"], run["status"]) == ("dpo", "7", "FINISHED")
    assert (run["event_time"], run["event_time_quality"]) == (run["started_at"], "epoch_ms")
    assert run["extra_json"] == '{"lifecycle_stage":"active","source_type":"LOCAL"}'
    assert run["user_pseudonym"] == user["user_pseudonym"] == PEOPLE.pseudonym("jo")
    assert note["extra_json"] == '{"tags":{"note":"x"}}'
    assert [(m["metric"], m["step"], m["value"], m["value_state"]) for m in rows["training_metrics"]] == [
        ("loss", 1, 0.5, "finite"),
        ("loss", 2, None, "nan"),
        ("loss", 3, None, "+inf"),
        ("kl", 3, None, "-inf"),
    ]
    assert json.loads(rows["training_metrics"][2]["extra_json"]) == {"timestamp": 5, "value": 1.7976931348623157e308}
    assert [row["not_finite"] for row in rows["policy_updates"]] == [None, ["loss"], ["loss"], ["kl"]]
    others = [row["found"] for row in rows["log_findings"] if row["kind"] == "no_event"]
    assert others == ["a row of a table other than runs, metrics, params and tags"]
    assert "verysecret123" not in str(rows)


def test_every_column_of_a_row_is_kept(tmp_path: Path) -> None:
    added = ("ALTER TABLE params ADD COLUMN workspace", "ALTER TABLE metrics ADD COLUMN model_id")
    written = (
        f"INSERT INTO params VALUES ('lr', NULL, '{RUN}', 'w')",
        f"INSERT INTO metrics VALUES ('kl', NULL, 1795454928319, '{RUN}', 'x', 0, 'm')",
    )

    rows = of_database(database(tmp_path, CREATED + added + written))

    assert (rows["runs"][0]["config_json"], rows["runs"][0]["extra_json"]) == ('{"lr":null}', '{"workspace":"w"}')
    [metric] = rows["training_metrics"]
    assert (metric["value_state"], metric["extra_json"]) == ("null", '{"model_id":"m","step":"x"}')


@pytest.mark.parametrize("missing", range(4))
def test_another_database_is_not_claimed(tmp_path: Path, missing: int) -> None:
    created = tuple(one.replace("run_uuid", "id") if at == missing else one for at, one in enumerate(CREATED))

    assert format_of("mlflow.db", database(tmp_path, created)) == "generic_sqlite"


def test_odd_rows_are_findings() -> None:
    values: list[Any] = [
        {},
        {"table": "runs"},
        {"table": "metrics", "row": {"run_uuid": RUN, "key": 5}},
        {"table": "runs", "row": {"run_uuid": 5}},
        {"table": ["runs"], "row": {}},
    ]
    records = [(at, json.dumps(value).encode(), "ok") for at, value in enumerate(values)]

    tables = derive_rows("mlflow_sqlite", source("mlflow.db"), records, PEOPLE)

    assert tables.keys() == {"log_findings"}
    assert tables["log_findings"].column("position").to_pylist() == [0, 1, 2, 3, 4]


def test_people_are_nowhere_but_in_their_columns() -> None:
    rows = of_file(f"7/{RUN}/meta.yaml", "user_id: joanna.r\nname: x\nuser_id: 'joanna.r'\r\n")["runs"]
    odd = {"table": "runs", "row": {"run_uuid": RUN, "user_id": {"mail": "joanna.r"}}}
    [other] = derive_rows("mlflow_sqlite", source("x"), [(0, json.dumps(odd).encode(), "ok")], PEOPLE)[
        "runs"
    ].to_pylist()

    assert [row["user_pseudonym"] for row in rows] == [PEOPLE.pseudonym("joanna.r"), None, PEOPLE.pseudonym("joanna.r")]
    assert "joanna" not in str(rows) + str(other)


def test_every_column_that_is_declared_is_given(tmp_path: Path) -> None:
    store = [
        (f"{RUN}/meta.yaml", META),
        (f"{RUN}/params/lr", "1"),
        (f"{RUN}/tags/mlflow.source.git.commit", "a"),
        (f"{RUN}/tags/note", "a"),
        *((f"{RUN}/metrics/{key}", "1795454928319 0.5 1\n5 nan 2") for key in KEYS),
    ]
    given = set().union(*(columns_given(of_file(path, content)) for path, content in store))
    rows = of_database(database(tmp_path, CREATED + WRITTEN))

    assert ADAPTERS["mlflow_file_store"].fields.keys() - given == set()
    assert columns_given(rows) <= ADAPTERS["mlflow_sqlite"].fields.keys()
