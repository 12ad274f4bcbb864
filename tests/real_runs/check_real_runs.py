"""Real TRL trainings, read while they write, then one resumed from a checkpoint: both attempts are there.

`make real-runs` makes an environment with TRL and runs this. It is not part of `make test`: TRL needs torch.
"""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from audit_pipeline.derive import derive_events
from audit_pipeline.lake import evidence
from audit_pipeline.lake.keys import load_person_keys
from tests.lakes import TODAY, LakeForTests

STEPS, SAVED_AT = 20, 10
TRAIN = Path(__file__).parent / "train.py"


def train(kind: str, out: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [os.environ["TRL_PYTHON"], str(TRAIN), kind, str(out), str(STEPS), *more]
    environ = {**os.environ, "TENSORBOARD_LOGGING_DIR": str(out / "runs"), "HF_HUB_OFFLINE": "1"}
    environ.pop("PYTHONPATH", None)
    return subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def follow(lake: LakeForTests, training: "subprocess.Popen[bytes]") -> int:
    """Take in and derive for as long as it trains; gives back how often."""
    times = 0
    while training.poll() is None:
        lake.ingest()
        derive_events(lake.lake, lake.entropy, passphrase=None)
        times += 1
    _, errors = training.communicate()
    assert training.returncode == 0, errors.decode()[-2000:]
    return times


def kept(lake: LakeForTests, name: str) -> list[bytes]:
    """What the lake gives back of a landed file: its kept objects, or its lines of each generation."""
    rows = [row for row in lake.rows("sources") if row["path"] == f"{TODAY}/{name}"]
    found = []
    for generation in {row["generation"]: row for row in rows}:
        of = [row for row in rows if row["generation"] == generation]
        if of[0]["object"] is None:
            lines = {
                record["position"]: bytes(record["record"])  # type: ignore[arg-type]
                for record in lake.rows("records")
                if (record["source_id"], record["generation"]) == (of[0]["source_id"], generation)
            }
            found.append(b"".join(line + b"\n" for _, line in sorted(lines.items())))  # type: ignore[type-var]
        for row in of:
            if row["object"] is not None:
                with evidence.open_object(lake.lake.evidence, str(row["object"])) as file:
                    found.append(file.read())
    return found


@pytest.mark.parametrize("kind", ["dpo", "reward", "grpo"])
def test_a_run_and_its_resumption_are_all_there(tmp_path: Path, kind: str) -> None:
    lake = LakeForTests(tmp_path)
    name = f"{kind}-s1"
    out = lake.places.landing / "runs" / TODAY.isoformat() / name

    assert follow(lake, train(kind, out)) > 3, "it is read while it grows"
    lake.run()
    weights = (".safetensors", ".bin", ".pt")
    first = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    first = {path: content for path, content in first.items() if not path.endswith(weights)}
    follow(lake, train(kind, out, "--resume"))
    lake.run()

    found = lake.verify(people=load_person_keys(lake.places.keys, None))
    assert found.problems == ()
    assert lake.lost() == []
    for path, content in first.items():
        given = kept(lake, f"{name}/{path}")
        assert any(one.startswith(content) for one in given), path
    changed = {path for path, content in first.items() if (out / path).read_bytes() != content}
    assert {"trainer_state.json", "log_history.jsonl"} <= changed, "the second run wrote over the first one's files"
    _check_steps(lake, name)
    if kind == "grpo":
        _check_completions(lake, name, changed)


def _check_steps(lake: LakeForTests, name: str) -> None:
    """Steps up to the checkpoint were logged once by the callback, the later ones twice; each has its attempt."""
    rows = [row for row in lake.rows("training_metrics") if row["source_format"] == "trl_log_history"]
    losses = [row for row in rows if row["metric"] == "loss" and row["split"] == "train"]
    assert {row["run_id"] for row in losses} == {name}
    counted = Counter(int(str(row["step"])) for row in losses)
    assert counted == {step: 1 if step <= SAVED_AT else 2 for step in range(1, STEPS + 1)}
    by_step: dict[object, list[int]] = {}
    for row in lake.rows("training_metrics"):
        if row["metric"] == "loss" and row["split"] == "train":
            by_step.setdefault(row["step"], []).append(int(str(row["attempt"])))
    assert all(sorted(attempts) == list(range(len(attempts))) for attempts in by_step.values())
    formats = {row["source_format"] for row in lake.rows("training_metrics")}
    assert {"trl_trainer_state", "trl_log_history", "tensorboard"} <= formats


def _check_completions(lake: LakeForTests, name: str, changed: set[str]) -> None:
    """Each file that the second attempt wrote over is there twice."""
    generations: dict[str, set[object]] = {}
    for row in lake.rows("sources"):
        generations.setdefault(str(row["path"]).removeprefix(f"{TODAY}/{name}/"), set()).add(row["generation"])
    files = [f"completions/completions_{step:05}.parquet" for step in range(1, STEPS + 1)]
    rewritten = changed & set(files)
    assert generations.keys() >= set(files)
    assert rewritten
    assert rewritten <= set(files[SAVED_AT:])
    assert all(len(generations[path]) >= 2 for path in rewritten)
