"""Detection, items and events of real run logs, where they are at hand."""

import gzip
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit_pipeline.containers.items import iter_items, json_line_status
from audit_pipeline.containers.lines import fast_lines_ok
from audit_pipeline.formats.adapter import SourceContext
from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.formats.detect import HEAD_BYTES, Detection, compression_of, detect
from tests.formats.support import PEOPLE

CONTAINERS = {"json_object": "json", "json_array": "json"}
OURS = {
    "argilla",
    "judge_scores",
    "label_studio",
    "mlflow_file_store",
    "oasst_message",
    "oasst_tree",
    "model_card",
    "model_config",
    "nemo_aligner_rm",
    "nemo_rl",
    "open_instruct_metadata",
    "open_instruct_rollouts",
    "trl_trainer_state",
    "trl_log_history",
    "trl_completions",
    "verl_rollouts",
    "verl_metrics",
    "pairs_jsonl",
    "preference_pairs",
    "tensorboard",
    "wandb_history",
}


@pytest.fixture
def logs(shared: Path) -> list[tuple[dict[str, Any], bytes, Detection]]:
    """(manifest entry, decompressed bytes, what it was found to be) of each file."""
    folder = shared / "data"
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip("../shared/data/MANIFEST.json is absent")
    return [(entry, *_read(folder, entry)) for entry in json.loads((folder / "MANIFEST.json").read_text())]


def _read(folder: Path, entry: dict[str, Any]) -> tuple[bytes, Detection]:
    raw = (folder / entry["path"]).read_bytes()
    content = gzip.decompress(raw) if compression_of(raw) == "gzip" else raw
    return content, detect(entry["path"], content[:HEAD_BYTES], len(raw), tail=content[-65536:])


def records_of(content: bytes, container: str) -> Iterator[tuple[int, bytes, str]]:
    if container in ("json", "csv", "parquet", "tfrecord"):
        for at, (record, status, _) in enumerate(iter_items(container, io.BytesIO(content))):
            yield at, record, status
    else:
        for at, line in enumerate(content.removesuffix(b"\n").split(b"\n")):
            yield at, line, json_line_status(line, at == 0)[0] if container == "jsonl" else "ok"


def test_containers_are_right(logs: list[tuple[dict[str, Any], bytes, Detection]]) -> None:
    wrong = [
        (entry["path"], found)
        for entry, _, found in logs
        if found.container != CONTAINERS.get(entry["container"], entry["container"])
    ]

    assert len(logs) > 250
    assert wrong == []


def test_formats_are_right_and_no_other_tools_file_is_claimed(
    logs: list[tuple[dict[str, Any], bytes, Detection]],
) -> None:
    wrong = [
        (entry["path"], found)
        for entry, _, found in logs
        if (found.format if found.format in OURS else None) != (entry["format"] if entry["format"] in OURS else None)
    ]

    assert {found.format for _, _, found in logs} >= OURS
    assert wrong == []


def test_every_row_is_an_item(logs: list[tuple[dict[str, Any], bytes, Detection]]) -> None:
    for entry, content, found in logs:
        if found.container not in ("jsonl", "json", "csv", "parquet", "tfrecord"):
            continue
        records = list(records_of(content, found.container))
        # The manifest counts the log entries of a trainer state; its header is an item too.
        extra = 1 if entry["format"] == "trl_trainer_state" else 0
        assert len(records) == entry["rows"] + extra, entry["path"]
        assert {status for _, _, status in records} == {"ok"}, entry["path"]


def test_the_fast_check_accepts_real_lines(logs: list[tuple[dict[str, Any], bytes, Detection]]) -> None:
    """But for NaN, which it leaves to the exact one."""
    for entry, content, found in logs:
        if found.container == "jsonl" and b"NaN" not in content:
            lengths = np.array([len(line) for line in content.removesuffix(b"\n").split(b"\n")])
            assert fast_lines_ok(content, lengths), entry["path"]


def test_every_record_of_a_known_tool_gives_events(logs: list[tuple[dict[str, Any], bytes, Detection]]) -> None:
    for entry, content, found in logs:
        if found.format not in OURS:
            continue
        mtime = datetime(2026, 3, 1, tzinfo=UTC)
        source = SourceContext("runs", entry["path"], "0" * 64, 0, 0, date(2026, 3, 1), mtime)
        records = list(records_of(content, found.container))

        tables = derive_rows(found.format, source, records, PEOPLE)

        findings = tables["log_findings"].to_pylist() if "log_findings" in tables else []
        # A text has blank lines and lines that say nothing; a record that is not understood has another finding.
        unread = [row["found"] for row in findings if row["found"].startswith(("not of a shape", "no value", "nested"))]
        assert unread == [], entry["path"]
        seen = {position for table in tables.values() for position in table.column("position").to_pylist()}
        assert seen == {position for position, _, _ in records}, entry["path"]
        if found.format == "preference_pairs":
            assert tables["annotations"].num_rows == entry["rows"]
            assert tables["generations"].num_rows == 2 * entry["rows"]
        if found.format == "trl_completions":
            assert {*tables["generations"].column("run_id").to_pylist()} == {"grpo-s1"}


def test_a_run_has_one_name_over_all_its_files(logs: list[tuple[dict[str, Any], bytes, Detection]]) -> None:
    for entry, content, found in logs:
        if not found.format.startswith(("trl_", "tensorboard")):
            continue
        source = SourceContext("runs", entry["path"], "0" * 64, 0, 0, date(2026, 3, 1), None)

        tables = derive_rows(found.format, source, records_of(content, found.container), PEOPLE)

        tables.pop("log_findings", None)
        run_ids = {run_id for table in tables.values() for run_id in table.column("run_id").to_pylist()}
        assert run_ids == {entry["path"].split("/")[1]}, entry["path"]
