"""Real run logs of many tools, landed as they are: everything is taken in, sealed and verified, and nothing is lost."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from audit_pipeline.lake import evidence
from tests.conftest import SHARED
from tests.lakes import TODAY, LakeForTests

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent: real run logs are not in the project")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> LakeForTests:
    """A lake with every file of ../shared/data taken in and sealed."""
    lake = LakeForTests(tmp_path_factory.mktemp("real"))
    shutil.copytree(SHARED / "data", lake.places.landing / "runs" / TODAY.isoformat())
    lake.run()
    return lake


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict[str, object]]:
    return {entry["path"]: entry for entry in json.loads((SHARED / "data" / "MANIFEST.json").read_text())}


@pytest.fixture(scope="module")
def taken(real: LakeForTests) -> dict[str, dict[str, object]]:
    """By path: the source's row, and its records in order."""
    records: dict[object, list[bytes]] = {}
    for row in real.rows("records"):
        records.setdefault(row["source_id"], []).append(bytes(row["record"]))  # type: ignore[arg-type]
    return {
        str(row["path"]).removeprefix(f"{TODAY}/"): {**row, "lines": records.get(row["source_id"], [])}
        for row in real.rows("sources")
    }


def test_every_file_is_taken_in_and_the_day_verifies(
    real: LakeForTests, taken: dict[str, dict[str, object]], manifest: dict[str, dict[str, object]]
) -> None:
    assert set(taken) == {*manifest, "MANIFEST.json"}
    assert real.lost() == []
    found = real.verify()
    assert found.problems == ()
    assert found.sources == len(taken)


def test_the_records_reproduce_every_line_source(taken: dict[str, dict[str, object]]) -> None:
    checked = 0
    for name, source in taken.items():
        if source["container"] not in ("jsonl", "text"):
            continue
        content = (SHARED / "data" / name).read_bytes()
        if source["compression"] == "gzip":
            content = gzip.decompress(content)
        joined = b"\n".join(source["lines"])  # type: ignore[arg-type]
        has_newline_at_end = source["partial_tails"] == 0 and bool(source["lines"])
        assert joined + (b"\n" if has_newline_at_end else b"") == content, name
        checked += 1
    assert checked > 200


def test_the_kept_object_reproduces_every_other_source(real: LakeForTests, taken: dict[str, dict[str, object]]) -> None:
    kept = {name: str(source["object"]) for name, source in taken.items() if source["object"]}
    assert set(kept) == {
        name for name, s in taken.items() if s["container"] not in ("jsonl", "text") or s["compression"] != "none"
    }
    for name, object_name in kept.items():
        with evidence.open_object(real.lake.evidence, object_name) as stream:
            assert stream.read() == (SHARED / "data" / name).read_bytes(), name


CONTAINERS = {
    "jsonl": "jsonl",
    "parquet": "parquet",
    "csv": "csv",
    "json_array": "json",
    "json_object": "json",
    "text": "text",
    "tfrecord": "tfrecord",
}


def test_containers_and_counts_are_those_of_the_manifest(
    taken: dict[str, dict[str, object]], manifest: dict[str, dict[str, object]]
) -> None:
    """A trainer state has one record more than it has log entries: the object around them."""
    for name, entry in manifest.items():
        source = taken[name]
        container = CONTAINERS.get(str(entry["container"]), "whole")
        assert source["container"] == container, (name, source["format_evidence"])
        if entry["container"] in ("jsonl", "parquet", "csv", "json_array", "tfrecord"):
            assert len(source["lines"]) == entry["rows"], name  # type: ignore[arg-type]
        if entry["format"] == "trl_trainer_state":
            assert len(source["lines"]) == int(str(entry["rows"])) + 1, name  # type: ignore[arg-type]


def test_the_event_tables_of_the_tools_read_so_far_have_rows(
    real: LakeForTests, manifest: dict[str, dict[str, object]]
) -> None:
    """Rollouts and completions are generations, one each; pairs are annotations; nothing is invented."""
    rows: dict[str, int] = {}
    for entry in manifest.values():
        rows[str(entry["format"])] = rows.get(str(entry["format"]), 0) + int(str(entry["rows"]))
    by_format: dict[object, int] = {}
    for row in real.rows("generations"):
        by_format[row["source_format"]] = by_format.get(row["source_format"], 0) + 1
    assert by_format["verl_rollouts"] == rows["verl_rollouts"]
    assert by_format["trl_completions"] == rows["trl_completions"]
    assert {row["source_format"] for row in real.rows("training_metrics")} >= {"trl_trainer_state", "verl_metrics"}
    assert len(real.rows("annotations")) >= rows["preference_pairs"]


def test_a_second_run_changes_nothing(real: LakeForTests) -> None:
    before = real.files()

    real.run()

    assert real.files() == before
    assert Path(real.places.lake).is_dir()
