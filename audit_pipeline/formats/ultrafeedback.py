"""UltraFeedback: four models' completions of an instruction, each rated by a model in four aspects and as a whole.

Source: OpenBMB/UltraFeedback README and `src/data_annotation/{annotate_preference,annotate_critique,
fix_overall_score_issue}.py`: {source, instruction, models, correct_answers, incorrect_answers, completions: [{model,
principle, custom_system_prompt, response, annotations: {aspect: {Rating, Rationale, Type?, "Rationale For Rating"?}},
critique, overall_score, fine-grained_score}]}. A `Rating` is the text of a number or "N/A"; before they were put
together, an aspect has a list of them. `overall_score` is a number or the text of one; 10 is wrong in places, for what
was 1. The judge, GPT-4, is not named in the data. No time.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.responses import RESPONSE_FIELDS, is_finite, item_id, others, response_row

_NOT_APPLIED = "N/A"
_OVERALL = "overall_score"
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, _is_ours)


def _is_ours(item: dict[str, Any]) -> bool:
    completions = item.get("completions")
    if not isinstance(item.get("instruction"), str) or not isinstance(completions, list) or not completions:
        return False
    return all(isinstance(one, dict) and {"model", "response", "annotations"} <= one.keys() for one in completions)


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_ours(item):
            yield from _item_events(position, item)


def _item_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    name, id_key = item_id(position, item)
    extra = others(item, ["instruction", "completions", id_key])
    for index, completion in enumerate(item["completions"]):
        row = response_row(name, index, item["instruction"], completion["response"])
        judgments = list(_judgments(completion))
        known = ["model", "response", *(["annotations"] if _is_by_aspect(completion["annotations"]) else [])]
        known += [_OVERALL, "critique"] if _OVERALL in completion else []
        own = others(completion, known) | ({"of_all": extra} if index == 0 and extra else {})
        yield position, "generations", {**row, "model_name": completion["model"], "extra": own}
        for question, rating, rest in judgments:
            yield from _rating_events(position, name, index, question, rating, rest)


def _is_by_aspect(annotations: Any) -> bool:
    return isinstance(annotations, dict) and all(_are_ratings(given) for given in annotations.values())


def _are_ratings(given: Any) -> bool:
    return all(isinstance(one, dict) for one in (given if isinstance(given, list) else [given]))


def _judgments(completion: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(question, rating, the rest) of each judgment of a completion."""
    if _is_by_aspect(completion["annotations"]):
        for aspect, given in completion["annotations"].items():
            for one in given if isinstance(given, list) else [given]:
                yield aspect, one.get("Rating"), others(one, ["Rating"])
    if _OVERALL in completion:
        yield _OVERALL, completion[_OVERALL], {key: completion[key] for key in ("critique",) if key in completion}


def _rating_events(
    position: int, name: str, index: int, question: str, rating: Any, rest: dict[str, Any]
) -> Iterator[Event]:
    number, response = _number(rating), EventRef("generations", index)
    value = rating if is_number(rating) else number
    judged = {"item_id": name, "annotator_kind": "model", "status": "submitted", "response_a_id": response}
    answer = {"kind": "rating", "question": question, "value_num": number}
    text = {"value_text": rating} if number is None else {}
    yield position, "annotations", {**judged, **answer, **text, "extra": rest}
    if rating is None or rating == _NOT_APPLIED or value is not None:
        score = {"score": None, "score_state": "not_applied"} if rating == _NOT_APPLIED else score_value(value)
        of = {"generation_id": response, "scorer": question, "scorer_kind": "judge"}
        yield position, "reward_scores", {**of, **score}


def _number(rating: Any) -> Any:
    """The number that a rating is or says; None where it says none."""
    if isinstance(rating, str):
        return float(rating) if _NUMBER.fullmatch(rating) else None
    return rating if is_finite(rating) else None


ADAPTERS = (
    Adapter(
        "ultrafeedback",
        1,
        ("jsonl", "json", "parquet"),
        _score,
        _events,
        reads="UltraFeedback's rows, with annotations by aspect.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "generations.prompt_text": "`instruction`",
            "generations.completion_text": "`response`",
            "generations.model_name": "`model`",
            "generations.extra_json": "any other key of the completion, such as `custom_system_prompt`; in the first "
            "one's row under `of_all` those of the record",
            "annotations.item_id": "as generations.group_id",
            "annotations.annotator_kind": "`model`",
            "annotations.question": "aspect, or `overall_score`",
            "annotations.kind": "`rating`",
            "annotations.value_num": "number in `Rating` or `overall_score`",
            "annotations.value_text": "the same, where it says no number, such as `N/A`",
            "annotations.response_a_id": "the completion",
            "annotations.status": "`submitted`",
            "annotations.extra_json": "`Rationale`, `Type`, `Rationale For Rating`; `critique` beside `overall_score`",
            "reward_scores.generation_id": "the completion",
            "reward_scores.scorer": "aspect, or `overall_score`",
            "reward_scores.scorer_kind": "`judge`",
            "reward_scores.score": "number in `Rating` or `overall_score`",
            "reward_scores.score_state": "`not_applied` for `N/A`, else by the value",
        },
    ),
)
