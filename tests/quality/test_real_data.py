"""The shipped suites on real logs: what they find is what is there, counted from the files by other means."""

import csv
import gzip
import json
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from audit_pipeline.judging import JudgedDay, judge_day
from audit_pipeline.policy.models import ColumnsAttributes, StreamAttributes
from audit_pipeline.quality.findings import Finding
from audit_pipeline.sources.landing import Stream
from tests.lakes import TODAY, LakeForTests
from tests.quality.day import SUITES

LLMFAO = StreamAttributes(
    name="crowd",
    path="crowd/{date}/**",
    format="mapped_csv",
    columns=ColumnsAttributes(
        item_id="id", annotator_id="worker", outcome="winner", outcomes={"left": "a", "right": "b", "tie": "tie"}
    ),
).stream()


def data(shared: Path, *names: str) -> list[Path]:
    files = [shared / "data" / name for name in names]
    if missing := [file for file in files if not file.exists()]:
        pytest.skip(f"{missing[0]} is absent")
    return files


def judge_files(made: LakeForTests, files: list[Path], stream: Stream | None = None) -> JudgedDay:
    if stream is not None:
        made.streams = [stream]
    for file in files:
        path = (
            made.places.landing / (stream.name if stream else "runs") / TODAY.isoformat() / file.parent.name / file.name
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes())
    made.run(TODAY)
    return judge_day(made.lake, TODAY, SUITES, (), now=lambda: made.now, entropy=made.entropy)


def of(judged: JudgedDay, table: str, name: str) -> Finding:
    (found,) = [one for one in judged.findings if (one.table, one.expectation.name) == (table, name)]
    return found


def test_nemo_aligners_sample_repeats_four_rows_25_times(lake: LakeForTests, shared: Path) -> None:
    (file,) = data(shared, "nemo_aligner/dummy-dpo.jsonl")
    counts = Counter(file.read_text().splitlines())
    assert sorted(counts.values()) == [25] * 4

    judged = judge_files(lake, [file])

    repeated = of(judged, "generations", "items_repeated")
    assert (repeated.state, repeated.failing) == ("failed", sum(counts.values()) - len(counts))


def test_llmfao_has_124_workers_of_whom_some_flood(lake: LakeForTests, shared: Path) -> None:
    (file,) = data(shared, "llmfao/crowd-comparisons.csv")
    rows = list(csv.DictReader(file.open(newline="")))
    by_worker = Counter(row["worker"] for row in rows)
    limit = max(100, 10 * median(by_worker.values()))
    assert (len(by_worker), max(by_worker.values())) == (124, 343)

    judged = judge_files(lake, [file], LLMFAO)

    assert len({row["annotator_id"] for row in lake.rows("annotations")}) == len(by_worker)
    flooding = of(judged, "annotations", "no_flooding")
    assert flooding.failing == sum(n for n in by_worker.values() if n > limit)
    sides = Counter(row["winner"] for row in rows)
    share = sides["left"] / (sides["left"] + sides["right"])
    bias = of(judged, "annotations", "position_bias")
    assert bias.observed_value == pytest.approx(share)
    judges = Counter((row["id"]) for row in {(r["id"], r["worker"]): r for r in rows}.values())
    overlap = of(judged, "annotations", "overlap")
    assert overlap.observed_value == pytest.approx(sum(judges.values()) / len(judges))
    assert of(judged, "annotations", "agreement").state in ("passed", "failed")
    twice = Counter((row["id"], row["worker"]) for row in rows)
    assert (of(judged, "annotations", "judged_once").failing or 0) == sum(n - 1 for n in twice.values())


def test_mt_bench_has_scores_of_two_kinds_and_unparsed_ones(lake: LakeForTests, shared: Path) -> None:
    (file,) = data(shared, "mt_bench/gpt-4_single.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    scores = [line["score"] for line in lines]
    by_judge: dict[str, list[float]] = {}
    for line in lines:
        if line["score"] != -1:
            by_judge.setdefault(line["judge"][1], []).append(line["score"])
    mixed = sum(
        sum(score != round(score) for score in found)
        for found in by_judge.values()
        if len(found) >= 20 and sum(score == round(score) for score in found) >= 0.8 * len(found)
    )

    judged = judge_files(lake, [file])

    assert (of(judged, "reward_scores", "scores_parsed").failing or 0) == scores.count(-1)
    assert (of(judged, "reward_scores", "scores_of_one_kind").failing or 0) == mixed
    assert mixed > 0


def test_hh_rlhf_has_no_pair_of_different_prompts(lake: LakeForTests, shared: Path) -> None:
    (file,) = data(shared, "hh_rlhf/harmless-base_test_0000-0299.jsonl.gz")
    pairs = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    cut = "\n\nAssistant:"
    differ = sum(one["chosen"].rpartition(cut)[0] != one["rejected"].rpartition(cut)[0] for one in pairs)

    judged = judge_files(lake, [file])

    prompts = of(judged, "annotations", "prompts_differ_in_pair")
    assert (prompts.state, prompts.failing, differ) == ("passed", 0, 0)
    assert prompts.rows == len(pairs)


def test_a_real_diverged_run_would_be_seen_and_sound_ones_are_quiet(lake: LakeForTests, shared: Path) -> None:
    """The runs of the sample are sound: nothing of training fails on them."""
    files = [file for folder in data(shared, "trl") for file in sorted(folder.rglob("trainer_state.json"))][:3]
    values = [entry for file in files for entry in json.loads(file.read_text())["log_history"]]
    hidden = sum(e.get("loss") == 0 and e.get("grad_norm") != e.get("grad_norm") for e in values)

    judged = judge_files(lake, files)

    failing = of(judged, "policy_updates", "divergence_hidden").failing or 0
    assert failing == hidden
    failed = {(one.table, one.expectation.name) for one in judged.findings if one.state in ("failed", "error")}
    assert not {name for table, name in failed if table in ("policy_updates", "training_metrics")}
