"""AlpacaEval annotations: a model says which of two outputs it prefers.

Source: AlpacaEval 0.6.6 `annotators/base.py`, `processors.py` and `metrics/winrate.py`. `preference` is 1 for the first
output, 2 for the second, or between them where the judge's probabilities weigh; 0 and 1.5 are a draw, null and -1 mean
that none was found. The judge saw the outputs in random order, and no file says which. In newer files the other keys of
a judgment begin with `preference_`; `preference_date` is a time without a zone. `time_per_example` is a batch's time
divided by its examples.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, as_person, share
from audit_pipeline.formats.responses import RESPONSE_FIELDS, compared, is_finite, item_id, others, response_row
from audit_pipeline.formats.times import iso_time

_KEYS = frozenset(["instruction", "output_1", "output_2", "annotator", "preference"])
_TIME_KEYS = ("preference_time_per_example", "time_per_example")
_DATE = "preference_date"
_MISSING = -1
_DRAWS = (0, 1.5)


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, _is_ours)


def _is_ours(item: dict[str, Any]) -> bool:
    return item.keys() >= _KEYS


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_ours(item):
            yield from _preference_events(position, item)


def _preference_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    name, id_key = item_id(position, item)
    for index, side in enumerate(("1", "2")):
        row = response_row(name, index, item["instruction"], item[f"output_{side}"])
        yield position, "generations", {**row, "model_name": item.get(f"generator_{side}")}
    preference = item["preference"]
    outcome = _outcome(preference)
    is_answer = is_finite(preference) and preference != _MISSING
    made = iso_time(item.get(_DATE))
    time_key = next((key for key in _TIME_KEYS if is_finite(item.get(key))), None)
    known = ["instruction", "output_1", "output_2", "generator_1", "generator_2", "annotator", id_key, time_key]
    known += [*(["preference"] if is_answer else []), *([_DATE] if made else [])]
    judged = {"item_id": name, "annotator_id": as_person(item["annotator"]), "annotator_kind": "model"}
    times = {"event_time": made[0], "created_at": made[0], "event_time_quality": made[1]} if made else {}
    answer = {"question": "preference", "value_num": preference if is_answer else None, **compared(outcome)}
    took = {} if time_key is None else {"lead_time_s": item[time_key]}
    row = {**judged, "status": "submitted", **times, **took, **answer, "extra": others(item, known)}
    yield position, "annotations", row


def _outcome(preference: Any) -> str | None:
    if preference is None or preference == _MISSING or preference != preference:  # NaN
        return "unparsed"
    if not is_finite(preference):
        return None
    if preference in _DRAWS:
        return "tie"
    return "a" if 1 <= preference < 1.5 else "b" if 1.5 < preference <= 2 else None


ADAPTERS = (
    Adapter(
        "alpaca_eval",
        1,
        ("json", "jsonl"),
        _score,
        _events,
        reads="AlpacaEval's `annotations.json` and its cache of annotations.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "generations.prompt_text": "`instruction`",
            "generations.completion_text": "`output_1`, `output_2`",
            "generations.model_name": "`generator_1`, `generator_2`",
            "generations.extra_json": "what of these is no text",
            "annotations.event_time": "`preference_date`",
            "annotations.event_time_quality": "`naive_assumed`, unless it has a zone",
            "annotations.item_id": "`id`, `prompt_id`, `question_id` or `uid`, else the record's position",
            "annotations.annotator_id": "`annotator`",
            "annotations.annotator_kind": "`model`",
            "annotations.question": "`preference`",
            "annotations.kind": "`pairwise`",
            "annotations.outcome": "by `preference`: `tie` for 0 and 1.5, `unparsed` for null, NaN and -1",
            "annotations.value_num": "`preference`",
            "annotations.response_a_id": "`output_1`",
            "annotations.response_b_id": "`output_2`",
            "annotations.chosen_id": "the preferred output",
            "annotations.rejected_id": "the other output",
            "annotations.status": "`submitted`",
            "annotations.lead_time_s": "`time_per_example` or `preference_time_per_example`",
            "annotations.created_at": "`preference_date`",
            "annotations.extra_json": "any other key, such as `raw_completion`; a `preference` that is none",
        },
    ),
)
