import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from audit_pipeline.formats.detect import HEAD_BYTES, compression_of, detect
from audit_pipeline.samples import write_sample_logs

DAYS = [date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)]


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing")
    write_sample_logs(folder, DAYS, 2000, seed=1)
    return folder


def files_below(folder: Path) -> dict[str, tuple[bytes, int]]:
    """(bytes, modification time) of each file, by path."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def read(landing: Path, name: str) -> bytes:
    return (landing / "runs" / DAYS[0].isoformat() / name).read_bytes()


def test_the_same_seed_gives_the_same_files_and_times(landing: Path, tmp_path: Path) -> None:
    count = write_sample_logs(tmp_path, DAYS, 2000, seed=1)

    assert files_below(tmp_path) == files_below(landing)
    assert count == len(files_below(tmp_path))
    assert read(tmp_path, "preferences/pairs.jsonl.gz")[4:8] == bytes(4)  # gzip's own time


def test_another_seed_gives_other_content(landing: Path, tmp_path: Path) -> None:
    write_sample_logs(tmp_path, DAYS, 2000, seed=2)

    here, there = files_below(tmp_path), files_below(landing)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name][0] == there[name][0] and here[name][0]] == []


def test_each_day_has_files_of_its_own_time(landing: Path) -> None:
    for day in DAYS:
        folder = landing / "runs" / day.isoformat()
        times = [datetime.fromtimestamp(p.stat().st_mtime, UTC) for p in folder.rglob("*") if p.is_file()]
        assert times
        assert {time.date() for time in times} == {day}


@pytest.mark.parametrize("records", [300, 2000, 9000])
def test_records_scale_the_volume(tmp_path: Path, records: int) -> None:
    write_sample_logs(tmp_path, DAYS, records, seed=1)

    found = 0
    for path in tmp_path.rglob("*.*"):
        if path.suffix == ".parquet":
            found += pq.read_metadata(path).num_rows
        elif path.name == "trainer_state.json":
            found += 1 + len(json.loads(path.read_bytes())["log_history"])
        elif path.suffix == ".json":
            found += len(json.loads(path.read_bytes()))
        elif path.suffix == ".csv":
            found += path.read_bytes().count(b"\n") - 1
        elif path.is_file():
            content = path.read_bytes()
            found += len((gzip.decompress(content) if path.suffix == ".gz" else content).splitlines())
    assert records * 0.9 <= found <= records * 1.2


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("trl/dpo/trainer_state.json", "trl_trainer_state"),
        ("trl/dpo/log_history.jsonl", "trl_log_history"),
        ("trl/grpo/completions/completions_00001.parquet", "trl_completions"),
        ("verl/rollouts/1.jsonl", "verl_rollouts"),
        ("verl/metrics/assistant/grpo.jsonl", "verl_metrics"),
        ("preferences/pairs.jsonl.gz", "preference_pairs"),
    ],
)
def test_a_sample_is_taken_for_what_its_tool_writes(landing: Path, name: str, format_name: str) -> None:
    raw = read(landing, name)
    content = gzip.decompress(raw) if compression_of(raw) == "gzip" else raw

    assert detect(name, content[:HEAD_BYTES], len(raw), tail=content).format == format_name


def test_samples_without_a_detector_have_the_fields_of_their_tools(landing: Path) -> None:
    task = json.loads(read(landing, "label_studio/project-7.json"))[0]
    header = read(landing, "crowd/comparisons.csv").splitlines()[0]
    rollout = json.loads(read(landing, "verl/rollouts/1.jsonl").splitlines()[0])

    assert task["annotations"][0]["result"][0]["type"] == "pairwise"
    assert {"completed_by", "created_at", "lead_time", "was_cancelled"} <= task["annotations"][0].keys()
    assert header == b"id,prompt,model_x,model_y,worker,winner,left,right"
    assert {"input", "output", "gts", "score", "step"} <= rollout.keys()


def test_broken_content_is_among_the_samples(landing: Path) -> None:
    rollouts = landing / "runs" / DAYS[0].isoformat() / "verl" / "rollouts"
    broken, empty = sorted(rollouts.iterdir(), key=lambda path: int(path.stem))[-2:]
    lines = broken.read_bytes().split(b"\n")

    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[1])
    with pytest.raises(UnicodeDecodeError):
        lines[2].decode()
    assert lines[3].count(b'"score"') == 2
    assert lines[-1] != b""  # no newline at the end
    assert empty.read_bytes() == b""
    assert b'"grad_norm": NaN' in read(landing, "trl/dpo/log_history.jsonl")
    torn = read(landing, "verl/metrics/assistant/grpo.jsonl").split(b"\n")[-1]
    assert torn.startswith(b'{"step": ')
    with pytest.raises(json.JSONDecodeError):
        json.loads(torn)


def test_existing_files_of_other_days_stay(tmp_path: Path) -> None:
    write_sample_logs(tmp_path, DAYS[:1], 300, seed=1)
    before = files_below(tmp_path)

    write_sample_logs(tmp_path, [DAYS[0] + timedelta(days=7)], 300, seed=1)

    assert before.items() < files_below(tmp_path).items()
