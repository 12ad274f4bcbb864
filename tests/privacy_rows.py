"""Made-up judgements, as the summaries are given them, and a person who joins them to be found out."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audit_pipeline.privacy.rows import SCHEMA

MODELS = ("m1", "m2", "m3")
QUESTIONS = ("helpful", "harmless")


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with what a judgement has unless it says otherwise; each has a hash of its own."""
    plain = {
        "annotator_kind": "human",
        "source_id": "s",
        "item_id": "1",
        "question": "helpful",
        "kind": "pairwise",
        "outcome": "a",
        "status": "submitted",
        "model_a": "m1",
        "model_b": "m2",
        "value_num": 3.0,
    }
    made = []
    for number, row in enumerate(rows):
        named = f"{row.get('annotator_id')}/{row.get('salt', '')}/{number}"
        made.append({**plain, "bounding_hash": hashlib.sha256(named.encode()).hexdigest()[:32], **row})
    return pa.Table.from_pylist(made, schema=SCHEMA)


def base_rows(annotators: int = 40, rows: int = 400, seed: int = 0) -> pa.Table:
    """Judgements of many, and questions that exactly one to eight annotators were asked."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for n in range(rows):
        a, b = rng.choice(len(MODELS), 2, replace=False)
        made.append(
            {
                "annotator_id": f"u{rng.integers(annotators)}",
                "salt": n,
                "item_id": str(rng.integers(rows // 4)),
                "question": QUESTIONS[rng.integers(2)],
                "outcome": str(rng.choice(["a", "b", "tie", "both_bad"])),
                "model_a": MODELS[a],
                "model_b": MODELS[b],
                "value_num": float(rng.normal(3, 1)),
            }
        )
    made += [{"annotator_id": f"r{k}-{n}", "question": f"rare{k}"} for k in range(1, 9) for n in range(k)]
    return table(made)


def adversaries(flood: int = 500) -> dict[str, pa.Table]:
    """What one annotator more, EVE, may bring."""

    def eve(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        return table([{"annotator_id": "EVE", **row} for row in rows])

    huge = [1e300, -1e300, float("inf"), -float("inf"), float("nan"), 5e-324, None]
    return {
        "floods one cell": eve([{}] * flood),
        "floods ties": eve([{"outcome": "tie"}] * flood),
        "floods many keys": eve([{"question": f"q{n}", "item_id": str(n)} for n in range(flood)]),
        "floods many items": eve([{"item_id": str(n), "outcome": "b"} for n in range(flood)]),
        "floods all pairs": eve([{"model_a": a, "model_b": b} for a in MODELS for b in MODELS if a != b] * 20),
        "fills the bounds": eve([{"value_num": 5.0}] * 20),
        **{f"joins rare key {k}": eve([{"question": f"rare{k}"}] * 3) for k in range(1, 9)},
        **{f"says {value}": eve([{"value_num": value}] * 30) for value in huge},
        "has no name": eve([{"annotator_id": None}] * flood),
        "is a model": eve([{"annotator_kind": "model"}] * flood),
        "says what is not known": eve([{"outcome": "???", "question": "?", "model_a": "?"}] * flood),
        "handed nothing in": eve([{"status": "cancelled"}] * flood),
        "says nothing": eve([dict.fromkeys(["outcome", "question", "model_a", "item_id", "value_num"])] * flood),
        "says what no string holds": eve([{"question": "nul \0 and '; quote"}] * 3),
        "is not there": SCHEMA.empty_table(),
    }
