"""Arrow schemas of the event tables: the typed view of records. Columns and their meanings are written once, here.

Each row names the record it was read from by (source_id, generation, snapshot, position). In `generations`, too, the
column `generation` counts rewrites of the source. Types are those every Delta reader knows: no unsigned, no dictionary,
no ns. No column holds a digest of content: it would give an erased record away.
"""

from dataclasses import dataclass

import pyarrow as pa

_TEXT = pa.string()
_INT = pa.int64()
_DOUBLE = pa.float64()
_TIME = pa.timestamp("us", tz="UTC")

MESSAGES = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT), ("extra_json", _TEXT)]))
"""Messages of a conversation in order; what a message has beside role and content text is in its `extra_json`."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: pa.DataType
    meaning: str
    is_required: bool = False


CANONICAL_METRICS = {
    "loss": "loss that was optimised",
    "reward": "mean reward",
    "kl": "divergence from the reference policy",
    "grad_norm": "norm of the gradient",
    "lr": "learning rate",
    "entropy": "entropy of the policy",
    "clip_fraction": "share of updates that were clipped",
}
"""The few numbers that nearly every trainer logs, whatever it calls them, and what they are."""

COMMON_COLUMNS = (
    Column("day", pa.date32(), "day of the source", True),
    Column("source_id", _TEXT, "source of the record", True),
    Column("generation", _INT, "rewrites of the source before this record", True),
    Column("snapshot", _INT, "snapshot of the record", True),
    Column("position", _INT, "position of the record in its generation", True),
    Column(
        "event_id",
        _TEXT,
        "the four columns before it and the ordinal of the event in this table among its record's, with `-` between",
        True,
    ),
    Column("run_id", _TEXT, "run as the source names it, usually a folder; null where nothing names one"),
    Column("source_format", _TEXT, "adapter that read the record", True),
    Column("adapter_version", _TEXT, "its version", True),
    Column("event_time", _TIME, "when it happened, as well as the source tells"),
    Column("event_time_quality", _TEXT, "utc, offset, epoch_s, epoch_ms, naive_assumed, file_mtime or none", True),
    Column("extra_json", _TEXT, "canonical JSON of the fields that have no column or do not fit theirs"),
)
"""Columns that every event table has in front."""

EVENT_COLUMNS: dict[str, tuple[Column, ...]] = {
    "runs": (
        Column("run_key", _TEXT, "the run, equal to run_id"),
        Column("framework", _TEXT, "program that wrote the log"),
        Column("framework_version", _TEXT, "its version"),
        Column("algorithm", _TEXT, "training algorithm"),
        Column("run_name", _TEXT, "name a person gave"),
        Column("project", _TEXT, "what the run belongs to"),
        Column("base_model", _TEXT, "model that training started from"),
        Column("dataset_refs", pa.list_(_TEXT), "data sets by name"),
        Column("seed", _INT, "seed of the run's randomness"),
        Column("git_commit", _TEXT, "commit of the training code"),
        Column("config_json", _TEXT, "settings as canonical JSON"),
        Column("host_pseudonym", _TEXT, "keyed hash of the host's name"),
        Column("user_pseudonym", _TEXT, "keyed hash of the user's name"),
        Column("started_at", _TIME, "start of the run"),
        Column("ended_at", _TIME, "end of the run"),
        Column("status", _TEXT, "how it ended, in the source's word"),
        Column("resumed_from", _TEXT, "checkpoint or run that it goes on from"),
    ),
    "annotations": (
        Column("item_id", _TEXT, "what was judged: its id in the source, else the record's position"),
        Column("annotator_id", _TEXT, "keyed pseudonym of the judge"),
        Column("annotator_kind", _TEXT, "human, model or unknown"),
        Column("question", _TEXT, "question that was asked"),
        Column("kind", _TEXT, "pairwise, ranking, rating, binary, span or text"),
        Column("outcome", _TEXT, "a, b, tie, both_bad or unparsed; null where the source keeps no sides"),
        Column("value_num", _DOUBLE, "answer as a number; 1 or 0 for a binary one"),
        Column("value_text", _TEXT, "answer as text"),
        Column("value_json", _TEXT, "answer as canonical JSON"),
        Column("strength", _DOUBLE, "strength of a preference"),
        Column("response_a_id", _TEXT, "event_id in generations of the first response, or of the only one"),
        Column("response_b_id", _TEXT, "event_id in generations of the second response"),
        Column("chosen_id", _TEXT, "event_id in generations of the preferred response"),
        Column("rejected_id", _TEXT, "event_id in generations of the other response"),
        Column("status", _TEXT, "submitted, draft, discarded, cancelled or unknown"),
        Column("is_gold", pa.bool_(), "whether it is a control item"),
        Column("lead_time_s", _DOUBLE, "time the annotator took"),
        Column("created_at", _TIME, "when it was made"),
        Column("updated_at", _TIME, "when it was last changed"),
        Column("updated_by", _TEXT, "keyed pseudonym of who changed it last"),
        Column("parent_annotation_id", _TEXT, "annotation it was made from, as the source names it"),
        Column("source_annotation_id", _TEXT, "the annotation as the source names it"),
        Column("bounding_hash", _TEXT, "keyed hash by which privacy bounds one person's rows"),
    ),
    "generations": (
        Column("step", _INT, "training step"),
        Column("split", _TEXT, "train, val or dataset"),
        Column("sample_index", pa.int32(), "order within the file or the pair, from 0"),
        Column("group_id", _TEXT, "what the responses to one prompt share"),
        Column("prompt_text", _TEXT, "prompt, where it is text"),
        Column("prompt_messages", MESSAGES, "prompt, where it is a conversation"),
        Column("completion_text", _TEXT, "response, where it is text"),
        Column("completion_messages", MESSAGES, "response, where it is messages"),
        Column("prompt_token_ids", pa.list_(_INT), "tokens of the prompt"),
        Column("completion_token_ids", pa.list_(_INT), "tokens of the response"),
        Column("logprobs", pa.list_(_DOUBLE), "natural log probability of each response token"),
        Column("finish_reason", _TEXT, "why generation stopped"),
        Column("advantage", _DOUBLE, "advantage the trainer computed"),
        Column("ground_truth_json", _TEXT, "expected answer as canonical JSON"),
        Column("model_name", _TEXT, "model that answered"),
        Column("policy_step", _INT, "step of the policy that answered"),
        Column("role_boundaries", _TEXT, "structured, marker_text (roles are words in the text) or lost"),
    ),
    "reward_scores": (
        Column("generation_id", _TEXT, "event_id in generations of what was scored"),
        Column("scorer", _TEXT, "name of the reward function, model or judge"),
        Column("scorer_kind", _TEXT, "reward_func, reward_model, judge or human_mean"),
        Column("score", _DOUBLE, "score; null unless finite or infinite"),
        Column("score_state", _TEXT, "finite, null, nan, inf, sentinel, not_applied or null_or_nan"),
        Column("weight", _DOUBLE, "weight of the scorer in the reward"),
        Column("step", _INT, "training step"),
    ),
    "training_metrics": (
        Column("step", _INT, "training step"),
        Column("epoch", _DOUBLE, "passes over the data so far"),
        Column("split", _TEXT, "train, eval, summary or system"),
        Column("metric", _TEXT, "name as the source writes it"),
        Column("metric_canonical", _TEXT, "which of policy_updates' numbers it is, where it is one"),
        Column("value", _DOUBLE, "value; null unless finite"),
        Column("value_state", _TEXT, "finite, nan, +inf, -inf, null or text"),
        Column("value_raw", _TEXT, "value as Python writes it in JSON, text as it is; null where `value` is all of it"),
        Column("attempt", pa.int32(), "times this (run_id, split, step, metric) was logged before"),
    ),
    "policy_updates": (
        Column("step", _INT, "training step"),
        Column("epoch", _DOUBLE, "passes over the data so far"),
        *(
            Column(name, _DOUBLE, f"{what}; null unless the source says it and it is finite")
            for name, what in CANONICAL_METRICS.items()
        ),
        Column("not_finite", pa.list_(_TEXT), "those of the numbers above that were NaN or infinite"),
        Column("attempt", pa.int32(), "times one of these numbers was logged before at this (run_id, step)"),
    ),
    "model_checkpoints": (
        Column("step", _INT, "training step it was saved at"),
        Column("checkpoint", _TEXT, "folder of the checkpoint"),
        Column("file", _TEXT, "name of the file"),
        Column("kind", _TEXT, "weights, optimizer, state, tokenizer, config or card"),
        Column("size_bytes", _INT, "size of the file"),
        Column("sha256", _TEXT, "SHA-256 of weights, which are not kept; null of files that are records"),
        Column("model_type", _TEXT, "architecture that the file names"),
        Column("metric_key", _TEXT, "metric by which it was chosen"),
        Column("metric_value", _DOUBLE, "value of that metric"),
    ),
    "log_findings": (
        Column("kind", _TEXT, "no_event or withheld", True),
        Column("found", _TEXT, "why the record gives no event, or what was withheld", True),
        Column("in_table", _TEXT, "event table with the value that was withheld"),
        Column("in_column", _TEXT, "its column"),
        Column("of_event", _TEXT, "its event_id"),
    ),
}
"""One row per run seen in a source · judgment · response · score of a response · value of a metric at a step · log
entry of a training step · file of a model checkpoint · thing that a reader of the tables should know of the logs."""


def event_schema(table: str) -> pa.Schema:
    """Arrow schema of an event table."""
    columns = COMMON_COLUMNS + EVENT_COLUMNS[table]
    return pa.schema([pa.field(column.name, column.type, nullable=not column.is_required) for column in columns])


EVENT_SCHEMAS: dict[str, pa.Schema] = {table: event_schema(table) for table in EVENT_COLUMNS}


def event_id(source_id: str, generation: int, snapshot: int, position: int, ordinal: int) -> str:
    """Name of an event in its table, and of its record in any. `ordinal` counts the record's events there from 0."""
    return f"{source_id}-{generation}-{snapshot}-{position}-{ordinal}"
