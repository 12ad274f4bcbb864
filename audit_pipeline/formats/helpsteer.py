"""NVIDIA's HelpSteer data sets: ratings of responses, preferences, feedback, edits and principles.

Source: the cards of nvidia/HelpSteer2 and nvidia/HelpSteer3. HelpSteer and HelpSteer2: {prompt, response} with five
attributes from 0 to 4, each the mean of the annotators who agree most; in `disagreements/` each is the list of what the
annotators said. HelpSteer2 `preference/`: {split, prompt, response_1, response_2, preference_strength,
preference_statement, preference_elaboration, three_most_similar_preferences, all_preferences_unprocessed: [{strength,
justification}]}. HelpSteer3: {domain, language, context} with {response1, response2, overall_preference,
individual_preference: [{score, reasoning}]}, {response1, response2, feedback1: [text], feedback2: [text]},
{original_response, edited_response, feedback, change_summary}, {original_response, good_edited_response,
bad_edited_response, feedback} or {response, principle, fulfilment: Yes or No}. A preference is -3 where the first
response is much better, 3 where the second is; another number is no preference. No file names annotators or times.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.responses import (
    RESPONSE_FIELDS,
    by_sign,
    compared,
    is_content,
    is_finite,
    item_id,
    others,
    response_row,
)

_ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
_RESPONSES = (
    ("response_1", "response_2"),
    ("response1", "response2"),
    ("original_response", "good_edited_response", "bad_edited_response"),
    ("original_response", "edited_response"),
    ("response",),
)
"""Keys of a record's responses, by its shape; the first that fits."""
_STRONGEST = 3
_OVERALL = ("preference_strength", "overall_preference")
_INDIVIDUAL = (("all_preferences_unprocessed", "strength"), ("individual_preference", "score"))
_FEEDBACK = (("feedback", 0), ("feedback1", 0), ("feedback2", 1))
_MARKS = {*_OVERALL, "feedback1", "feedback2", "edited_response", "good_edited_response"}
_JUDGED = {"annotator_kind": "human", "status": "submitted"}


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, _is_ours)


def _is_ours(item: dict[str, Any]) -> bool:
    if not (keys := _response_keys(item)):
        return False
    if keys == ("response",):
        is_rated = all(is_number(item.get(name)) or isinstance(item.get(name), list) for name in _ATTRIBUTES)
        return is_rated or {"context", "principle", "fulfilment"} <= item.keys()
    return bool(_MARKS & item.keys())


def _response_keys(item: dict[str, Any]) -> tuple[str, ...]:
    if not is_content(item.get("context", item.get("prompt"))):
        return ()
    return next((keys for keys in _RESPONSES if all(isinstance(item.get(key), str) for key in keys)), ())


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_ours(item):
            yield from _item_events(position, item)


def _item_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    keys = _response_keys(item)
    name, id_key = item_id(position, item)
    prompt_key = "context" if "context" in item else "prompt"
    judgments, known = _judgments(item, keys)
    extra = others(item, [*keys, *known, prompt_key, id_key])
    for index, key in enumerate(keys):
        row = response_row(name, index, item[prompt_key], item[key])
        yield position, "generations", {**row, "extra": extra if index == 0 else {}}
    for judgment in judgments:
        yield position, "annotations", {"item_id": name, **_JUDGED, **judgment}
    for attribute in _ATTRIBUTES:
        if attribute in known and not isinstance(item[attribute], list):
            of = {"generation_id": EventRef("generations", 0), "scorer": attribute, "scorer_kind": "human_mean"}
            yield position, "reward_scores", {**of, **score_value(item[attribute])}


def _judgments(item: dict[str, Any], keys: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[str]]:
    """(the judgments in a record, the keys that they are)."""
    judgments: list[dict[str, Any]] = []
    known: list[str] = []
    if keys in _RESPONSES[:2]:
        known += [key for key in _OVERALL if key in item]
        judgments += [_preference(key, key, {key: item[key]}) for key in known]
        for key, strength in _INDIVIDUAL:
            if _are_objects(item.get(key)):
                known.append(key)
                judgments += [_preference(key, strength, one) for one in item[key]]
    for key, index in _FEEDBACK:
        if isinstance(texts := item.get(key), list) and index < len(keys):
            known.append(key)
            judgments += [_answer("text", key, {"value_text": text}, index) for text in texts]
    if "good_edited_response" in keys:
        judgments.append({**compared("a", 1, 2), "question": "edit_quality", "outcome": None})
    if "principle" in item and "fulfilment" in item:
        known += ["principle", "fulfilment"]
        answer = {"value_num": {"Yes": 1.0, "No": 0.0}.get(str(item["fulfilment"])), "value_text": item["fulfilment"]}
        judgments.append(_answer("binary", item["principle"], answer, 0) | {"annotator_kind": "unknown"})
    for attribute in _ATTRIBUTES if keys == ("response",) else ():
        if isinstance(values := item.get(attribute), list):
            judgments += [_answer("rating", attribute, {"value_num": value}, 0) for value in values]
        elif attribute not in item or not (is_number(values) or values is None):
            continue
        known.append(attribute)
    return judgments, known


def _preference(question: str, key: str, one: dict[str, Any]) -> dict[str, Any]:
    value: Any = one.get(key)
    if not is_finite(value) or abs(value) > _STRONGEST:
        return {**compared(None), "question": question, "extra": one}
    answer = {"value_num": value, "strength": abs(value), "extra": others(one, [key])}
    return {**compared(by_sign(value)), "question": question, **answer}


def _answer(kind: str, question: Any, answer: dict[str, Any], index: int) -> dict[str, Any]:
    return {"kind": kind, "question": question, **answer, "response_a_id": EventRef("generations", index)}


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


ADAPTERS = (
    Adapter(
        "helpsteer",
        1,
        ("jsonl", "json", "parquet"),
        _score,
        _events,
        reads="HelpSteer, HelpSteer2 with `preference/` and `disagreements/`, and all parts of HelpSteer3.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "generations.prompt_text": "`prompt`; `context`, where it is text",
            "generations.prompt_messages": "`context`",
            "generations.completion_text": "`response`, `response_1` and `response_2`, `response1` and `response2`, "
            "`original_response` and `edited_response`, `good_edited_response` and `bad_edited_response`",
            "generations.extra_json": "any other key of the record, in the row of the first response",
            "annotations.item_id": "as generations.group_id",
            "annotations.annotator_kind": "`human`; `unknown` for `fulfilment`, which a model derived",
            "annotations.question": "key of the judgment, attribute, or `principle`",
            "annotations.kind": "`pairwise` for preferences and good and bad edits, `text` for feedback, `binary` for "
            "`fulfilment`, `rating` for attributes",
            "annotations.outcome": "by the sign of `preference_strength`, `overall_preference`, `strength`, `score`",
            "annotations.value_num": "these; an attribute that one annotator rated; 1 or 0 for `fulfilment`",
            "annotations.value_text": "one of `feedback`, `feedback1`, `feedback2`; `fulfilment`",
            "annotations.strength": "the preference without its sign",
            "annotations.response_a_id": "first response; the good edit; the response that feedback or rating is of",
            "annotations.response_b_id": "second response; the bad edit",
            "annotations.chosen_id": "by the sign of the preference; `good_edited_response`",
            "annotations.rejected_id": "the other one",
            "annotations.status": "`submitted`",
            "annotations.extra_json": "other keys of one preference, such as `justification` and `reasoning`; "
            "a preference outside of -3 to 3",
            "reward_scores.generation_id": "the response",
            "reward_scores.scorer": "`helpfulness`, `correctness`, `coherence`, `complexity`, `verbosity`",
            "reward_scores.scorer_kind": "`human_mean`",
            "reward_scores.score": "value of the attribute",
            "reward_scores.score_state": "by the value",
        },
    ),
)
