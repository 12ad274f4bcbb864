"""Sample logs as the tools themselves write them, one function a file format. Each gives back the file's bytes.

The shapes are those of transformers' Trainer, TRL, verl, Label Studio, and of HH-style preference pairs.
"""

import csv
import gzip
import io
import json
from datetime import datetime, timedelta
from random import Random
from typing import Any

from audit_pipeline.samples.texts import answer, question

ANNOTATORS = 9
MODELS = ("policy-small", "policy-large", "baseline")


def dpo_history(rng: Random, steps: int) -> list[dict[str, Any]]:
    """The log history of a DPO run, one entry a step and a summary. Step 2 diverged: NaN gradient, loss 0.0."""
    history: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        margin = step / steps + rng.gauss(0, 0.05)
        history.append(
            {
                "entropy": 2.5 + rng.random(),
                "epoch": step / steps,
                "grad_norm": float("nan") if step == 2 else rng.uniform(0.5, 4.0),
                "learning_rate": 1e-5 * (1 - step / steps),
                "logps/chosen": -200 + rng.gauss(0, 20),
                "logps/rejected": -210 + rng.gauss(0, 20),
                "loss": 0.0 if step == 2 else 0.69 - 0.3 * margin,
                "mean_token_accuracy": rng.random(),
                "num_tokens": 1000.0 * step,
                "rewards/accuracies": min(1.0, 0.5 + margin / 3),
                "rewards/chosen": margin / 2,
                "rewards/margins": margin,
                "rewards/rejected": -margin / 2,
                "step": step,
            }
        )
    history.append({"epoch": 1.0, "step": steps, "total_flos": 2.5e10, "train_loss": 0.52, "train_runtime": 34.6})
    return history


def trainer_state(history: list[dict[str, Any]]) -> bytes:
    """`trainer_state.json` of transformers' Trainer."""
    steps = history[-1]["step"]
    state = {
        "best_global_step": None,
        "best_metric": None,
        "best_model_checkpoint": None,
        "epoch": 1.0,
        "eval_steps": 500,
        "global_step": steps,
        "is_hyper_param_search": False,
        "is_local_process_zero": True,
        "is_world_process_zero": True,
        "log_history": history,
        "logging_steps": 1,
        "max_steps": steps,
        "num_input_tokens_seen": 0,
        "num_train_epochs": 1,
        "save_steps": 500,
        "stateful_callbacks": {},
        "total_flos": 2.5e10,
        "train_batch_size": 4,
        "trial_name": None,
        "trial_params": None,
    }
    return (json.dumps(state, indent=2, sort_keys=True) + "\n").encode()


def log_history(history: list[dict[str, Any]], began: datetime) -> bytes:
    """The same history as a callback writes it, one line an entry, with the time."""
    times = (began + timedelta(seconds=2 * n) for n in range(len(history)))
    return _lines({"ts": time.timestamp(), **entry} for time, entry in zip(times, history, strict=True))


def trl_completions(rng: Random, step: int, rows: int) -> bytes:
    """`completions_<step>.parquet` of TRL's GRPO trainer. One reward function did not apply to some rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scores = [rng.gauss(0, 1) for _ in range(rows)]
    mean = sum(scores) / rows
    table = pa.table(
        {
            "step": pa.array([step] * rows, pa.int64()),
            "prompt": pa.array([question(rng) for _ in range(rows)], pa.large_string()),
            "completion": pa.array([answer(rng) for _ in range(rows)], pa.large_string()),
            "length_reward": pa.array(scores, pa.float64()),
            "polite_reward": pa.array([rng.choice([None, 0.0, 1.0]) for _ in range(rows)], pa.float64()),
            "advantage": pa.array([score - mean for score in scores], pa.float64()),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="snappy")
    return file.getvalue()


def verl_rollouts(rng: Random, step: int, rows: int) -> bytes:
    """`<step>.jsonl` of verl's rollout folder."""
    rollouts = []
    for n in range(rows):
        score = rng.choice([0.0, 0.5, 1.0])
        prompt = f"system\nYou answer briefly.\nuser\n{question(rng)}\nassistant\n"
        fields = {"input": prompt, "output": answer(rng), "gts": None, "score": score, "step": step}
        rollouts.append({**fields, "uid": f"s{step}_{n // 4}_{n % 4}", "acc": score == 1.0})
    return _lines(rollouts)


def verl_metrics(rng: Random, steps: int) -> bytes:
    """The JSONL file of verl's file logger, one line a step. The last line is cut, as a running writer leaves it."""
    lines = []
    for step in range(1, steps + 1):
        measured = {
            "actor/pg_loss": rng.gauss(0, 0.1),
            "actor/kl_loss": rng.random() / 100,
            "actor/entropy": 2.0 + rng.random(),
            "actor/grad_norm": rng.uniform(0.5, 2.0),
            "actor/lr": 1e-6,
            "critic/score/mean": rng.random(),
            "response_length/mean": rng.uniform(40, 60),
            "timing_s/step": rng.uniform(1, 2),
            "training/global_step": step,
            "training/epoch": 0,
        }
        lines.append({"step": step, "data": measured})
    return _lines(lines)[:-40]


def preference_pairs(rng: Random, rows: int) -> bytes:
    """Pairs of dialogues as HH-RLHF has them, gzip-compressed JSONL."""
    pairs = []
    for _ in range(rows):
        asked = f"\n\nHuman: {question(rng)}\n\nAssistant: "
        pairs.append({"chosen": asked + answer(rng), "rejected": asked + answer(rng)})
    return gzip.compress(_lines(pairs), compresslevel=6, mtime=0)


def label_studio_export(rng: Random, began: datetime, tasks: int) -> bytes:
    """A JSON export of Label Studio: tasks of a pairwise project, one annotation each, one in twenty cancelled."""
    exported = []
    for n in range(1, tasks + 1):
        created = began + timedelta(seconds=45 * n)
        text = created.isoformat(timespec="microseconds").replace("+00:00", "Z")
        choice = {"selected": rng.choice(["left", "right"])}
        region = {"id": f"r{n:06}", "type": "pairwise", "value": choice, "origin": "manual"}
        person = rng.randint(1, ANNOTATORS)
        account = {"id": person, "email": f"annotator{person}@example.com", "first_name": "", "last_name": ""}
        annotation = {
            "id": 5000 + n,
            "completed_by": account,
            "result": [{**region, "from_name": "pair", "to_name": "left,right"}],
            "was_cancelled": n % 20 == 0,
            "ground_truth": False,
            "created_at": text,
            "updated_at": text,
            "lead_time": round(rng.uniform(5, 90), 3),
            "prediction": {},
            "result_count": 1,
            "last_action": "submitted",
            "task": n,
            "project": 7,
            "updated_by": person,
        }
        exported.append(
            {
                "id": n,
                "annotations": [annotation],
                "drafts": [],
                "predictions": [],
                "data": {"prompt": question(rng), "left": answer(rng), "right": answer(rng)},
                "meta": {},
                "created_at": text,
                "updated_at": text,
                "inner_id": n,
                "total_annotations": 1,
                "cancelled_annotations": int(n % 20 == 0),
                "project": 7,
            }
        )
    return json.dumps(exported, ensure_ascii=False).encode()


def crowd_comparisons(rng: Random, rows: int) -> bytes:
    """A CSV of comparisons by crowd workers. `id` is the pair's: several workers judge the same pair."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "prompt", "model_x", "model_y", "worker", "winner", "left", "right"])
    for n in range(rows):
        left, right = rng.sample(range(len(MODELS)), 2)
        verdict = rng.choice(["left", "right", "tie"])
        writer.writerow([n // 3, n // 6, left, right, rng.randint(1, 40), verdict, MODELS[left], MODELS[right]])
    return text.getvalue().encode()


def broken_rollouts(rng: Random, step: int) -> bytes:
    """Rollouts with a torn line, bytes that are not UTF-8, a repeated key, and a last line without its newline."""
    good = verl_rollouts(rng, step, 6).split(b"\n")
    torn = good[1][:60]
    not_text = good[2].replace(b'"output": "', b'"output": "\xff\xfe ')
    repeated = good[3][:-1] + b', "score": 0.25}'
    return b"\n".join([good[0], torn, not_text, repeated, good[4], good[5]])


def _lines(entries: Any) -> bytes:
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
