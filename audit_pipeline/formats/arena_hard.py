"""Arena-Hard judgments: a model compares an answer with a baseline's, twice.

Source: Arena-Hard-Auto `gen_judgment.py` and `show_result.py`. In the first game the baseline is A, in the second B. A
game is null where the judge did not answer; its `score` is null where the judgment holds no verdict, or two. Older
files have `question_id` for `uid` and do not name the baseline. They hold no answers and no time; `prompt` and
`user_prompt` are what the judge was asked.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, as_person, share
from audit_pipeline.formats.responses import compared, item_id, others

_VERDICTS = {
    "A>>B": ("a", 2),
    "A>B": ("a", 1),
    "A=B": ("tie", 0),
    "A<B": ("b", 1),
    "A<<B": ("b", 2),
    "B>>A": ("b", 2),
    "B>A": ("b", 1),
    "B=A": ("tie", 0),
    "B<A": ("a", 1),
    "B<<A": ("a", 2),
}
_BASELINE, _MODEL = 0, 1
_SHOWN = ((_BASELINE, _MODEL), (_MODEL, _BASELINE))
"""By game."""


def _score(path: str, items: Sequence[Any]) -> float:
    return 0.95 * share(items, _is_ours)


def _is_ours(item: dict[str, Any]) -> bool:
    games = item.get("games")
    if "model" not in item or not {"uid", "question_id"} & item.keys() or not isinstance(games, list):
        return False
    return len(games) == len(_SHOWN) and all(map(_is_game, games))


def _is_game(game: Any) -> bool:
    return game is None or (isinstance(game, dict) and {"score", "judgment"} <= game.keys())


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_ours(item):
            yield from _game_events(position, item)


def _game_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    name, id_key = item_id(position, item)
    answer = {"split": "dataset", "group_id": name}
    extra = others(item, ["model", "baseline", "judge", "games", id_key])
    baseline = {"sample_index": _BASELINE, "model_name": item.get("baseline")}
    yield position, "generations", {**answer, **baseline}
    yield position, "generations", {**answer, "sample_index": _MODEL, "model_name": item["model"], "extra": extra}
    judged = {"item_id": name, "annotator_id": as_person(item.get("judge")), "annotator_kind": "model"}
    for number, (game, shown) in enumerate(zip(item["games"], _SHOWN, strict=True), start=1):
        if game is not None:
            yield position, "annotations", {**judged, "status": "submitted", **_verdict(number, game, shown)}


def _verdict(number: int, game: dict[str, Any], shown: tuple[int, int]) -> dict[str, Any]:
    verdict = game["score"]
    known = _VERDICTS.get(verdict) if isinstance(verdict, str) else None
    outcome, strength = known or ("unparsed" if verdict is None else None, None)
    answer = {"question": f"game {number}", "value_text": verdict, "strength": strength, **compared(outcome, *shown)}
    return {**answer, "extra": others(game, ["score"])}


ADAPTERS = (
    Adapter(
        "arena_hard",
        1,
        ("jsonl", "json"),
        _score,
        _events,
        reads="Arena-Hard-Auto `model_judgment/<judge>/<model>.jsonl`.",
        fields={
            "generations.split": "`dataset`",
            "generations.sample_index": "0 for the baseline, 1 for the model",
            "generations.group_id": "`uid` or `question_id`",
            "generations.model_name": "`baseline`, `model`",
            "generations.extra_json": "any other key of the record, such as `category`, in the model's row",
            "annotations.item_id": "`uid` or `question_id`",
            "annotations.annotator_id": "`judge`",
            "annotations.annotator_kind": "`model`",
            "annotations.question": "`game 1` or `game 2`, by the place in `games`",
            "annotations.kind": "`pairwise`",
            "annotations.outcome": "by `score`; `unparsed` where it is null",
            "annotations.value_text": "`score`",
            "annotations.strength": "1 for `>`, 2 for `>>`, 0 for `=` in `score`",
            "annotations.response_a_id": "the baseline's answer in game 1, the model's in game 2",
            "annotations.response_b_id": "the other answer",
            "annotations.chosen_id": "the answer that won",
            "annotations.rejected_id": "the other",
            "annotations.status": "`submitted`",
            "annotations.extra_json": "`judgment`, `prompt` and any other key of the game",
        },
    ),
)
