"""Chatbot Arena: the vote logs of its server, cleaned battles, and the releases made of them.

Sources: FastChat `fastchat/serve/gradio_block_arena_anony.py` and `gradio_web_server.py` (vote_last_response, the chat
row of bot_response, get_conv_log_filename), `fastchat/conversation.py` (Conversation.dict), `serve/monitor/
clean_battle_data.py` (battles), and the data card of `lmarena-ai/arena-human-preference-140k`.

A log is `YYYY-MM-DD-conv.json`: JSON Lines whatever its name says. Rows of type `chat` are among the votes, and `ip` is
the voter's address. A battle's `judge` is `arena_user_` and that address, unless the addresses were replaced.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from audit_pipeline.formats.adapter import (
    Adapter,
    Event,
    EventRef,
    Items,
    Person,
    SourceContext,
    as_messages,
    as_person,
    is_messages,
    is_number,
    share,
)
from audit_pipeline.formats.paths import file_name
from audit_pipeline.formats.times import epoch_time, iso_time

_OUTCOMES = {"leftvote": "a", "rightvote": "b", "tievote": "tie", "bothbad_vote": "both_bad"}
_SINGLE_VOTES = {"upvote": ("upvote", 1.0), "downvote": ("upvote", 0.0), "flag": ("flag", 1.0)}
_NO_VOTES = {"chat": "a chat, no vote", "share": "a share, no vote"}
_TYPES = _OUTCOMES.keys() | _SINGLE_VOTES.keys() | _NO_VOTES.keys()
_WINNERS = {"model_a": "a", "model_b": "b", "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad"}
_PEOPLE = frozenset(["ip", "judge", "judge_hash"])  # a release may have the judges hashed
_LOG_NAME = re.compile(r".*\d{4}-\d\d-\d\d-conv\.json")
_JUDGE = "arena_user_"


def _score_votes(path: str, items: Sequence[Any]) -> float:
    return 0.85 * share(items, _is_logged) + 0.1 * bool(_LOG_NAME.fullmatch(file_name(path)))


def _score_battles(path: str, items: Sequence[Any]) -> float:
    return 0.9 * share(items, _is_arena_battle)


def _is_logged(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    has_states = _is_state(item.get("state")) or _are_states(item.get("states"))
    return isinstance(kind, str) and kind in _TYPES and is_number(item.get("tstamp")) and has_states


def _is_arena_battle(item: dict[str, Any]) -> bool:
    """Whether it is a battle of the arena's own making, by what no other comparison of two models has beside it."""
    marks = ({"judge", "anony"}, {"conversation_a", "conversation_b", "turn"}, {"evaluation_session_id"})
    return _is_battle(item) and item["winner"] in {*_WINNERS, ""} and any(keys <= item.keys() for keys in marks)


def _is_battle(item: dict[str, Any]) -> bool:
    """A sample of Parquet has no winner's name."""
    return all(isinstance(item.get(key), str) for key in ("model_a", "model_b", "winner"))


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("messages"), list)


def _are_states(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_state, value))


def _vote_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        kind = item.get("type") if isinstance(item, dict) else None
        if not isinstance(kind, str):
            continue
        if kind in _NO_VOTES:
            yield position, "log_findings", {"kind": "no_event", "found": _NO_VOTES[kind]}
        elif kind in _OUTCOMES and _are_states(item.get("states")):
            shown = item.get("models")
            names = shown if isinstance(shown, list) and len(shown) == 2 else [None, None]
            pair = {"kind": "pairwise", "response_b_id": EventRef("generations", 1), **_outcome(_OUTCOMES[kind])}
            yield from _vote(position, item, item["states"], names, {"type", "states"}, pair)
        elif kind in _SINGLE_VOTES and _is_state(item.get("state")):
            question, value = _SINGLE_VOTES[kind]
            single = {"kind": "binary", "question": question, "value_num": value}
            yield from _vote(position, item, [item["state"]], [item.get("model")], {"type", "state"}, single)


def _vote(
    position: int, item: dict[str, Any], states: list[Any], names: list[Any], known: set[str], answer: dict[str, Any]
) -> Iterator[Event]:
    first_id = states[0].get("conv_id")
    item_id = first_id if isinstance(first_id, str) else str(position)
    when, timed = _when(item)
    for index, state in enumerate(states):
        messages = [_spoken(pair) for pair in state["messages"]]
        named = state.get("model_name")
        generation = {
            "group_id": item_id,
            "sample_index": index,
            "model_name": (names[index] or None) if named is None else named,
            **_turns(messages),
            "extra": {key: value for key, value in state.items() if key not in {"messages", "model_name"}},
        }
        yield position, "generations", {"split": "dataset", **when, **generation}
    extra = {key: value for key, value in item.items() if key not in known | timed | _PEOPLE}
    voted = {"item_id": item_id, "annotator_id": _judge(item.get("ip")), "extra": extra, **answer}
    yield position, "annotations", {**_ANNOTATION, **_made(when), **voted}


def _battle_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and _is_battle(item):
            yield from _battle(position, item)


def _battle(position: int, item: dict[str, Any]) -> Iterator[Event]:
    id_key = next((key for key in ("question_id", "id") if isinstance(item.get(key), str)), None)
    item_id = str(position) if id_key is None else item[id_key]
    when, timed = _when(item)
    known = timed | _PEOPLE | {id_key, "winner"}
    for index, side in enumerate("ab"):
        conversation: Any = item.get(f"conversation_{side}")
        known |= {f"model_{side}"}
        turns: dict[str, Any] = {}
        if is_messages(conversation):
            known |= {f"conversation_{side}"}
            turns = _turns(list(map(_plain, conversation)))
        generation = {"group_id": item_id, "sample_index": index, "model_name": item[f"model_{side}"], **turns}
        yield position, "generations", {"split": "dataset", **when, **generation}
    outcome = _outcome(_WINNERS.get(item["winner"]))
    if outcome["outcome"] is None:
        known -= {"winner"}
    judged = {
        "item_id": item_id,
        "annotator_id": _judge(item.get("judge", item.get("judge_hash"))),
        "source_annotation_id": item["id"] if id_key == "id" else None,
        "kind": "pairwise",
        "response_b_id": EventRef("generations", 1),
        **outcome,
        "extra": {key: value for key, value in item.items() if key not in known},
    }
    yield position, "annotations", {**_ANNOTATION, **_made(when), **judged}


_ANNOTATION = {"annotator_kind": "human", "status": "submitted", "response_a_id": EventRef("generations", 0)}


def _outcome(outcome: str | None) -> dict[str, Any]:
    sides = {"a": (0, 1), "b": (1, 0)}.get(outcome or "")
    if sides is None:
        return {"outcome": outcome}
    chosen, rejected = (EventRef("generations", side) for side in sides)
    return {"outcome": outcome, "chosen_id": chosen, "rejected_id": rejected}


def _turns(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The conversation with its last message as the response, which the server always has there."""
    sides = {"prompt_messages": as_messages(messages[:-1]), "completion_messages": as_messages(messages[-1:])}
    return {**sides, "role_boundaries": "structured"}


def _spoken(pair: Any) -> dict[str, Any]:
    """A message of a state: [role, text], or [role, [text, images]], or the text null."""
    if not isinstance(pair, list) or len(pair) != 2:
        return {"role": None, "content": pair}
    role, said = pair
    if isinstance(said, list) and len(said) == 2 and isinstance(said[0], str):
        return {"role": role, "content": said[0], "images": said[1]}
    return {"role": role, "content": said}


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose content is a list of one part of text, with that text as its content."""
    content = message.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = {key: value for key, value in content[0].items() if value is not None}
        if part.keys() == {"type", "text"} and part["type"] == "text":
            return {**message, "content": part["text"]}
    return message


def _when(item: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The time of a vote, and the field that has it."""
    for key, read in (("tstamp", epoch_time), ("timestamp", iso_time)):
        if (found := read(item.get(key))) is not None:
            return {"event_time": found[0], "event_time_quality": found[1]}, {key}
    return {}, set()


def _made(when: dict[str, Any]) -> dict[str, Any]:
    return {**when, "created_at": when["event_time"]} if when else {}


def _judge(value: Any) -> Person | None:
    """Who voted: in a log and in the battles made of it the same person by the same address."""
    if isinstance(value, str) and value.startswith(_JUDGE) and _is_address(value.removeprefix(_JUDGE)):
        return Person(value.removeprefix(_JUDGE))
    return as_person(value)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_FIELDS = {
    "generations.split": "always `dataset`",
    "generations.sample_index": "0 for side A, 1 for side B",
    "generations.role_boundaries": "always `structured`",
    "annotations.annotator_kind": "always `human`",
    "annotations.response_a_id": "response of side A, or the only one",
    "annotations.response_b_id": "response of side B",
    "annotations.chosen_id": "response of the side that won",
    "annotations.rejected_id": "response of the other side",
    "annotations.status": "always `submitted`",
}

ADAPTERS = (
    Adapter(
        "arena_votes",
        1,
        ("jsonl",),
        _score_votes,
        _vote_events,
        reads="Logs of a FastChat server, `YYYY-MM-DD-conv.json`, which are JSON Lines. Chats and shares are no votes.",
        fields={
            **_FIELDS,
            "generations.event_time": "`tstamp`, the time of the vote",
            "generations.event_time_quality": "always `epoch_s`",
            "generations.extra_json": "other fields of the state: `conv_id`, `offset`, `roles`, the system message",
            "generations.group_id": "`conv_id` of the first state, else the record's position",
            "generations.prompt_messages": "`messages` of the state but the last",
            "generations.completion_messages": "last of `messages`",
            "generations.model_name": "`model_name` of the state, else what `models` or `model` showed",
            "annotations.event_time": "`tstamp`",
            "annotations.event_time_quality": "always `epoch_s`",
            "annotations.extra_json": "other fields of the vote: `models`, where empty names say that it was blind",
            "annotations.item_id": "`conv_id` of the first state, else the record's position",
            "annotations.annotator_id": "`ip`",
            "annotations.question": "`upvote` or `flag`, of a vote on one response",
            "annotations.kind": "`pairwise`, or `binary` for `upvote`, `downvote` and `flag`",
            "annotations.outcome": "`type`",
            "annotations.value_num": "`type`: 1 for `upvote` and `flag`, 0 for `downvote`",
            "annotations.created_at": "`tstamp`",
        },
    ),
    Adapter(
        "arena_battles",
        1,
        ("json", "jsonl", "parquet"),
        _score_battles,
        _battle_events,
        reads="Battles cleaned by FastChat's `clean_battle_data.py`, with or without their conversations, and the "
        "releases of human preferences, such as that of 140,000 votes.",
        fields={
            **_FIELDS,
            "generations.event_time": "`tstamp` or `timestamp`, the time of the vote",
            "generations.event_time_quality": "`epoch_s` of `tstamp`, zone of `timestamp`",
            "generations.extra_json": "values that do not fit their columns",
            "generations.group_id": "`question_id` or `id`, else the record's position",
            "generations.prompt_messages": "`conversation_a` or `conversation_b` but the last message; a list of one "
            "part of text is that text",
            "generations.completion_messages": "last message of `conversation_a` or `conversation_b`",
            "generations.model_name": "`model_a` or `model_b`",
            "annotations.event_time": "`tstamp` or `timestamp`",
            "annotations.event_time_quality": "`epoch_s` of `tstamp`, zone of `timestamp`",
            "annotations.extra_json": "all other fields, such as `turn`, `anony`, `language`, `full_conversation`",
            "annotations.item_id": "`question_id` or `id`, else the record's position",
            "annotations.annotator_id": "`judge` or `judge_hash`; without `arena_user_` where an address follows it, "
            "so that a person is one in battles and in logs",
            "annotations.kind": "always `pairwise`",
            "annotations.outcome": "`winner`",
            "annotations.created_at": "`tstamp` or `timestamp`",
            "annotations.source_annotation_id": "`id`",
        },
    ),
)
