"""MT-Bench judgments: a model rates one answer, or compares two.

Source: FastChat `llm_judge/common.py` (play_a_match_single, play_a_match_pair). `judge` is [model, template]. `score`
is -1 where no rating was found in the judgment. Two answers are compared twice: game 1 shows model 1 first, game 2
model 2; a winner is `error` where the judgment names none. The answers themselves are in another file; `user_prompt` is
what the judge was asked. `tstamp` is epoch seconds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, SourceContext, as_person, is_number, share
from audit_pipeline.formats.metrics import score_value
from audit_pipeline.formats.responses import compared, is_finite, item_id, others
from audit_pipeline.formats.times import epoch_time

_SINGLE = frozenset(["question_id", "model", "judge", "judgment", "score"])
_PAIR = frozenset(["question_id", "model_1", "model_2", "judge", "g1_winner", "g2_winner"])
_NO_RATING = -1
_OUTCOMES = (
    {"model_1": "a", "model_2": "b", "tie": "tie", "error": "unparsed"},
    {"model_1": "b", "model_2": "a", "tie": "tie", "error": "unparsed"},
)
"""By game: in the second, model 2 is shown first."""


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, lambda item: item.keys() >= _SINGLE or item.keys() >= _PAIR)


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and item.keys() >= _SINGLE:
            yield from _rating_events(position, item)
        elif isinstance(item, dict) and item.keys() >= _PAIR:
            yield from _game_events(position, item)


def _rating_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    score, response = item["score"], EventRef("generations", 0)
    is_rated = is_finite(score) and score != _NO_RATING
    judged = _judged(position, item, ["model", *(["score"] if is_rated else [])])
    yield position, "generations", _answer(judged["item_id"], 0, item["model"])
    answer = {"value_num": score} if is_rated else {"outcome": "unparsed" if score == _NO_RATING else None}
    yield position, "annotations", {**judged, "kind": "rating", **answer, "response_a_id": response}
    if score is None or is_number(score):
        value = {"score": None, "score_state": "sentinel"} if score == _NO_RATING else score_value(score)
        scorer = judged["question"] if isinstance(judged["question"], str) else "score"
        made: dict[str, Any] = {key: judged[key] for key in ("event_time", "event_time_quality") if key in judged}
        of = {"generation_id": response, "scorer": scorer, "scorer_kind": "judge"}
        yield position, "reward_scores", {**made, **of, **value}


def _game_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    judged = _judged(position, item, ["model_1", "model_2", "g1_winner", "g2_winner"])
    for index, model in enumerate(("model_1", "model_2")):
        yield position, "generations", _answer(judged["item_id"], index, item[model])
    shared = {key: value for key, value in judged["extra"].items() if not key.startswith(("g1_", "g2_"))}
    for game, outcomes in enumerate(_OUTCOMES):
        prefix = f"g{game + 1}_"
        own = {key: value for key, value in judged["extra"].items() if key.startswith(prefix)}
        winner = item[f"{prefix}winner"]
        outcome = outcomes.get(winner) if isinstance(winner, str) else None
        answer = {"value_text": winner, **compared(outcome, game, 1 - game)}
        yield position, "annotations", {**judged, **answer, "extra": shared | own}


def _judged(position: int, item: dict[str, Any], known: list[str]) -> dict[str, Any]:
    """What the judgments of a record have in common."""
    judge = item["judge"]
    model, template = judge if isinstance(judge, list) and len(judge) == 2 else (judge, None)
    name, id_key = item_id(position, item)
    made = epoch_time(item.get("tstamp"))
    extra = others(item, [*known, "judge", id_key, *(["tstamp"] if made else [])])
    of = {"item_id": name, "annotator_id": as_person(model), "annotator_kind": "model", "question": template}
    times = {"event_time": made[0], "created_at": made[0], "event_time_quality": made[1]} if made else {}
    return {**of, "status": "submitted", **times, "extra": extra}


def _answer(group_id: str, index: int, model: Any) -> dict[str, Any]:
    return {"split": "dataset", "sample_index": index, "group_id": group_id, "model_name": model}


ADAPTERS = (
    Adapter(
        "judge_scores",
        1,
        ("jsonl", "json"),
        _score,
        _events,
        reads="MT-Bench `model_judgment/*.jsonl` of FastChat: ratings of one answer and comparisons of two.",
        fields={
            "generations.split": "`dataset`",
            "generations.sample_index": "0 for `model` and `model_1`, 1 for `model_2`",
            "generations.group_id": "`question_id`",
            "generations.model_name": "`model`, `model_1`, `model_2`",
            "generations.extra_json": "a model that is no text",
            "annotations.event_time": "`tstamp`",
            "annotations.event_time_quality": "`epoch_s`",
            "annotations.item_id": "`question_id`",
            "annotations.annotator_id": "first of `judge`",
            "annotations.annotator_kind": "`model`",
            "annotations.question": "second of `judge`, the template",
            "annotations.kind": "`rating` for `score`, `pairwise` for each of `g1_winner` and `g2_winner`",
            "annotations.outcome": "by `g1_winner`, `g2_winner` and who was shown first; `unparsed` for `error` and a "
            "`score` of -1",
            "annotations.value_num": "`score`",
            "annotations.value_text": "`g1_winner`, `g2_winner`",
            "annotations.response_a_id": "the model's answer; of two, the one shown first",
            "annotations.response_b_id": "the one shown second",
            "annotations.chosen_id": "answer of the model that won",
            "annotations.rejected_id": "answer of the other",
            "annotations.status": "`submitted`",
            "annotations.created_at": "`tstamp`",
            "annotations.extra_json": "`judgment`, `user_prompt`, `turn` and any other key, of two games each its own; "
            "a `score` that is no rating",
            "reward_scores.event_time": "`tstamp`",
            "reward_scores.event_time_quality": "`epoch_s`",
            "reward_scores.generation_id": "the model's answer",
            "reward_scores.scorer": "second of `judge`, the template",
            "reward_scores.scorer_kind": "`judge`",
            "reward_scores.score": "`score`",
            "reward_scores.score_state": "`sentinel` for -1, else by the value",
            "reward_scores.extra_json": "numbers that are no double",
        },
    ),
)
