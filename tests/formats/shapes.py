"""A small file of each shape that tools with events write, to be detected, mutated and damaged.

Rows are those of the tools' own tests where these have some. `values` follow from the bytes, so they cannot differ.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.records import canonical
from tests.formats.support import items, json_lines, to_parquet
from tests.formats.test_alpaca_eval import NEWER
from tests.formats.test_alpaca_eval import ROW as ALPACA
from tests.formats.test_arena import BATTLE, CHAT, RELEASE, SIMPLE, single, vote
from tests.formats.test_arena_hard import BOTH, OLDER
from tests.formats.test_argilla import FLAT, NESTED
from tests.formats.test_checkpoints import CONFIG, INDEX, METRIC, WEIGHTS
from tests.formats.test_helpsteer import ALL as HELPSTEER
from tests.formats.test_helpsteer import COMPARED, RATED
from tests.formats.test_hh_red_team import ATTEMPT
from tests.formats.test_judge_scores import PAIR, SINGLE
from tests.formats.test_label_studio import TASK
from tests.formats.test_mapped_csv import PAIRS
from tests.formats.test_mapped_csv import ROW as CROWD
from tests.formats.test_mlflow import CREATED, META, RUN, WRITTEN, database
from tests.formats.test_model_card import CARD
from tests.formats.test_nemo_aligner import RM, SFT
from tests.formats.test_nemo_rl import TRAIN as NEMO_TRAIN
from tests.formats.test_nemo_rl import VAL as NEMO_VAL
from tests.formats.test_oasst import MINIMAL, TREE, message
from tests.formats.test_oasst import ROW as OASST
from tests.formats.test_open_instruct import METADATA, METADATA_PATH, ROLLOUT, ROLLOUT_PATH
from tests.formats.test_preference import RANKED, STEPS
from tests.formats.test_preference import SAMPLED as SCORED_PAIR
from tests.formats.test_prism import FILES as PRISM
from tests.formats.test_tensorboard import OTHERS, SCALARS, tensor
from tests.formats.test_tensorboard import PATH as EVENTS_PATH
from tests.formats.test_texts import SAMPLED, SCORED, SIDES
from tests.formats.test_texts import SHAPES as TEXTS
from tests.formats.test_trl import EVAL, HEADER, PPO, SUMMARY, TRAIN
from tests.formats.test_trl import ROW as COMPLETION
from tests.formats.test_ultrafeedback import ROW as ULTRAFEEDBACK
from tests.formats.test_verl import ROLLOUT as VERL
from tests.formats.test_wandb import CHART, FOLDER, TABLE, to_csv
from tests.formats.test_wandb import METADATA as MACHINE
from tests.formats.test_wandb import ROW as HISTORY
from tests.tfrecords import first_event, frame, scalar, summary, text


@dataclass(frozen=True)
class Shape:
    """A file as a tool writes it, and the values of its records as its adapter gets them."""

    path: str
    values: tuple[Any, ...]
    content: bytes = b""
    """The whole file; empty where what is in it is not landed."""
    mapping: str | None = None
    container: str = ""


def of_file(name: str, path: str, container: str, content: bytes) -> Shape:
    values = values_of(name, container, content)
    assert values, f"no record of {path} can be read"
    return Shape(path, values, content, container=container)


def values_of(name: str, container: str, content: bytes) -> tuple[Any, ...]:
    is_lines = container in {"jsonl", "text"}
    records = content.splitlines() if is_lines else [item for item, status, _ in items(container, content)]
    return tuple(ADAPTERS[name].parse(record) for record in records if record.strip())


def lines(name: str, path: str, *values: Any) -> Shape:
    return of_file(name, path, "jsonl", json_lines(values))


def document(name: str, path: str, value: Any) -> Shape:
    return of_file(name, path, "json", json.dumps(value, indent=2).encode())


def parquet(name: str, path: str, *rows: dict[str, Any]) -> Shape:
    return of_file(name, path, "parquet", to_parquet(pa.Table.from_pylist(list(rows))))


def table(name: str, path: str, *rows: dict[str, Any]) -> Shape:
    return of_file(name, path, "csv", to_csv(list(rows)))


def mlflow_database() -> Shape:
    with tempfile.TemporaryDirectory() as folder:
        content = database(Path(folder), CREATED + WRITTEN)
    return of_file("mlflow_sqlite", "mlflow.db", "sqlite", content)


def events() -> bytes:
    settings = text("args/text_summary", b'{"learning_rate": 0.5, "transformers_version": "5.1.0"}')
    sample = b"Sample: <bos>Hi\n\nReward: 0.5"
    return frame(
        first_event(),
        summary(settings),
        summary(scalar("train/loss", 0.5), scalar("kl", float("nan")), step=1),
        summary(text("train/generated_samples/text_summary", sample), step=1),
        *(summary(tensor(fields), step=2) for fields, _ in SCALARS.values()),
        *(summary(other, step=3) for other, _ in list(OTHERS.values())[:6]),
    )


def rows(value: dict[str, Any], count: int = 2) -> list[dict[str, Any]]:
    return [value] * count


USER, BOT, OTHER = ({"role": r, "content": c} for r, c in (("user", "hi"), ("assistant", "yo"), ("assistant", "no")))
HH = {"chosen": "\n\nHuman: hi\n\nAssistant: yo", "rejected": "\n\nHuman: hi\n\nAssistant: no"}
CHAT_PAIR = {"chosen": [USER, BOT], "rejected": [USER, OTHER]}
LABELLED = {"prompt": [USER], "completion": [BOT], "label": True}
VERL_METRICS = [{"step": n, "data": {"actor/pg_loss": 0.5, "val-core/acc": None, "training/epoch": 1}} for n in (1, 2)]
VERL_AGENT = VERL | {"uid": "sample_0_1", "acc": True, "pred": None, "data_source": "gsm8k", "num_turns": 3}
TALK = COMPLETION | {"prompt": [USER], "completion": [BOT]}
SUMMARY_OF_RUN = HISTORY | {"_wandb": {"runtime": 5}, "loss": "NaN"}
TRL_TABLE = {
    "columns": ["step", "prompt", "completion", "len_reward", "advantage"],
    "data": [["3", "hi", "yo", 0.5, -0.25]],
    "_type": "table",
}
OASST_LISTS = {
    **{key: value for key, value in OASST.items() if key != "events"},
    "emojis": {"name": ["+1", "_skip_reply"], "count": [2, 1]},
    "labels": {"name": ["quality", "spam"], "value": [0.75, None], "count": [3, 0]},
}
CROWD_SHAPE = Shape(
    "crowd.csv",
    values_of("mapped_csv", "csv", to_csv([CROWD])),
    mapping=canonical.dump_canonical(PAIRS).decode(),
)
PREFERRED = [
    *(lines("preference_pairs", "pairs.jsonl", *rows(one)) for one in (HH, CHAT_PAIR, LABELLED, STEPS, RANKED)),
    lines("preference_pairs", "rs.jsonl", *rows(SCORED_PAIR)),
    document("preference_pairs", "pairs.json", rows(HH | {"margin": 0.5})),
    parquet("preference_pairs", "pairs.parquet", HH),
    table("preference_pairs", "pairs.csv", HH | {"prompt": "q"}),
]
ML_RUN = f"mlruns/7/{RUN}"

SHAPES: dict[str, tuple[Shape, ...]] = {
    "trl_trainer_state": (
        document("trl_trainer_state", "dpo-s1/trainer_state.json", HEADER | {"log_history": [TRAIN, EVAL, SUMMARY]}),
    ),
    "trl_log_history": (
        lines("trl_log_history", "dpo-s1/log_history.jsonl", TRAIN, EVAL, SUMMARY),
        lines("trl_log_history", "ppo-s1/log_history.jsonl", PPO),
    ),
    "trl_completions": tuple(
        parquet("trl_completions", "grpo-s1/completions/completions_00003.parquet", row) for row in (COMPLETION, TALK)
    ),
    "verl_rollouts": (lines("verl_rollouts", "grpo-s1/rollouts/7.jsonl", VERL, VERL_AGENT),),
    "verl_metrics": (lines("verl_metrics", "demo/grpo-s1.jsonl", *VERL_METRICS),),
    "preference_pairs": tuple(PREFERRED),
    "prompts_and_completions": (
        *(lines("prompts_and_completions", "train.jsonl", *rows(one)) for one in TEXTS),
        document("prompts_and_completions", "train.json", rows(TEXTS[1])),
        parquet("prompts_and_completions", "train.parquet", TEXTS[6]),
        table("prompts_and_completions", "train.csv", *rows(TEXTS[5])),
    ),
    "rejection_sampling": (
        lines("rejection_sampling", "sampled.jsonl", *rows(SAMPLED)),
        lines("rejection_sampling", "scored.jsonl", *rows(SCORED)),
        parquet("rejection_sampling", "sampled.parquet", SAMPLED),
    ),
    "pairs_jsonl": (lines("pairs_jsonl", "pairs.jsonl", *rows(SIDES)),),
    "hh_red_team": (
        document("hh_red_team", "red_team_attempts.jsonl", rows(ATTEMPT)),
        lines("hh_red_team", "attempts.jsonl", *rows(ATTEMPT)),
        parquet("hh_red_team", "attempts.parquet", ATTEMPT),
    ),
    "judge_scores": (
        lines("judge_scores", "model_judgment/gpt-4_single.jsonl", *rows(SINGLE)),
        lines("judge_scores", "model_judgment/gpt-4_pair.jsonl", *rows(PAIR)),
    ),
    "alpaca_eval": (
        document("alpaca_eval", "results/m/annotations.json", rows(ALPACA)),
        document("alpaca_eval", "results/n/annotations.json", rows(NEWER)),
    ),
    "arena_hard": (
        lines("arena_hard", "model_judgment/j/m.jsonl", *rows(BOTH)),
        lines("arena_hard", "model_judgment/j/n.jsonl", *rows(OLDER)),
    ),
    "helpsteer": (
        *(lines("helpsteer", "train.jsonl", *rows(one)) for one in HELPSTEER),
        parquet("helpsteer", "train.parquet", RATED),
        document("helpsteer", "train.json", rows(COMPARED)),
    ),
    "ultrafeedback": (
        lines("ultrafeedback", "train.jsonl", ULTRAFEEDBACK),
        document("ultrafeedback", "train.json", rows(ULTRAFEEDBACK)),
        parquet("ultrafeedback", "train.parquet", ULTRAFEEDBACK),
    ),
    "argilla": (
        document("argilla", "d/records.json", rows(NESTED)),
        document("argilla", "d/flat.json", rows(FLAT)),
        lines("argilla", "d/records.jsonl", NESTED, NESTED),
    ),
    "label_studio": (document("label_studio", "project-3.json", [TASK, TASK]),),
    "mapped_csv": (CROWD_SHAPE,),
    "weights": tuple(
        Shape(path, (WEIGHTS,), b"\x08" + bytes(20), container="whole")
        for path in ("s1/checkpoint-4/model.safetensors", "s1/_actor/global_step5/x_optim_states.pt")
    ),
    "model_config": (document("model_config", "dpo-s1/config.json", CONFIG),),
    "model_index": (document("model_index", "dpo-s1/model.safetensors.index.json", INDEX),),
    "openrlhf_checkpoint_metric": (document("openrlhf_checkpoint_metric", "s1/global_step5/metric.json", METRIC),),
    "model_card": (of_file("model_card", "dpo-s1/README.md", "text", CARD),),
    "nemo_aligner_rm": (
        lines("nemo_aligner_rm", "train.jsonl", *rows(RM)),
        document("nemo_aligner_rm", "train.json", rows(RM)),
    ),
    "nemo_aligner_sft": (
        lines("nemo_aligner_sft", "train.jsonl", *rows(SFT)),
        document("nemo_aligner_sft", "train.json", rows(SFT)),
    ),
    "nemo_rl": (
        lines("nemo_rl", "grpo-s1/train_data_step12.jsonl", *rows(NEMO_TRAIN)),
        lines("nemo_rl", "grpo-s1/val_data_step12.jsonl", *rows(NEMO_VAL)),
    ),
    "open_instruct_metadata": (lines("open_instruct_metadata", METADATA_PATH, METADATA),),
    "open_instruct_rollouts": (lines("open_instruct_rollouts", ROLLOUT_PATH, *rows(ROLLOUT)),),
    "tensorboard": (of_file("tensorboard", EVENTS_PATH, "tfrecord", events()),),
    "oasst_tree": (lines("oasst_tree", "oasst/trees.jsonl", *rows(TREE)),),
    "oasst_message": (
        lines("oasst_message", "oasst/messages.jsonl", *rows(OASST)),
        lines("oasst_message", "oasst/replies.jsonl", *rows(MINIMAL | message("q", message("a", role="assistant")))),
        parquet("oasst_message", "train-0.parquet", OASST_LISTS),
    ),
    "arena_votes": (
        lines("arena_votes", "logs/2023-11-14-conv.json", vote(), CHAT, vote("tievote"), single("upvote")),
    ),
    "arena_battles": (
        document("arena_battles", "clean_battle_20231114.json", rows(BATTLE)),
        lines("arena_battles", "battles.jsonl", *rows(SIMPLE)),
        parquet("arena_battles", "train-0.parquet", RELEASE),
    ),
    **{name: (lines(name, f"prism/{name}.jsonl", *rows(value)),) for name, value in PRISM.items()},
    "mlflow_file_store": (
        of_file("mlflow_file_store", f"{ML_RUN}/metrics/loss", "text", b"1795454928319 0.5 1\n1795454928320 nan 2\n"),
        of_file("mlflow_file_store", f"{ML_RUN}/params/lr", "text", b"0.1"),
        of_file("mlflow_file_store", f"{ML_RUN}/params/config", "jsonl", b'{"lr": 0.1}'),
        of_file("mlflow_file_store", f"{ML_RUN}/tags/mlflow.user", "text", b"jo"),
        of_file("mlflow_file_store", f"{ML_RUN}/meta.yaml", "text", META.encode()),
    ),
    "mlflow_sqlite": (mlflow_database(),),
    "wandb_history": (
        lines("wandb_history", f"{FOLDER}/history.jsonl", *rows(HISTORY, 3)),
        document("wandb_history", f"{FOLDER}/history.json", rows(HISTORY)),
        table("wandb_history", f"{FOLDER}/history.csv", *rows(HISTORY)),
        table("wandb_history", "chart.csv", dict(zip(CHART, ["1", "0.5", "0.5", "0.5", "2", "2", "2"], strict=True))),
        parquet("wandb_history", f"{FOLDER}/history.parquet", HISTORY),
    ),
    "wandb_summary": (
        document("wandb_summary", f"{FOLDER}/files/wandb-summary.json", SUMMARY_OF_RUN),
        lines("wandb_summary", f"{FOLDER}/summary", SUMMARY_OF_RUN),
    ),
    "wandb_table": (
        document("wandb_table", f"{FOLDER}/files/media/table/x.table.json", TABLE | {"_type": "table", "ncols": 3}),
        document("wandb_table", f"{FOLDER}/files/media/table/y.table.json", TRL_TABLE),
    ),
    "wandb_metadata": (document("wandb_metadata", f"{FOLDER}/files/wandb-metadata.json", MACHINE),),
}
