"""NeMo-RL: what its trainers dump per step, `train_data_step<N>.jsonl` and `val_data_step<N>.jsonl`.

Sources: NeMo-RL `nemo_rl/utils/logger.py` (log_batched_dict_as_jsonl), `nemo_rl/algorithms/{grpo,grpo_sync,ppo,
distillation}.py` (log_data, val_log_data), `nemo_rl/data/llm_message_utils.py` (batched_message_log_to_flat_message).
A line is a batch of one, so every value but `idx` is a list of one element. The step is in the file's name alone; there
is no time, no run id and no group id. Token lists are padded on the right to the longest of the step; `token_loss_mask`
is 1 at tokens that the policy generated. In training `content` is the texts of all turns without their roles, or one
text; in validation it is messages.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    SourceContext,
    as_messages,
    is_messages,
    is_number,
    marked_roles,
    share,
)
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.paths import file_name, folder_name

_FILE = re.compile(r"(train|val)_data_step([0-9]{1,18})\.jsonl")
_CONTENT_KEYS = frozenset(["content", "token_ids"])
_NUMBER_KEYS = frozenset(["rewards", "input_lengths"])
_SCORERS = ("rewards", "filtered_rewards")


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_sample) + 0.1 * bool(_FILE.fullmatch(file_name(path)))


def _is_sample(item: dict[str, Any]) -> bool:
    # Lines are often longer than what is sampled: the last of the lists may be cut, and `idx` comes after it.
    batches = [value for key, value in item.items() if key != "idx"]
    return bool(_NUMBER_KEYS & item.keys()) and all(isinstance(batch, list) and len(batch) <= 1 for batch in batches)


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    in_name = _FILE.fullmatch(file_name(source.path))
    common = {"run_id": folder_name(source.path), "step": int(in_name[2]) if in_name else None}
    split = in_name[1] if in_name else None
    for position, item in items:
        if isinstance(item, dict) and _CONTENT_KEYS & item.keys() and _NUMBER_KEYS & item.keys():
            fields = {key: value if key == "idx" else _only(value) for key, value in item.items()}
            yield from _sample(position, fields, common, split)


def _only(value: Any) -> Any:
    return value[0] if type(value) is list and len(value) == 1 else value


def _sample(position: int, fields: dict[str, Any], common: dict[str, Any], split: str | None) -> Iterator[Event]:
    scores = {key: fields.pop(key) for key in _SCORERS if key in fields and _is_score(fields[key])}
    generation = {**common, "split": split, "sample_index": fields.pop("idx", None)}
    generation |= _taken_text(fields) | _taken_tokens(fields) | _taken_advantage(fields)
    yield position, "generations", {**generation, "extra": fields}
    for scorer, score in scores.items():
        of = {"generation_id": EventRef("generations", 0), "scorer": scorer}
        yield position, "reward_scores", {**common, **of, **score_value(score)}


def _taken_text(fields: dict[str, Any]) -> dict[str, Any]:
    """The columns of `content`, taken out of `fields`; none where it is of another shape."""
    content: Any = fields.get("content")
    columns: dict[str, Any]
    if isinstance(content, str):
        columns = {"completion_text": content, "role_boundaries": marked_roles(content)}
    elif is_messages(content):
        columns = _split_messages(content)
    elif isinstance(content, list) and content and all(isinstance(text, str) for text in content):
        turns = as_messages([{"role": None, "content": text} for text in content])
        columns = {"completion_messages": turns, "role_boundaries": "lost"}
    else:
        return {}
    del fields["content"]
    return columns


def _split_messages(messages: list[Any]) -> dict[str, Any]:
    begin = next((at for at, one in enumerate(messages) if one["role"] == "assistant"), len(messages))
    return {
        "prompt_messages": as_messages(messages[:begin]),
        "completion_messages": as_messages(messages[begin:]),
        "role_boundaries": "structured",
    }


def _taken_tokens(fields: dict[str, Any]) -> dict[str, Any]:
    """The columns of the token lists, taken out of `fields`; none unless one run of tokens was generated."""
    tokens: Any = fields.get("token_ids")
    length: Any = fields.get("input_lengths")
    mask: Any = fields.get("token_loss_mask")
    run = _run_of_ones(mask)
    if run is None or not _is_padded(tokens, length) or len(mask) != len(tokens) or run[1] > length:
        return {}
    begin, end = run
    if end < length:  # what the environment answered
        fields["token_ids_after_response"] = tokens[end:length]
    columns = {"prompt_token_ids": tokens[:begin], "completion_token_ids": tokens[begin:end]}
    logprobs = fields.get("generation_logprobs")
    if isinstance(logprobs, list) and len(logprobs) == len(tokens) and _is_all_zero(logprobs[:begin] + logprobs[end:]):
        columns["logprobs"] = logprobs[begin:end]
        del fields["generation_logprobs"]
    del fields["token_ids"], fields["token_loss_mask"]
    return columns


def _run_of_ones(mask: Any) -> tuple[int, int] | None:
    """(start, end) of the only run of ones in a list of zeros and ones."""
    if not isinstance(mask, list) or not all(is_number(one) and one in (0, 1) for one in mask) or 1 not in mask:
        return None
    begin, count = mask.index(1), mask.count(1)
    return (begin, begin + count) if _is_all_zero(mask[begin + count :]) else None


def _is_padded(tokens: Any, length: Any) -> bool:
    """Whether these are tokens of which all behind `length` are the same."""
    return (
        isinstance(tokens, list)
        and all(type(token) is int for token in tokens)
        and type(length) is int
        and length <= len(tokens)
        and len(set(tokens[length:])) <= 1
    )


def _taken_advantage(fields: dict[str, Any]) -> dict[str, Any]:
    """The advantage, taken out of `fields` where all tokens have the same."""
    values = fields.get("advantages")
    if not isinstance(values, list) or not values or not all(is_number(one) and one == values[0] for one in values):
        return {}
    return {"advantage": fields.pop("advantages")[0]}


def _is_all_zero(values: list[Any]) -> bool:
    return all(is_number(value) and value == 0 for value in values)


def _is_score(value: Any) -> bool:
    return value is None or is_number(value) or isinstance(value, bool)


ADAPTERS = (
    Adapter(
        "nemo_rl",
        1,
        ("jsonl",),
        _score,
        _events,
        reads="Samples that NeMo-RL dumps at each step: `train_data_step<N>.jsonl` and `val_data_step<N>.jsonl`.",
        fields={
            "generations.run_id": "the file's folder",
            "generations.step": "N of the file's name",
            "generations.split": "`train` or `val` of the file's name",
            "generations.sample_index": "`idx`",
            "generations.prompt_messages": "`content` of validation: messages before the first of role `assistant`",
            "generations.completion_messages": (
                "`content` of validation: messages from the first of role `assistant` on; of training: the texts of "
                "all turns, the prompt's included, without roles"
            ),
            "generations.completion_text": "`content` where it is one text: the whole conversation",
            "generations.prompt_token_ids": "`token_ids` before the first that `token_loss_mask` marks",
            "generations.completion_token_ids": "`token_ids` that `token_loss_mask` marks, where that is one run",
            "generations.logprobs": "`generation_logprobs` of the same tokens",
            "generations.advantage": "`advantages` where all tokens have the same",
            "generations.role_boundaries": "the shape of `content`",
            "generations.extra_json": (
                "all other fields, each without the list of one around it; `token_ids_after_response`: tokens of "
                "`token_ids` between the response and the padding, which is left out"
            ),
            "reward_scores.run_id": "the file's folder",
            "reward_scores.step": "N of the file's name",
            "reward_scores.generation_id": "the generation of the same line",
            "reward_scores.scorer": "`rewards` or, with dynamic sampling, also `filtered_rewards`",
            "reward_scores.score": "the value of that key",
            "reward_scores.score_state": "the value of that key",
            "reward_scores.extra_json": "a score that no number column can hold",
        },
    ),
)
