"""PRISM: what 1,500 people answered in a survey, and how they rated models in conversations.

Sources: prism-alignment `src/data_processing/process_conversations.py` and `prepare_conversations.py` (conversations,
utterances), `prepare_survey.py` (survey), and of `notebooks/pre-release processing/` `03_metadata_annotation.ipynb`
(metadata) and `04_codebooks.ipynb` (what each field means). Times have no zone.

The answers of a person together tell who it is, and people write about themselves. So only what is named here is taken:
ratings, flags, and what was said in conversations. Demographics, self-descriptions, feedback in people's own words and
fields that are not known stay in the record.
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
    is_number,
    marked_roles,
    share,
)
from audit_pipeline.formats.answers import MOST_PROMPT, Prompts, answer_value, message_size
from audit_pipeline.formats.judged import short_name
from audit_pipeline.formats.times import iso_time

_CONVERSATION_KEYS = (
    "conversation_type",
    "conversation_turns",
    "timing_duration_s",
    "timing_duration_mins",
    "included_in_balanced_subset",
)
_UTTERANCE_KEYS = (
    "utterance_id",
    "conversation_id",
    "turn",
    "within_turn_id",
    "conversation_type",
    "model_provider",
    "included_in_balanced_subset",
)
_TEXT_KEYS = ("column_id", "utterance_id", "interaction_id", "conversation_id")
_ATTRIBUTES = ("performance_attributes", "choice_attributes")
_FLAGS = (("pii_flag", "model"), ("pii_manual_flag", "human"), ("en_flag", "model"))

_SURVEY = frozenset(["user_id", "stated_prefs", "self_description", "system_string"])
_CONVERSATION = frozenset(["conversation_id", "user_id", "conversation_history", *_ATTRIBUTES])
_UTTERANCE = frozenset(["utterance_id", "interaction_id", "user_prompt", "model_response", "score", "if_chosen"])
_METADATA = frozenset(["column_id", "user_id", "pii_flag", "moderation_flag"])


def _score_survey(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: item.keys() >= _SURVEY and isinstance(item["stated_prefs"], dict))


def _score_conversations(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: item.keys() >= _CONVERSATION and _is_history(item["conversation_history"]))


def _score_utterances(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: item.keys() >= _UTTERANCE)


def _score_metadata(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: item.keys() >= _METADATA)


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and any(map(_is_said, value))


def _is_said(value: Any) -> bool:
    is_texts = isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)
    return is_texts and value["role"] in ("user", "model")


def _survey_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and isinstance(item.get("stated_prefs"), dict):
            yield from _ratings(position, str(position), item, "stated_prefs")


def _ratings(position: int, item_id: str, item: dict[str, Any], field: str) -> Iterator[Event]:
    """A rating for each slider of a field; what is no number and not null is somebody's text."""
    ratings = item.get(field)
    for name, value in ratings.items() if isinstance(ratings, dict) else ():
        if value is None or is_number(value):
            answer = {"item_id": item_id, "question": f"{field}.{name}", "kind": "rating", **answer_value(value)}
            yield position, "annotations", {**_person(item), **answer}


def _who(item: dict[str, Any]) -> dict[str, Any]:
    return {"annotator_id": as_person(item.get("user_id")), "annotator_kind": "human", "status": "submitted"}


def _person(item: dict[str, Any]) -> dict[str, Any]:
    """Who answered and when."""
    if (made := iso_time(item.get("generated_datetime"))) is None:
        return _who(item)
    return {**_who(item), "event_time": made[0], "event_time_quality": made[1], "created_at": made[0]}


def _conversation_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_history(item.get("conversation_history")):
            yield from _conversation(position, item)


def _conversation(position: int, item: dict[str, Any]) -> Iterator[Event]:
    item_id = short_name(item.get("conversation_id")) or str(position)
    person, prompts = _person(item), Prompts()
    shared = {key: item[key] for key in _CONVERSATION_KEYS if _is_small(item.get(key))}
    when: dict[str, Any] = {key: person[key] for key in ("event_time", "event_time_quality") if key in person}
    before: list[dict[str, str]] = []
    size = ordinal = 0
    for turn, (prompt, responses) in enumerate(_turns(item["conversation_history"])):
        before += prompt
        size += sum(map(message_size, prompt))
        group_id = f"{item_id}/{turn}"
        first = ordinal
        for response in responses:
            generation = {
                "split": "dataset",
                "sample_index": ordinal - first,
                "group_id": group_id,
                "prompt_messages": prompts.of(before, size),
                "completion_messages": as_messages([_message(response)]),
                "model_name": response.get("model_name"),
                "role_boundaries": "structured",
                "extra": {**shared, **_others(response)},
            }
            yield position, "generations", {**generation, **when}
            rating = {"item_id": group_id, "response_a_id": EventRef("generations", ordinal), **_score(response)}
            yield position, "annotations", {**person, **rating}
            ordinal += 1
        if (choice := _choice(responses, first)) is not None:
            yield position, "annotations", {**person, "item_id": group_id, **choice}
        # The conversation goes on from the response that was chosen.
        chosen = [_message(response) for response in responses if response.get("if_chosen") is True][:1]
        before += chosen
        size += sum(map(message_size, chosen))
    for field in _ATTRIBUTES:
        yield from _ratings(position, item_id, item, field)


def _is_small(value: Any) -> bool:
    """Whether each response may repeat it."""
    return is_number(value) or isinstance(value, bool) or short_name(value) is not None


def _turns(history: list[Any]) -> list[tuple[list[dict[str, str]], list[dict[str, Any]]]]:
    """What a person said and what models answered, in order. What is neither stays in the record."""
    turns: list[tuple[list[dict[str, str]], list[dict[str, Any]]]] = []
    for said in filter(_is_said, history):
        if said["role"] == "user":
            turns.append(([_message(said)], []))
        else:
            if not turns:
                turns.append(([], []))
            turns[-1][1].append(said)
    return turns


def _message(said: dict[str, Any]) -> dict[str, str]:
    return {"role": said["role"], "content": said["content"]}


def _others(response: dict[str, Any]) -> dict[str, Any]:
    return {key: response[key] for key in ("turn", "within_turn_id", "model_provider") if key in response}


def _score(response: dict[str, Any]) -> dict[str, Any]:
    chosen = {"extra": {"if_chosen": response["if_chosen"]}} if "if_chosen" in response else {}
    return {"question": "score", "kind": "rating", **answer_value(response.get("score")), **chosen}


def _choice(responses: list[dict[str, Any]], first: int) -> dict[str, Any] | None:
    """Which of a turn's responses was the best; None where the source does not say one.

    Where two scores are equal, `if_chosen` is drawn by lot: a tie. How the responses were placed is not kept.
    """
    chosen = [index for index, response in enumerate(responses) if response.get("if_chosen") is True]
    if len(chosen) != 1 or len(responses) < 2:
        return None
    best = responses[chosen[0]].get("score")
    is_pair = len(responses) == 2
    asked: dict[str, Any] = {"question": "if_chosen", "kind": "pairwise" if is_pair else "ranking"}
    if is_pair:
        asked |= {f"response_{side}_id": EventRef("generations", first + at) for at, side in enumerate("ab")}
    if is_number(best) and sum(response.get("score") == best for response in responses) > 1:
        return {**asked, "outcome": "tie"}
    asked |= {"chosen_id": EventRef("generations", first + chosen[0])}
    return {**asked, "rejected_id": EventRef("generations", first + 1 - chosen[0])} if is_pair else asked


def _utterance_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and {"user_prompt", "model_response", "score"} <= item.keys():
            generation = {
                "split": "dataset",
                "group_id": item.get("interaction_id"),
                "prompt_text": item["user_prompt"],
                "completion_text": item["model_response"],
                "model_name": item.get("model_name"),
                "role_boundaries": marked_roles(f"{item['user_prompt']}{item['model_response']}"),
                "extra": {key: item[key] for key in _UTTERANCE_KEYS if key in item},
            }
            yield position, "generations", generation
            item_id = short_name(item.get("utterance_id")) or str(position)
            rated = {"item_id": item_id, "response_a_id": EventRef("generations", 0)}
            yield position, "annotations", {**_who(item), **rated, **_score(item)}


def _metadata_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and {"column_id", "pii_flag"} <= item.keys():
            for answer in _flags(item):
                yield position, "annotations", {**_about_text(position, item), **answer}


def _about_text(position: int, item: dict[str, Any]) -> dict[str, Any]:
    """Which text was flagged. `user_id` says whose it is, which no column is for."""
    ids = [item[key] for key in _TEXT_KEYS[1:] if isinstance(item.get(key), str)]
    extra = {key: item[key] for key in _TEXT_KEYS if item.get(key) is not None}
    return {"item_id": ids[0] if ids else str(position), "status": "submitted", "extra": extra}


def _flags(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, kind in _FLAGS:
        value = item.get(name)
        if isinstance(value, bool | int | float) and value in (0, 1):  # a flag that is null or NaN was not checked
            yield {"question": name, "annotator_kind": kind, "kind": "binary", "value_num": float(value)}
    if isinstance(language := item.get("language_flag"), str):
        yield {"question": "language_flag", "annotator_kind": "model", "kind": "text", "value_text": language}
    if isinstance(moderation := item.get("moderation_flag"), dict):
        flagged = moderation.get("flagged")
        value_num = {"value_num": float(flagged)} if isinstance(flagged, bool) else {}
        answer = {"kind": "binary", **value_num, **answer_value(moderation)}
        yield {"question": "moderation_flag", "annotator_kind": "model", **answer}


_PERSON = {
    "annotations.annotator_id": "`user_id`",
    "annotations.annotator_kind": "always `human`",
    "annotations.status": "always `submitted`",
}
_TIMED = {
    "annotations.event_time": "`generated_datetime`, read as UTC",
    "annotations.event_time_quality": "zone of `generated_datetime`, which has none: `naive_assumed`",
    "annotations.created_at": "`generated_datetime`, read as UTC",
}
_ANSWERED = {
    "annotations.value_num": "the number",
    "annotations.value_json": "null, for a slider that was not used, or NaN",
}

ADAPTERS = (
    Adapter(
        "prism_survey",
        1,
        ("jsonl",),
        _score_survey,
        _survey_events,
        reads="`survey.jsonl` of PRISM. Only the sliders of `stated_prefs` are taken: the other answers, such as "
        "demographics, location and texts, tell together who a person is and stay in the record.",
        fields={
            **_PERSON,
            **_TIMED,
            **_ANSWERED,
            "annotations.extra_json": "values that do not fit their columns",
            "annotations.item_id": "the record's position",
            "annotations.question": "`stated_prefs.` and the name of the slider",
            "annotations.kind": "always `rating`",
        },
    ),
    Adapter(
        "prism_conversations",
        1,
        ("jsonl",),
        _score_conversations,
        _conversation_events,
        reads="`conversations.jsonl` of PRISM. `open_feedback` is a person's own words and stays in the record; "
        "`opening_prompt` is the first message.",
        fields={
            **_PERSON,
            **_TIMED,
            **_ANSWERED,
            "generations.event_time": "`generated_datetime`, the end of the conversation, read as UTC",
            "generations.event_time_quality": "zone of `generated_datetime`, which has none: `naive_assumed`",
            "generations.extra_json": "`turn`, `within_turn_id`, `model_provider`; of the conversation its type, "
            "number of turns, duration and whether it is in the balanced subset",
            "generations.split": "always `dataset`",
            "generations.sample_index": "order within the turn, which is random",
            "generations.group_id": "`conversation_id`, else the record's position, and the turn",
            "generations.prompt_messages": "`conversation_history` before the response, with the chosen response of "
            f"each turn; null once a record has {MOST_PROMPT:,} characters of prompts",
            "generations.completion_messages": "`content`",
            "generations.model_name": "`model_name`",
            "generations.role_boundaries": "always `structured`",
            "annotations.extra_json": "`if_chosen`, with the score of each response",
            "annotations.item_id": "`conversation_id`, else the record's position; of responses also the turn",
            "annotations.question": "`score`, `if_chosen` once per turn, `performance_attributes.` or "
            "`choice_attributes.` and the name of the slider",
            "annotations.kind": "`rating`; of `if_chosen` `pairwise` of two responses and `ranking` of more",
            "annotations.outcome": "`tie` where another response has the `score` of the chosen one, which was then "
            "drawn by lot",
            "annotations.response_a_id": "the response that has the score, or the first of two",
            "annotations.response_b_id": "the second of two responses",
            "annotations.chosen_id": "response with `if_chosen`",
            "annotations.rejected_id": "the other one of two",
            "annotations.value_text": "a score that is a text",
        },
    ),
    Adapter(
        "prism_utterances",
        1,
        ("jsonl",),
        _score_utterances,
        _utterance_events,
        reads="`utterances.jsonl` of PRISM: the responses of its conversations one by one.",
        fields={
            **_PERSON,
            **_ANSWERED,
            "generations.extra_json": "ids of utterance and conversation, `turn`, `within_turn_id`, `model_provider`, "
            "`conversation_type`, `included_in_balanced_subset`",
            "generations.split": "always `dataset`",
            "generations.group_id": "`interaction_id`",
            "generations.prompt_text": "`user_prompt`",
            "generations.completion_text": "`model_response`",
            "generations.model_name": "`model_name`",
            "generations.role_boundaries": "whether words that stand for roles are in the texts",
            "annotations.extra_json": "`if_chosen`",
            "annotations.item_id": "`utterance_id`, else the record's position",
            "annotations.question": "always `score`",
            "annotations.kind": "always `rating`",
            "annotations.response_a_id": "the response",
            "annotations.value_text": "a score that is a text",
        },
    ),
    Adapter(
        "prism_metadata",
        1,
        ("jsonl",),
        _score_metadata,
        _metadata_events,
        reads="`metadata.jsonl` of PRISM: flags of texts. `user_id` is who wrote a text, not who flagged it, and stays "
        "in the record.",
        fields={
            "annotations.extra_json": "`column_id`, `utterance_id`, `interaction_id`, `conversation_id`: which text",
            "annotations.item_id": "`utterance_id`, else `interaction_id`, `conversation_id` or the record's position",
            "annotations.annotator_kind": "`human` of `pii_manual_flag`, `model` of the others, which programs set",
            "annotations.question": "name of the flag",
            "annotations.kind": "`binary`, or `text` of `language_flag`",
            "annotations.value_num": "1 or 0",
            "annotations.value_text": "`language_flag`",
            "annotations.value_json": "`moderation_flag`, with its categories",
            "annotations.status": "always `submitted`",
        },
    ),
)
