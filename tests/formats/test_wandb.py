"""Events of Weights & Biases runs."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.containers.items import iter_items
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.support import MTIME, PEOPLE, derive, json_lines, to_parquet

FOLDER = "w/offline-run-20260301_172844-ab12cd34"
HISTORY = f"{FOLDER}/history.jsonl"
ROW = {
    "_step": 40,
    "_timestamp": 1_795_454_928.25,
    "_runtime": 3.5,
    "train/global_step": 7,
    "train/epoch": 0.25,
    "train/loss": 0.5,
    "eval/loss": 0.75,
}
CHART = [
    "Step",
    "run - a - train/kl",
    "run - a - train/kl__MIN",
    "run - a - train/kl__MAX",
    "b - kl",
    "b - kl__MIN",
    "b - kl__MAX",
]
TABLE = {"columns": ["global_step", "text", "reward"], "data": [[1, "user\nhi\nassistant\nyo", 0.5], [1, "x", None]]}
METADATA = {
    "os": "Linux-6.1",
    "python": "CPython 3.11.9",
    "startedAt": "2026-03-01T17:28:44.250Z",
    "args": ["--lr", "0.1", "--api_key=x"],
    "program": "/home/jo/run.py",
    "git": {"remote": "https://jo:pw@git.example/x.git", "commit": "a" * 40},
    "email": "joanna@corp.example",
    "host": "gpu-node-joanna",
    "username": "joanna",
    "slurm": {"job_user": "joanna", "submit_host": "login-joanna", "job_id": "5"},
    "cpu_count": 2,
}
Rows = dict[str, list[dict[str, Any]]]


def metrics(rows: Rows) -> list[tuple[Any, ...]]:
    return [(m["metric"], m["split"], m["step"], m["value"], m["value_state"]) for m in rows["training_metrics"]]


def to_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def of_items(format: str, path: str, container: str, content: bytes) -> Rows:
    return derive(format, path, [json.loads(record) for record, _, _ in iter_items(container, io.BytesIO(content))])


def format_of(path: str, content: bytes) -> str:
    return detect(path, content, len(content), tail=content).format


def test_a_row_of_the_history_is_metrics_at_the_trainers_step() -> None:
    rows = derive("wandb_history", HISTORY, [ROW])

    assert metrics(rows) == [
        ("_step", "system", 7, 40.0, "finite"),
        ("_runtime", "system", 7, 3.5, "finite"),
        ("train/loss", "train", 7, 0.5, "finite"),
        ("eval/loss", "eval", 7, 0.75, "finite"),
    ]
    row = rows["training_metrics"][0]
    assert (row["run_id"], row["epoch"]) == ("ab12cd34", 0.25)
    assert (row["event_time"], row["event_time_quality"]) == (
        datetime(2026, 11, 23, 17, 28, 48, 250000, UTC),
        "epoch_s",
    )
    [update] = rows["policy_updates"]
    assert (update["run_id"], update["step"], update["epoch"], update["loss"]) == ("ab12cd34", 7, 0.25, 0.5)
    assert update["event_time_quality"] == "epoch_s"


def test_without_a_step_of_the_trainer_the_step_is_wandbs_own() -> None:
    rows = derive("wandb_history", HISTORY, [{"_step": 3, "_timestamp": "late", "actor/lr": 0.1}])

    assert metrics(rows) == [
        ("_timestamp", "system", 3, None, "text"),
        ("actor/lr", "train", 3, 0.1, "finite"),
    ]
    assert rows["training_metrics"][0]["event_time"] == MTIME


def test_values_that_are_no_number_keep_their_state_and_what_they_were() -> None:
    media = {"_type": "table-file", "path": "media/table/x.table.json"}
    values = {"a": "NaN", "b": float("-inf"), "c": media, "d": "12", "e": True, "f": None, "g": "Infinity"}

    rows = derive("wandb_history", HISTORY, [{"_step": 3, **values}])["training_metrics"]

    assert [(row["metric"], row["value_state"], row["value_raw"]) for row in rows] == [
        ("a", "nan", "NaN"),
        ("b", "-inf", "-Infinity"),
        ("c", "text", '{"_type":"table-file","path":"media/table/x.table.json"}'),
        ("d", "text", "12"),
        ("e", "finite", "true"),
        ("g", "+inf", "Infinity"),
    ]


def test_the_same_history_gives_the_same_metrics_in_every_container() -> None:
    history = [ROW, {"_step": 41, "_timestamp": 1_795_454_929.5, "train/global_step": 8, "train/loss": 1e-07}]
    wide = [{key: row.get(key) for key in ROW} for row in history]

    as_lines = derive("wandb_history", HISTORY, history)
    as_csv = of_items("wandb_history", f"{FOLDER}/h.csv", "csv", to_csv(wide))
    as_parquet = of_items("wandb_history", f"{FOLDER}/h.parquet", "parquet", to_parquet(pa.Table.from_pylist(wide)))
    as_json = of_items("wandb_history", f"{FOLDER}/h.json", "json", json.dumps(history).encode())

    expected = sorted(metrics(as_lines), key=str)
    assert sorted(metrics(as_csv), key=str) == sorted(metrics(as_parquet), key=str) == expected
    assert sorted(metrics(as_json), key=str) == expected
    times = {row["event_time"] for row in as_lines["training_metrics"]}
    assert {row["event_time"] for row in as_csv["training_metrics"]} == times
    assert [row["loss"] for row in as_csv["policy_updates"]] == [0.5, 1e-07]


@pytest.mark.parametrize(
    ("text", "raw", "state"),
    [
        ("nan", "NaN", "nan"),
        ("-inf", "-Infinity", "-inf"),
        ("12", None, "finite"),
        ("1e999", "1e999", "text"),
        ("a b", "a b", "text"),
    ],
)
def test_a_field_of_a_csv_is_the_number_it_stands_for(text: str, raw: str | None, state: str) -> None:
    [row] = derive("wandb_history", HISTORY, [{"_step": "3", "x": text, "y": ""}])["training_metrics"]

    assert (row["metric"], row["step"], row["value_raw"], row["value_state"]) == ("x", 3, raw, state)


def test_a_row_without_metrics_is_a_finding() -> None:
    rows = derive("wandb_history", HISTORY, [{"_step": 3, "_timestamp": 1_795_454_929, "x": None}, {"a": 1}, [1], 5])

    assert [row["found"] for row in rows.pop("log_findings")] == ["a row without a metric"] + [
        "not of a shape that wandb_history 1 knows"
    ] * 3
    assert rows == {}


def test_a_chart_has_the_metrics_of_each_run() -> None:
    values = [["5", "0.5", "0.25", "0.75", "", "", ""], ["6", "", "", "", "", "", ""]]

    rows = derive("wandb_history", "x/chart.csv", [dict(zip(CHART, row, strict=True)) for row in values])

    assert metrics(rows) == [
        ("train/kl", "train", 5, 0.5, "finite"),
        ("train/kl__MIN", "train", 5, 0.25, "finite"),
        ("train/kl__MAX", "train", 5, 0.75, "finite"),
    ]
    assert {row["run_id"] for row in rows["training_metrics"]} == {"run - a"}
    assert [(row["run_id"], row["step"], row["kl"]) for row in rows["policy_updates"]] == [("run - a", 5, 0.5)]
    assert [row["position"] for row in rows["log_findings"]] == [1]


@pytest.mark.parametrize(
    ("path", "run_id"),
    [
        ("w/run-20260301_172844-my-id/files/wandb-summary.json", "my-id"),
        ("w/offline-run-20260301_172844-ab/run-ab.wandb.history.jsonl", "ab"),
        ("exports/run-ab-history/0000.parquet", "run-ab-history"),
        ("h.jsonl", None),
    ],
)
def test_the_run_is_the_one_that_the_folder_names(path: str, run_id: str | None) -> None:
    assert derive("wandb_history", path, [ROW])["training_metrics"][0]["run_id"] == run_id


def test_a_summary_is_of_the_whole_run() -> None:
    summary = ROW | {"_wandb": {"runtime": 9}, "train/train_loss": 0.5}

    rows = derive("wandb_summary", f"{FOLDER}/files/wandb-summary.json", [summary, {"x": 1}])

    assert {row["split"] for row in rows["training_metrics"]} == {"summary"}
    assert ("_wandb", '{"runtime":9}') in [(row["metric"], row["value_raw"]) for row in rows["training_metrics"]]
    assert "policy_updates" not in rows
    assert [row["position"] for row in rows["log_findings"]] == [1]


def test_a_table_of_openrlhf_is_generations_and_their_rewards() -> None:
    rows = derive("wandb_table", f"{FOLDER}/files/media/table/train/generated_samples_1_0a.table.json", [TABLE])

    first, second = rows["generations"]
    assert (first["run_id"], first["step"], first["split"], first["sample_index"]) == ("ab12cd34", 1, "train", 0)
    assert (first["prompt_text"], first["completion_text"]) == (None, TABLE["data"][0][1])  # type: ignore[index]
    assert (first["role_boundaries"], second["role_boundaries"]) == ("marker_text", "lost")
    found = [
        (s["generation_id"], s["scorer"], s["scorer_kind"], s["score"], s["score_state"]) for s in rows["reward_scores"]
    ]
    assert found == [
        (first["event_id"], "reward", None, 0.5, "finite"),
        (second["event_id"], "reward", None, None, "null_or_nan"),
    ]


def test_a_table_of_trl_is_generations_and_the_scores_of_each_function() -> None:
    talk = [{"role": "user", "content": "hi"}], [{"role": "assistant", "content": "yo"}]
    table = {
        "columns": ["step", "prompt", "completion", "len_reward", "trace", "advantage"],
        "data": [[3, "p", "c", {"$nonfinite": "NaN"}, "t", 0.25], [3, *talk, -1, "t", None]],
    }

    rows = derive("wandb_table", "a/x.table.json", [table])

    text, conversation = rows["generations"]
    assert (text["step"], text["prompt_text"], text["completion_text"], text["advantage"]) == (3, "p", "c", 0.25)
    assert text["extra_json"] == '{"trace":"t"}'
    assert (conversation["prompt_messages"][0]["content"], conversation["role_boundaries"]) == ("hi", "structured")
    assert conversation["completion_messages"][0]["content"] == "yo"
    scores = [(s["scorer"], s["scorer_kind"], s["score"], s["score_state"]) for s in rows["reward_scores"]]
    assert scores == [("len_reward", "reward_func", None, "nan"), ("len_reward", "reward_func", -1.0, "finite")]


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"columns": ["epoch", "image"], "data": [[1, 2]]}, "a table of other columns than OpenRLHF and TRL"),
        ({"columns": ["global_step", "text", "reward"], "data": []}, "a table without rows"),
        ({"columns": ["global_step", "text", "reward"], "data": [[1, "x"]]}, "not of a shape"),
        ({"columns": ["a", "a"], "data": [[1, 2]]}, "not of a shape"),
        ({"columns": [0, 1], "data": [[1, 2]]}, "not of a shape"),
    ],
)
def test_another_table_is_a_finding(table: dict[str, Any], found: str) -> None:
    rows = derive("wandb_table", "a/x.table.json", [table])

    assert rows.keys() == {"log_findings"}
    assert rows["log_findings"][0]["found"].startswith(found)


def test_metadata_are_a_run_without_its_peoples_names() -> None:
    path = f"{FOLDER}/files/wandb-metadata.json"
    content = json.dumps(METADATA | {"gpu_nvidia": [{"name": "NVIDIA H100", "uuid": "GPU-5"}]}, indent=2).encode()

    rows = of_items("wandb_metadata", path, "json", content)

    run, of_mail = rows["runs"]
    assert (run["run_id"], run["run_key"], run["framework"]) == ("ab12cd34", "ab12cd34", "wandb")
    assert run["started_at"] == run["event_time"] == datetime(2026, 3, 1, 17, 28, 44, 250000, UTC)
    assert (run["event_time_quality"], run["git_commit"]) == ("utc", "a" * 40)
    assert run["host_pseudonym"] == PEOPLE.pseudonym("gpu-node-joanna")
    assert run["user_pseudonym"] == PEOPLE.pseudonym("joanna")
    assert (of_mail["user_pseudonym"], of_mail["run_id"]) == (PEOPLE.pseudonym("joanna@corp.example"), "ab12cd34")
    assert of_mail["config_json"] is None
    config = json.loads(run["config_json"])
    assert config.keys() == METADATA.keys() - {"email", "host", "username", "slurm"} | {"gpu_nvidia"}
    assert config["args"] == METADATA["args"]
    assert "joanna" not in str(rows)
    assert "jo:pw" not in str(rows)
    found = [(row["kind"], row["position"], row["of_event"] == run["event_id"]) for row in rows["log_findings"]]
    assert sorted(found) == [("no_event", 1, False), ("withheld", 0, True), ("withheld", 0, True)]


def test_odd_people_are_nowhere() -> None:
    odd = METADATA | {"host": {"name": "joanna"}, "username": ["joanna"], "email": None, "state": "running"}

    rows = derive("wandb_metadata", "wandb-metadata.json", [odd])

    assert "joanna" not in str(rows)
    assert [(row["host_pseudonym"], row["user_pseudonym"], row["status"]) for row in rows["runs"]] == [
        (None, None, "running")
    ]


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("h.jsonl", json_lines([ROW] * 3), "wandb_history"),
        ("h.jsonl", json_lines([{"_step": 1, "_runtime": 1, "input": "a", "output": "b"}]), "wandb_history"),
        ("h.csv", to_csv([ROW]), "wandb_history"),
        ("h.json", json.dumps([ROW, ROW]).encode(), "wandb_history"),
        ("h.parquet", to_parquet(pa.Table.from_pylist([ROW])), "wandb_history"),
        ("chart.csv", to_csv([dict.fromkeys(CHART, "1")]), "wandb_history"),
        ("chart.csv", to_csv([dict.fromkeys(CHART[:-1], "1")]), "generic_csv"),
        ("chart.csv", to_csv([dict.fromkeys(CHART[:1], "1")]), "generic_csv"),
        ("chart.csv", to_csv([dict.fromkeys([*CHART, "note"], "1")]), "generic_csv"),
        ("h.jsonl", json_lines([{"_step": 1, "epoch": 1, "step": 2, "loss": 1.0}]), "generic_jsonl"),
        ("h.jsonl", json_lines([{"step": 1, "epoch": 1, "loss": 1.0}]), "trl_log_history"),
        ("f/wandb-summary.json", json.dumps(ROW | {"_wandb": {}}).encode(), "wandb_summary"),
        ("f/wandb-summary.json", b'{"a": 1}', "generic_json"),
        ("f/x_1_0a.table.json", json.dumps(TABLE).encode(), "wandb_table"),
        ("f/x.json", json.dumps(TABLE | {"_type": "table", "ncols": 3}).encode(), "wandb_table"),
        ("f/x.json", json.dumps(TABLE).encode(), "generic_json"),
        ("f/x.table.json", json.dumps(TABLE | {"index": [0, 1]}).encode(), "generic_json"),
        ("f/wandb-metadata.json", json.dumps(METADATA, indent=2).encode(), "wandb_metadata"),
        ("f/meta.json", json.dumps(METADATA | {"gpu_nvidia": [{}] * 8}, indent=2).encode(), "wandb_metadata"),
        ("f/wandb-metadata.json", b'{"os": "Linux", "python": "3"}', "generic_json"),
    ],
)
def test_a_file_is_told_by_what_it_holds(path: str, content: bytes, expected: str) -> None:
    assert format_of(path, content) == expected


def test_every_column_that_is_declared_is_given() -> None:
    named = {"train/reward": 1, "kl": 1, "grad_norm": 1, "lr": 1, "entropy": 1, "ppo_clip_ratio": 0.5}
    odd = {"_step": float("nan"), "_timestamp": 1_795_454_929, "loss": float("inf")}
    of_trl = {"columns": ["step", "prompt", "completion", "r", "t", "advantage"]}
    talk = [[{"role": "user", "content": "a"}], [{"role": "assistant", "content": "b"}]]
    tables = [TABLE, of_trl | {"data": [["x", "p", "c", 1, "t", 1.0], ["x", *talk, 1, "t", 1.0]]}]
    odd_run = METADATA | {"state": [1]}
    given = {
        "wandb_history": derive("wandb_history", HISTORY, [ROW | named, odd]),
        "wandb_summary": derive("wandb_summary", HISTORY, [ROW | {"_wandb": {}}, odd]),
        "wandb_table": derive("wandb_table", HISTORY, tables),
        "wandb_metadata": derive("wandb_metadata", HISTORY, [METADATA | {"state": "done"}, odd_run]),
    }

    for name, rows in given.items():
        assert columns_given(rows) == ADAPTERS[name].fields.keys(), name
