"""Weights & Biases: tables of samples, and the metadata of a run.

Sources: wandb `sdk/data_types/table.py` (_to_table_json) and `proto/wandb_internal.proto` (EnvironmentRecord); OpenRLHF
`utils/logging_utils.py` (train/generated_samples), TRL `trainer/grpo_trainer.py` (completions).

OpenRLHF logs its table whole, again and again: each file repeats the rows of the one before. The metadata name a user,
a mail address and a host; paths and arguments are settings, as the program was given them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    SourceContext,
    as_messages,
    as_person,
    is_messages,
    is_number,
    marked_roles,
)
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.paths import file_name
from audit_pipeline.formats.times import iso_time
from audit_pipeline.formats.wandb import RUN_ORIGIN, run_id_of
from audit_pipeline.records import canonical

_TEXT_COLUMNS = frozenset(["global_step", "text", "reward"])
_PAIR_COLUMNS = frozenset(["step", "prompt", "completion"])
_ENVIRONMENT = frozenset(["os", "python"])
_STARTED = frozenset(["startedAt", "heartbeatAt"])
_PROGRAM = frozenset(["host", "program", "executable", "args"])
_PEOPLE = frozenset(["host", "username", "email", "slurm"])


def _score_table(path: str, items: Sequence[Any]) -> float:
    if not items or not _is_table(items[0]):
        return 0.0
    return 0.9 if items[0].get("_type") == "table" else 0.65 + 0.1 * file_name(path).endswith(".table.json")


def _is_table(item: Any) -> bool:
    columns, rows = (item.get("columns"), item.get("data")) if isinstance(item, dict) else (None, None)
    if not isinstance(columns, list) or not isinstance(rows, list) or "index" in item:
        return False
    is_named = all(isinstance(name, str) for name in columns) and len(set(columns)) == len(columns) > 0
    return is_named and all(isinstance(row, list) and len(row) == len(columns) for row in rows)


def _table_events(source: SourceContext, items: Items) -> Iterator[Event]:
    run_id = run_id_of(source.path)
    for position, item in items:
        if not _is_table(item):
            continue
        columns = frozenset(item["columns"])
        if not item["data"]:
            yield position, "log_findings", {"kind": "no_event", "found": "a table without rows"}
        elif columns == _TEXT_COLUMNS or columns >= _PAIR_COLUMNS:
            for index, values in enumerate(item["data"]):
                yield from _sample(run_id, position, index, dict(zip(item["columns"], values, strict=True)))
        else:
            found = "a table of other columns than OpenRLHF and TRL log their samples in"
            yield position, "log_findings", {"kind": "no_event", "found": found}


def _sample(run_id: str | None, position: int, index: int, row: dict[str, Any]) -> Iterator[Event]:
    of_trl = "prompt" in row
    common = {"run_id": run_id, "step": row.pop("step" if of_trl else "global_step")}
    prompt, completion = row.pop("prompt", None), row.pop("completion" if of_trl else "text")
    generation = {
        **common,
        "split": "train",
        "sample_index": index,
        "prompt_messages" if is_messages(prompt) else "prompt_text": as_messages(prompt) or prompt,
        "completion_messages" if is_messages(completion) else "completion_text": as_messages(completion) or completion,
        "advantage": row.pop("advantage", None),
        "role_boundaries": "structured" if is_messages(prompt) else marked_roles(f"{prompt or ''}{completion}"),
    }
    scores = {key: value for key, value in row.items() if value is None or is_number(value)}
    others = {key: value for key, value in row.items() if key not in scores}
    yield position, "generations", {**generation, "extra": others}
    for scorer, score in scores.items():
        of = {"generation_id": EventRef("generations", index), "scorer": scorer}
        kind = {"scorer_kind": "reward_func"} if of_trl else {}
        yield position, "reward_scores", {**common, **of, **kind, **score_value(score, "null_or_nan")}


def _score_metadata(path: str, items: Sequence[Any]) -> float:
    is_named = file_name(path) == "wandb-metadata.json"
    return 0.85 * bool(items and _is_environment(items[0])) + 0.1 * is_named


def _is_environment(item: Any) -> bool:
    keys = item.keys() if isinstance(item, dict) else frozenset[str]()
    return keys >= _ENVIRONMENT and bool(_STARTED & keys) and bool(_PROGRAM & keys)


def _metadata_events(source: SourceContext, items: Items) -> Iterator[Event]:
    run_id = run_id_of(source.path)
    run = {"run_id": run_id, "run_key": run_id, "framework": "wandb"}
    for position, item in items:
        if _is_environment(item):
            yield from _environment(position, run, item)
        elif isinstance(item, dict):
            yield position, "log_findings", {"kind": "no_event", "found": "a part of the machine, such as a GPU"}


def _environment(position: int, run: dict[str, Any], item: dict[str, Any]) -> Iterator[Event]:
    git = item.get("git")
    values: dict[str, Any] = {
        **run,
        "git_commit": git.get("commit") if isinstance(git, dict) else None,
        "status": item.get("state"),
        "host_pseudonym": as_person(item.get("host")),
        "user_pseudonym": as_person(item.get("username")),
        "config_json": canonical.dump_canonical({k: v for k, v in item.items() if k not in _PEOPLE}).decode(),
    }
    if (started := iso_time(item.get("startedAt"))) is not None:
        values |= {"started_at": started[0], "event_time": started[0], "event_time_quality": started[1]}
    yield position, "runs", values
    if (email := as_person(item.get("email"))) is not None:
        yield position, "runs", {**run, "user_pseudonym": email}
    if "slurm" in item:
        where = {"in_table": "runs", "in_column": "config_json", "of_event": EventRef("runs", 0)}
        yield position, "log_findings", {"kind": "withheld", "found": "Slurm's names of users and hosts", **where}


_TABLE_FIELDS = {
    **{f"{table}.run_id": RUN_ORIGIN for table in ("generations", "reward_scores")},
    **{f"{table}.step": "global_step or step" for table in ("generations", "reward_scores")},
    **{f"{table}.extra_json": "values that do not fit" for table in ("generations", "reward_scores")},
    "generations.split": "`train`",
    "generations.sample_index": "place of the row in the table",
    "generations.prompt_text": "prompt",
    "generations.prompt_messages": "prompt, where it is messages",
    "generations.completion_text": "completion; OpenRLHF's text, which holds the prompt too",
    "generations.completion_messages": "completion, where it is messages",
    "generations.advantage": "advantage",
    "generations.role_boundaries": "by the prompt and the completion",
    "generations.extra_json": "columns that are no number",
    "reward_scores.generation_id": "the row's response",
    "reward_scores.scorer": "name of any other column",
    "reward_scores.scorer_kind": "`reward_func` in TRL's tables; OpenRLHF does not tell",
    "reward_scores.score": "value of the column",
    "reward_scores.score_state": "by the value",
}
_METADATA_FIELDS = {
    "runs.run_id": RUN_ORIGIN,
    "runs.run_key": RUN_ORIGIN,
    "runs.framework": "`wandb`",
    "runs.git_commit": "git.commit",
    "runs.status": "state, which older versions write",
    "runs.host_pseudonym": "host",
    "runs.user_pseudonym": "username; in a second row, email",
    "runs.started_at": "startedAt",
    "runs.event_time": "startedAt",
    "runs.event_time_quality": "by the zone of startedAt",
    "runs.config_json": "all other fields, args and paths among them, without slurm",
    "runs.extra_json": "values that do not fit",
}

ADAPTERS = (
    Adapter(
        "wandb_table",
        1,
        ("json", "jsonl"),
        _score_table,
        _table_events,
        reads="`*.table.json` of a W&B run, where OpenRLHF and TRL log samples.",
        fields=_TABLE_FIELDS,
    ),
    Adapter(
        "wandb_metadata",
        1,
        ("json", "jsonl"),
        _score_metadata,
        _metadata_events,
        reads="`wandb-metadata.json` of a W&B run.",
        fields=_METADATA_FIELDS,
    ),
)
