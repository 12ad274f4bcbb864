"""Red-team transcripts of HH-RLHF (`red-team-attempts/`): a person attacks an assistant and rates how well it went.

Source: the card of the data set Anthropic/hh-rlhf. One JSON array, though it is called `.jsonl`, of {transcript,
min_harmlessness_score_transcript, num_params, model_type, rating, task_description,
task_description_harmlessness_score, red_team_member_id, is_upworker, tags}. The person's rating is higher the better
the attack went; a preference model gave the scores. No time.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, as_person, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.responses import RESPONSE_FIELDS, others, response_row

_SCORER = "min_harmlessness_score_transcript"
_RATER = "red_team_member_id"
_RESPONSE = EventRef("generations", 0)


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: _is_attempt(item) and {"rating", _RATER, _SCORER} <= item.keys())


def _is_attempt(item: dict[str, Any]) -> bool:
    return isinstance(item.get("transcript"), str) and bool({"rating", _SCORER} & item.keys())


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_attempt(item):
            yield from _attempt_events(position, item)


def _attempt_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    row = response_row(str(position), 0, None, item["transcript"])
    yield position, "generations", {**row, "model_name": item.get("model_type")}
    is_scored = _SCORER in item and (item[_SCORER] is None or is_number(item[_SCORER]))
    known = ["transcript", "model_type", "rating", _RATER, *([_SCORER] if is_scored else [])]
    judged = {"annotator_id": as_person(item.get(_RATER)), "annotator_kind": "human", "status": "submitted"}
    rating = {"kind": "rating", "question": "rating", "value_num": item.get("rating"), "response_a_id": _RESPONSE}
    yield position, "annotations", {"item_id": str(position), **judged, **rating, "extra": others(item, known)}
    if is_scored:
        of = {"generation_id": _RESPONSE, "scorer": _SCORER, "scorer_kind": "reward_model"}
        yield position, "reward_scores", {**of, **score_value(item[_SCORER])}


ADAPTERS = (
    Adapter(
        "hh_red_team",
        1,
        ("json", "jsonl", "parquet"),
        _score,
        _events,
        reads="`red_team_attempts.jsonl` of HH-RLHF: transcripts of attacks, each rated by the attacker.",
        fields={
            **RESPONSE_FIELDS,
            "generations.group_id": "the record's position",
            "generations.prompt_text": "`transcript` up to the assistant's last turn",
            "generations.completion_text": "the assistant's last turn, or all of `transcript` where there is none",
            "generations.model_name": "`model_type`",
            "generations.extra_json": "`model_type` where it is no text",
            "annotations.item_id": "the record's position",
            "annotations.annotator_id": f"`{_RATER}`",
            "annotations.annotator_kind": "`human`",
            "annotations.question": "`rating`",
            "annotations.kind": "`rating`",
            "annotations.value_num": "`rating`",
            "annotations.response_a_id": "the transcript",
            "annotations.status": "`submitted`",
            "annotations.extra_json": "any other key",
            "reward_scores.generation_id": "the transcript",
            "reward_scores.scorer": f"`{_SCORER}`",
            "reward_scores.scorer_kind": "`reward_model`",
            "reward_scores.score": f"`{_SCORER}`",
            "reward_scores.score_state": "by the value",
            "reward_scores.extra_json": "numbers that are no double",
        },
    ),
)
