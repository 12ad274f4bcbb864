"""What a landed file is, whatever it is called."""

import csv
import gzip
import json

import pyarrow as pa
import pytest
import zstandard

from audit_pipeline.containers.csv_items import MAX_FIELD
from audit_pipeline.errors import PolicyError
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import HEAD_BYTES, compression_of, detect
from tests.formats.support import json_lines, to_parquet

ROLLOUT = {"input": "in", "output": "out", "gts": None, "score": 0.5, "step": 1}
STATE = {
    "best_model_checkpoint": None,
    "global_step": 2,
    "log_history": [{"step": 1, "epoch": 0.1, "loss": 1.0}],
    "max_steps": 9,
}


def container_of(path: str, content: bytes) -> str:
    return detect(path, content[:HEAD_BYTES], len(content)).container


def format_of(path: str, content: bytes) -> str:
    return detect(path, content[:HEAD_BYTES], len(content), tail=content[-65536:]).format


@pytest.mark.parametrize(
    ("path", "content", "container"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("2026-01-01-conv.json", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("rows.csv", b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        ("no-name", b"[1, 2]\n[3, 4]\n", "jsonl"),
        ("one.jsonl", b'{"a": 1}\n', "jsonl"),
        ("one.json", b'{"a": 1}\n', "json"),
        ("one", b'{"a": 1}', "jsonl"),
        ("one", b"[]", "text"),
        ("pretty.jsonl", json.dumps(STATE, indent=2).encode(), "json"),
        ("pretty", json.dumps([STATE], indent=2).encode(), "json"),
        ("array.json", b'\xef\xbb\xbf[{"a": 1}, {"a": 2}]', "json"),
        ("array.json", b'[\n{"a": 1},\n{"a": 2}\n]', "json"),
        ("broken.json", b'{"a": 1,, "b": 2}', "json"),
        ("deep.json", b"[" * 1000, "json"),
        ("text.json", b'"a text"', "json"),
        ("half.jsonl", b'{"a": 1}\n{"a": \n', "jsonl"),
        ("bad.jsonl", b'{"a": \n{"b": \n{"c": 1}\n', "jsonl"),
        ("first-bad.json", b'{"a": \n{"b": 1}\n{"c": 1}\n', "jsonl"),
        ("nul.jsonl", b'{"a": 1}\n\x00\x00\x00\x00\n{"a": 2}\n', "jsonl"),
        ("partial.jsonl", b'{"a": 1}\n{"a": 2}\n{"a"', "jsonl"),
        ("a.csv", b"x,y\n1,2\n", "csv"),
        ("a.tsv", b"x\ty\n", "csv"),
        ("long.csv", b"x,y\n1," + b"z" * 200_000 + b"\n", "csv"),
        ("cut.csv", b'x,y\n1,"' + b"z" * 300_000 + b'"\n', "csv"),
        ("a.csv", b"\n\n", "text"),
        ("latin.csv", b"x,y\nM\xfcller,2\n", "csv"),
        ("a.dat", b"x,y\n1,2\n", "text"),
        ("train.log", b"[2026-01-01 10:00:00] [INFO] start\n\x00\x00\x00\n", "text"),
        ("latin.out", "Die Größe und das Maß, überall im Land das gleiche\n".encode("latin-1"), "text"),
        ("metrics/loss", b"1795454137312 0.69 1\n", "text"),
        ("README.md", b"[![badge](x)](y)\n", "text"),
        ("image.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "whole"),
        ("noise", bytes(range(128, 256)) * 3, "whole"),
        ("utf16.csv", "x,y\n1,2\n".encode("utf-16"), "whole"),
        ("latin-header.csv", b"x,Gr\xf6\xdfe,a longer name,z\n1,2,3,4\n", "text"),
        ("twice.log", gzip.compress(b"text", mtime=0), "whole"),
        ("mixed.log", b'{"a": 1}\nplain\nplain\nplain\n', "text"),
        ("mixed.log", b'{"a": 1}\nplain\n{"a": 1}\n', "jsonl"),
        ("minority.json", b'{"a": 1}\nplain\nplain\nplain\n', "jsonl"),
        ("twice.gz", gzip.compress(b"text", mtime=0), "whole"),
        ("data", to_parquet(pa.table({"a": [1]})), "parquet"),
    ],
)
def test_the_container_is_told_by_content(path: str, content: bytes, container: str) -> None:
    assert container_of(path, content) == container


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("a.jsonl", b"", ("text", "empty")),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ("text", "lfs_pointer")),
        ("pytorch_model.bin", b'{"a": 1}\n{"a": 2}\n', ("whole", "weights")),
        ("optimizer.pt", b"PK\x03\x04", ("whole", "weights")),
        ("mlflow.db", b"SQLite format 3\x00" + bytes(100), ("sqlite", "generic_sqlite")),
        ("events.out", bytes.fromhex("4800000000000000 fe92489d") + bytes(80), ("tfrecord", "generic_tfrecord")),
        ("events.out", bytes.fromhex("4800000000000000 fe92489e") + bytes(80), ("whole", "generic_whole")),
    ],
)
def test_facts_come_first(path: str, content: bytes, expected: tuple[str, str]) -> None:
    found = detect(path, content, len(content))

    assert (found.container, found.format) == expected


def test_compression_is_told_by_the_first_bytes() -> None:
    assert compression_of(gzip.compress(b"x")) == "gzip"
    assert compression_of(zstandard.compress(b"x")) == "zstd"
    assert compression_of(b"\x1f\x8b") == compression_of(b"") == compression_of(b"{}") == "none"


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("out/trainer_state.json", json.dumps(STATE, indent=2).encode(), "trl_trainer_state"),
        ("out/log_history.jsonl", json_lines([{"step": 1, "epoch": 0.1, "loss": 1.0}] * 3), "trl_log_history"),
        ("out/callback.jsonl", json_lines([{"step": 1, "epoch": 0.1, "eval_loss": None}]), "trl_log_history"),
        ("rollouts/1.jsonl", json_lines([ROLLOUT]), "verl_rollouts"),
        ("rollouts/1.jsonl.gz", json_lines([ROLLOUT | {"acc": True}] * 2), "verl_rollouts"),
        ("p/e.jsonl", json_lines([{"step": 1, "data": {"actor/loss": 1.0, "x": None}}]), "verl_metrics"),
        ("hh.jsonl", json_lines([{"chosen": "a", "rejected": "b"}]), "preference_pairs"),
        ("hh.json", json.dumps([{"chosen": "a", "rejected": "b"}] * 2).encode(), "preference_pairs"),
        ("hh.csv", b"prompt,chosen,rejected\np,a,b\n", "preference_pairs"),
        ("kto.jsonl", json_lines([{"prompt": "p", "completion": "c", "label": True}]), "preference_pairs"),
        ("sft.jsonl", json_lines([{"prompt": "p", "completion": "c"}]), "prompts_and_completions"),
        ("alpaca.jsonl", json_lines([{"instruction": "i", "input": "a", "output": "b"}]), "generic_jsonl"),
        ("wandb.jsonl", json_lines([{"_step": 1, "epoch": 1, "step": 2, "loss": 1.0}]), "generic_jsonl"),
        ("messages.jsonl", json_lines([{"chosen": [], "rejected": []}]), "generic_jsonl"),
        ("mixed.jsonl", json_lines([ROLLOUT, {"chosen": "a", "rejected": "b"}] * 9), "generic_jsonl"),
        ("some.jsonl", json_lines([ROLLOUT, {"a": 1}] * 9), "generic_jsonl"),
        (
            "both.jsonl",
            json_lines([{"step": 1, "epoch": 1, "loss": 1, "chosen": "a", "rejected": "b"}]),
            "generic_jsonl",
        ),
        ("config.json", b'{\n "model_type": "llama"\n}', "generic_json"),
    ],
)
def test_the_tool_is_told_by_keys_and_types(path: str, content: bytes, expected: str) -> None:
    assert format_of(path, content) == expected


def test_a_few_broken_lines_do_not_hide_the_tool() -> None:
    content = json_lines([ROLLOUT] * 8) + b'{"input": \n\xff\n'

    assert format_of("rollouts/7.jsonl", content) == "verl_rollouts"


def test_a_document_larger_than_the_head_is_told_by_its_start() -> None:
    large = STATE | {"log_history": [{"step": n, "epoch": n / 10, "loss": 0.5, "note": '"[{'} for n in range(9000)]}
    content = json.dumps(large, indent=2, sort_keys=True).encode()

    for head_bytes in (*range(3000, 3120), HEAD_BYTES):
        found = detect("out/trainer_state.json", content[:head_bytes], len(content))
        assert (found.container, found.format) == ("json", "trl_trainer_state")


def test_the_line_that_the_head_cuts_does_not_count() -> None:
    content = b'{"a": 1}\n{"b": "' + b"x" * HEAD_BYTES + b'"}\n'

    assert container_of("no-name", content) == "jsonl"


def test_a_long_field_does_not_hide_the_rows_behind_it() -> None:
    """`csv` has one limit for the whole process; detection must not depend on who raised it."""
    content = b"prompt,chosen,rejected\np,a,b\n" + b"x" * 140_000 + b",a,b\n" + b"p,a,b,c\n" + b"p,a,b\n" * 50
    csv.field_size_limit(131_072)

    detect("a.csv", content, len(content))

    assert csv.field_size_limit() == MAX_FIELD


def test_a_line_larger_than_the_head_is_told_by_its_start() -> None:
    content = json_lines([ROLLOUT | {"tokens": list(range(100_000))}])

    assert detect("1.jsonl", content[:HEAD_BYTES], len(content)).format == "verl_rollouts"


def test_parquet_is_told_by_its_schema_or_else_its_name() -> None:
    wide = {"reward": pa.array([0.5]), "step": [1], "prompt": ["p"], "completion": ["c"], "advantage": [0.1]}
    completions = to_parquet(pa.table(wide))
    pairs = to_parquet(
        pa.table({"chosen": [[{"role": "user", "content": "x"}]], "rejected": [[{"role": "user", "content": "y"}]]})
    )

    assert format_of("x.parquet", completions) == "trl_completions"
    assert format_of("x.parquet", pairs) == "preference_pairs"
    head, size = b"PAR1" + bytes(HEAD_BYTES - 4), 10 * HEAD_BYTES
    assert detect("x.parquet", head, size).format == "generic_parquet"
    assert detect("x.parquet", head, size, tail=pairs[-3000:]).format == "preference_pairs"
    assert detect("completions/completions_00012.parquet", head, size).format == "trl_completions"
    assert detect("x.parquet", head, size, tail=pairs[-10:]).format == "generic_parquet"
    assert detect("x.parquet", head, size, tail=b"\xff" * 100 + b"\x20\x00\x00\x00PAR1").format == "generic_parquet"


def test_what_is_declared_wins_and_is_said() -> None:
    content = b"not JSON at all\n"

    found = detect("x.log", content, len(content), "verl_rollouts")

    assert (found.container, found.format) == ("jsonl", "verl_rollouts")
    assert found.evidence == "declared by the policy; by its content text"
    pairs = json.dumps([{"chosen": "a", "rejected": "b"}], indent=1).encode()
    assert detect("x", pairs, len(pairs), "preference_pairs").container == "json"
    assert detect("x", pairs, len(pairs), "generic_text").container == "text"


def test_no_declaration_makes_weights_or_nothing_into_logs() -> None:
    assert detect("a/model.bin", b"\x00", 1, "verl_rollouts").format == "weights"
    assert detect("a/1.jsonl", b"", 0, "verl_rollouts").format == "empty"


def test_an_unknown_declared_format_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(PolicyError, match=r"'verl_rollout' is not known; did you mean verl_rollouts\?"):
        detect("x", b"", 0, "verl_rollout")


def test_the_evidence_says_why_and_shows_no_content() -> None:
    content = json_lines([ROLLOUT | {"input": "SECRET"}] * 3)

    evidence = detect("rollouts/1.jsonl", content, len(content)).evidence

    assert evidence == "3 of 3 sampled lines are JSON; scored 0.95, the next 0.00"


def test_every_format_that_detection_gives_is_registered() -> None:
    containers = ("jsonl", "text", "json", "csv", "parquet", "tfrecord", "sqlite", "whole")

    assert {f"generic_{container}" for container in containers} <= ADAPTERS.keys()
    assert {"empty", "lfs_pointer", "weights"} <= ADAPTERS.keys()
