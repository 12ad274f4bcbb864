"""A day of event tables on which every shipped expectation holds, made of plain rows that a test may spoil."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_pipeline.policy.suites import load_suites
from audit_pipeline.quality.day_database import day_database
from audit_pipeline.quality.findings import Finding
from audit_pipeline.quality.judging import judge
from audit_pipeline.quality.suites import Suite
from audit_pipeline.records.events import EVENT_SCHEMAS

DAY = date(2026, 3, 5)
EVENING = datetime(2026, 3, 5, 20, tzinfo=UTC)
SUITES = load_suites(Path(__file__).resolve().parents[2] / "expectations", EVENT_SCHEMAS)
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "s", "rk", "lt", "m")]
ITEMS, ROLLOUTS = 60, 60

Row = dict[str, Any]
Day = dict[str, list[Row]]


def clean_day() -> Day:
    """The rows of each event table. The same each time."""
    rng = random.Random(20260305)
    day: Day = {name: [] for name in EVENT_SCHEMAS}
    for item in range(ITEMS):
        prompt = text(rng, 12)
        pair = [
            add(day, "generations", split="dataset", sample_index=side, group_id=str(item), prompt_text=prompt,
                completion_text=text(rng, rng.randint(20, 40)), role_boundaries="lost", source_format="argilla")
            for side in (0, 1)
        ]  # fmt: skip
        truth = "ab"[item % 2]
        for judge_number in range(3):
            outcome = truth if rng.random() < 0.9 else "tie"
            better = {"a": 0, "b": 1}.get(outcome)
            add(day, "annotations", item_id=str(item), annotator_id=f"p{(item + judge_number) % 9}", outcome=outcome,
                annotator_kind="human", question="better", kind="pairwise", status="submitted", is_gold=False,
                lead_time_s=rng.uniform(5, 60), created_at=EVENING, updated_at=EVENING + timedelta(seconds=9),
                response_a_id=pair[0], response_b_id=pair[1],
                chosen_id=None if better is None else pair[better],
                rejected_id=None if better is None else pair[1 - better])  # fmt: skip
    for item in range(30):
        for kind_of_judge, gold in (("human", True), ("human", False)):
            add(day, "annotations", item_id=f"g{item}", annotator_id=f"q{gold}{item % 3}", annotator_kind=kind_of_judge,
                question="harmful", kind="binary", value_num=float(item % 2), status="submitted", is_gold=gold,
                lead_time_s=rng.uniform(5, 60))  # fmt: skip
    for n in range(ROLLOUTS):
        length = rng.randint(8, 30)
        generation = add(day, "generations", split="train", step=n // 10, completion_token_ids=list(range(length)),
                         logprobs=[-0.5] * length, finish_reason="stop", prompt_token_ids=[n, n + 1],
                         source_format="open_instruct_rollouts", extra_json='{"dataset": "d"}')  # fmt: skip
        add(day, "reward_scores", generation_id=generation, scorer="rm", scorer_kind="reward_model", step=n // 10,
            score=rng.gauss(0, 1), score_state="finite", extra_json='{"raw": "1"}')  # fmt: skip
        add(day, "reward_scores", scorer="gpt", scorer_kind="judge", score=float(n % 10), score_state="finite")
    for step in range(30):
        numbers = {"loss": 0.7 - step / 100, "kl": step / 100, "grad_norm": 1.0, "entropy": 2.0, "lr": 1e-5}
        add(day, "policy_updates", run_id="r", step=step, reward=rng.gauss(0, 1), clip_fraction=0.1, **numbers)
        for metric, value in (*numbers.items(), ("rewards/accuracies", 0.5)):
            add(day, "training_metrics", run_id="r", step=step, epoch=step / 30, split="train", metric=metric,
                value=value, value_state="finite", extra_json='{"ts": 1}')  # fmt: skip
        add(day, "runs", run_key="r", framework="trl", seed=step, started_at=EVENING, extra_json='{"host": "h"}',
            ended_at=EVENING + timedelta(hours=1))  # fmt: skip
        add(day, "model_checkpoints", step=step, kind="weights", size_bytes=10, sha256=f"{step:064x}", file="m.pt")
        add(day, "log_findings", kind="no_event", found="blank")
    return day


def add(day: Day, table: str, **fields: Any) -> str:
    """One more row of a table; gives back its event_id."""
    number = len(day[table])
    source = f"{table}-source"
    row: Row = {
        "day": DAY, "source_id": source, "generation": 0, "snapshot": 0, "position": number,
        "event_id": f"{source.replace('-', '')}-0-0-{number:05}-0", "run_id": None, "source_format": "trl_log_history",
        "adapter_version": "1", "event_time": EVENING, "event_time_quality": "utc", "extra_json": None,
    }  # fmt: skip
    if table == "annotations":
        row["extra_json"] = '{"judgment": "x"}'
    day[table].append({**row, **fields})
    return str(row["event_id"])


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def usual(day: Day) -> dict[str, dict[str, Any]]:
    """What earlier days were like: as this one."""
    found: dict[str, dict[str, Any]] = {}
    for table, rows in day.items():
        names = {
            f"{row['source_format']}.{key}"
            for row in rows
            if row["extra_json"]
            for key in json.loads(row["extra_json"])
        }
        found[table] = {"volume": float(len(rows)), "fields_known": sorted(names)}
    return found


def judged(day: Day, before: dict[str, dict[str, Any]], suites: tuple[Suite, ...] = SUITES) -> list[Finding]:
    """Findings of all suites on the day."""
    with database_of(day) as database:
        return [finding for suite in suites for finding in judge(suite, database, before[suite.table])]


def database_of(day: Day) -> Any:
    tables = {name: pa.Table.from_pylist(rows, schema=EVENT_SCHEMAS[name]) for name, rows in day.items()}
    return day_database({name: (table.schema, [table]) for name, table in tables.items()})
