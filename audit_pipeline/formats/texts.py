"""Texts without a judgment: training text, prompts, responses and pairs of responses that wait for one.

Sources: TRL `docs/source/dataset_formats.md`: {text}, {messages}, {prompt} and {prompt, completion}, with `tools`,
`images` and an id at most, so that a file with more to say is not taken for one · open-instruct
`rejection_sampling/generation.py` and `rejection_sampling.py` (save_filename_scores): {messages, model_completion,
reference_completion} and later `score` and `reference_completion_score` by path of the reward model · LLMFAO
`pairs-crowd.jsonl`: {id, prompt, text, model_x, result_x, model_y, result_y}, where `id` names the pair and `prompt`
the prompt. They hold no annotator and no time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, is_messages, share
from audit_pipeline.formats.preference import is_scored, score_events
from audit_pipeline.formats.responses import RESPONSE_FIELDS, is_content, item_id, others, response_row

_MAIN = ("text", "messages", "prompt", "completion")
_BESIDE = frozenset(["tools", "images", "image", "chat_template_kwargs", "id", "prompt_id", "uid"])
_SIDES = (("model_x", "result_x"), ("model_y", "result_y"))
_SCORES = ("score", "reference_completion_score")


def _score_texts(path: str, items: Sequence[Any]) -> float:
    return 0.8 * share(items, lambda item: _parts(item) is not None and item.keys() <= _BESIDE.union(_MAIN))


def _score_sampled(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, _is_sampled)


def _score_sides(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, _has_sides)


def _parts(item: dict[str, Any]) -> tuple[Any, Any] | None:
    """(prompt, response) of a record; None where it is of none of the four shapes."""
    main = {key: item[key] for key in _MAIN if key in item}
    if not all(map(is_content, main.values())):
        return None
    match list(main):
        case ["text"]:
            return None, main["text"]
        case ["messages"] if is_messages(main["messages"]):
            messages = main["messages"]
            ends_with_response = messages[-1]["role"] == "assistant"
            return (messages[:-1] or None, messages[-1:]) if ends_with_response else (messages, None)
        case ["prompt"]:
            return main["prompt"], None
        case ["prompt", "completion"]:
            return main["prompt"], main["completion"]
    return None


def _is_sampled(item: dict[str, Any]) -> bool:
    """Whether the messages end with the completion, as they do where open-instruct wrote them."""
    messages: Any = item.get("messages")
    completion = item.get("model_completion")
    if not is_messages(messages) or not isinstance(completion, str) or "reference_completion" not in item:
        return False
    return bool(messages[-1].get("content") == completion)


def _has_sides(item: dict[str, Any]) -> bool:
    return all(model in item and isinstance(item.get(result), str) for model, result in _SIDES) and "winner" not in item


def _text_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and (parts := _parts(item)) is not None:
            name, id_key = item_id(position, item)
            yield position, "generations", {**response_row(name, 0, *parts), "extra": others(item, [*_MAIN, id_key])}


def _sampled_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict) or not _is_sampled(item):
            continue
        scored = {at: key for at, key in enumerate(_SCORES) if is_scored(item.get(key))}
        known = ["messages", "model_completion", "reference_completion", *scored.values()]
        *before, last = item["messages"]
        prompt = before or None
        own = {**response_row(str(position), 0, prompt, [last]), "extra": others(item, known)}
        yield position, "generations", own
        yield position, "generations", response_row(str(position), 1, prompt, item["reference_completion"])
        for at, key in scored.items():
            yield from score_events(position, at, item[key])


def _side_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict) or not _has_sides(item):
            continue
        name, id_key = item_id(position, item)
        prompt_key = "text" if isinstance(item.get("text"), str) else "prompt"
        extra = others(item, [id_key, prompt_key, *sum(_SIDES, ())])
        for at, (model, result) in enumerate(_SIDES):
            row = response_row(name, at, item.get(prompt_key, ""), item[result])
            yield position, "generations", {**row, "model_name": _named(item[model]), "extra": extra if at == 0 else {}}


def _named(model: Any) -> Any:
    """LLMFAO names models by number."""
    return str(model) if isinstance(model, int) and not isinstance(model, bool) else model


_TEXT = "where it is text"
_CONVERSATION = "the same, where it is a conversation"

ADAPTERS = (
    Adapter(
        "prompts_and_completions",
        1,
        ("jsonl", "json", "csv", "parquet"),
        _score_texts,
        _text_events,
        reads="Training texts and prompts as TRL reads them: `text`, `messages`, `prompt` or `prompt` and "
        "`completion`, and little else.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "generations.prompt_text": f"`prompt`, {_TEXT}; what comes before the last turn of `text`",
            "generations.prompt_messages": "`prompt`, where it is a conversation; `messages` up to the response",
            "generations.completion_text": f"`completion`, {_TEXT}; `text` or its last turn",
            "generations.completion_messages": "`completion`, where it is a conversation; the last of `messages`, "
            "if it is the assistant's",
            "generations.extra_json": "any other key, such as `tools`",
        },
    ),
    Adapter(
        "rejection_sampling",
        1,
        ("jsonl", "json", "parquet"),
        _score_sampled,
        _sampled_events,
        reads="Completions that open-instruct sampled to choose from, before or after reward models scored them.",
        fields={
            **RESPONSE_FIELDS,
            "generations.sample_index": "0 for the model's completion, 1 for the reference",
            "generations.group_id": "the record's position",
            "generations.prompt_messages": "`messages` without the last",
            "generations.completion_text": f"`reference_completion`, {_TEXT}",
            "generations.completion_messages": "the last of `messages`, which is `model_completion`",
            "generations.extra_json": "any other key",
            "reward_scores.generation_id": "the completion for `score`, the reference for `reference_completion_score`",
            "reward_scores.scorer": "key in these, a path of a reward model",
            "reward_scores.scorer_kind": "`judge` where the key names GPT-3.5 or GPT-4, else `reward_model`",
            "reward_scores.score": "value of the key",
            "reward_scores.score_state": "by the value",
        },
    ),
    Adapter(
        "pairs_jsonl",
        1,
        ("jsonl", "json"),
        _score_sides,
        _side_events,
        reads="Pairs of responses before anybody compared them, as LLMFAO's: `result_x` of `model_x` and so on.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, which names the pair, else the record's position",
            "generations.prompt_text": "`text`, else `prompt`",
            "generations.completion_text": "`result_x`, `result_y`",
            "generations.model_name": "`model_x`, `model_y`",
            "generations.extra_json": "any other key, in the row of the first response; a model of another type",
        },
    ),
)
