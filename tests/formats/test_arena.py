"""Events of Chatbot Arena's vote logs, battles and releases."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.declared import columns_given
from tests.formats.support import MTIME, PEOPLE, derive, items, json_lines, to_parquet

IP = "203.0.113.7"
AT = 1_700_000_000.1234
WHEN = datetime(2023, 11, 14, 22, 13, 20, 123400, UTC)


def state(answer: Any, **more: Any) -> dict[str, Any]:
    messages = [["USER", "hi"], ["ASSISTANT", answer]]
    named = {"template_name": "v1", "system_message": "Be kind.", "roles": ["USER", "ASSISTANT"], "offset": 0}
    return {**named, "messages": messages, "conv_id": f"c-{answer}", "model_name": f"model-{answer}", **more}


def vote(type: str = "leftvote", **more: Any) -> dict[str, Any]:
    return {"tstamp": AT, "type": type, "models": ["", ""], "states": [state("yo"), state("no")], "ip": IP, **more}


def single(type: str) -> dict[str, Any]:
    return {"tstamp": AT, "type": type, "model": "m", "state": state("yo"), "ip": IP}


CHAT = {**single("chat"), "gen_params": {"top_p": 1.0}, "start": AT, "finish": AT}


def talk(answer: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "hi", **more}, {"role": "assistant", "content": answer, **more}]


BATTLE: dict[str, Any] = {
    "question_id": "c-yo",
    "model_a": "model-yo",
    "model_b": "model-no",
    "winner": "model_a",
    "judge": f"arena_user_{IP}",
    "conversation_a": talk("yo", num_tokens=1),
    "conversation_b": talk("no", num_tokens=1),
    "turn": 1,
    "anony": True,
    "language": "English",
    "tstamp": AT,
}
SIMPLE = {key: value for key, value in BATTLE.items() if key not in ("question_id", "conversation_a", "conversation_b")}


def part(text: str | None, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, "image": None, "mimeType": None, **more}


RELEASE: dict[str, Any] = {
    "id": "v1",
    "model_a": "m1",
    "model_b": "m2",
    "winner": "both_bad",
    "evaluation_session_id": "s1",
    "evaluation_order": 2,
    "conversation_a": [{"role": "user", "content": [part("hi")]}, {"role": "assistant", "content": [part("yo")]}],
    "conversation_b": [{"role": "user", "content": [part("hi")]}, {"role": "assistant", "content": [part("no")]}],
    "full_conversation": [{"user": {"role": "user", "content": [part("hi")]}}],
    "conv_metadata": {"sum_assistant_a_tokens": 1},
    "category_tag": {"math_v0.1": {"math": False}},
    "language": "en",
    "is_code": False,
    "timestamp": "2025-06-01T12:00:00.5",
}

Rows = dict[str, list[dict[str, Any]]]


def votes(*values: Any) -> Rows:
    return derive("arena_votes", "logs/2023-11-14-conv.json", values)


def battles(*values: Any) -> Rows:
    return derive("arena_battles", "clean_battle_20231114.json", values)


def said(messages: list[dict[str, Any]] | None) -> list[tuple[str, str]] | None:
    return None if messages is None else [(one["role"], one["content"]) for one in messages]


@pytest.mark.parametrize(
    ("type", "winner", "outcome", "chosen"),
    [
        ("leftvote", "model_a", "a", 0),
        ("rightvote", "model_b", "b", 1),
        ("tievote", "tie", "tie", None),
        ("bothbad_vote", "tie (bothbad)", "both_bad", None),
        ("bothbad_vote", "both_bad", "both_bad", None),
    ],
)
def test_a_vote_and_its_battle_say_who_won(type: str, winner: str, outcome: str, chosen: int | None) -> None:
    for rows in (votes(vote(type)), battles({**BATTLE, "winner": winner})):
        ids = [g["event_id"] for g in rows["generations"]]
        [judged] = rows["annotations"]
        assert (judged["kind"], judged["outcome"], judged["status"]) == ("pairwise", outcome, "submitted")
        assert [judged["response_a_id"], judged["response_b_id"]] == ids
        assert judged["chosen_id"] == (None if chosen is None else ids[chosen])
        assert judged["rejected_id"] == (None if chosen is None else ids[1 - chosen])
        assert (judged["annotator_id"], judged["annotator_kind"]) == (PEOPLE.pseudonym(IP), "human")
        assert (judged["event_time"], judged["created_at"], judged["event_time_quality"]) == (WHEN, WHEN, "epoch_s")
        assert (judged["item_id"], [g["group_id"] for g in rows["generations"]]) == ("c-yo", ["c-yo", "c-yo"])
        assert "winner" not in json.loads(judged["extra_json"])


def test_a_vote_has_a_response_of_each_side() -> None:
    rows = votes(vote())

    a, b = rows["generations"]
    assert (said(a["prompt_messages"]), said(a["completion_messages"])) == ([("USER", "hi")], [("ASSISTANT", "yo")])
    assert said(b["completion_messages"]) == [("ASSISTANT", "no")]
    assert [(g["sample_index"], g["model_name"], g["split"]) for g in (a, b)] == [
        (0, "model-yo", "dataset"),
        (1, "model-no", "dataset"),
    ]
    assert (a["role_boundaries"], a["event_time"]) == ("structured", WHEN)
    kept = {key: value for key, value in state("yo").items() if key not in ("messages", "model_name")}
    assert json.loads(a["extra_json"]) == kept
    assert json.loads(rows["annotations"][0]["extra_json"]) == {"models": ["", ""]}


@pytest.mark.parametrize(
    ("models", "named", "expected"),
    [
        (["shown", "x"], "hidden", "hidden"),
        (["shown", "x"], None, "shown"),
        (["", "x"], None, None),
        (None, None, None),
    ],
)
def test_a_model_is_named_by_its_state_or_as_it_was_shown(models: Any, named: Any, expected: Any) -> None:
    rows = votes(vote(models=models, states=[state("yo", model_name=named), state("no")]))

    assert rows["generations"][0]["model_name"] == expected


def test_images_and_unfinished_answers_are_kept() -> None:
    pairs = [["USER", ["look", ["0cc175b9"]]], "odd", ["ASSISTANT", None]]

    [row, _] = votes(vote(states=[state("yo", messages=pairs), state("no")]))["generations"]

    assert row["prompt_messages"] == [
        {"role": "USER", "content": "look", "extra_json": '{"images":["0cc175b9"]}'},
        {"role": None, "content": "odd", "extra_json": None},
    ]
    assert row["completion_messages"] == [{"role": "ASSISTANT", "content": None, "extra_json": None}]


@pytest.mark.parametrize(
    ("type", "question", "value"), [("upvote", "upvote", 1.0), ("downvote", "upvote", 0.0), ("flag", "flag", 1.0)]
)
def test_a_vote_on_one_response_is_binary(type: str, question: str, value: float) -> None:
    rows = votes(single(type))

    [generation], [judged] = rows["generations"], rows["annotations"]
    assert (judged["kind"], judged["question"], judged["value_num"]) == ("binary", question, value)
    assert (judged["response_a_id"], judged["response_b_id"]) == (generation["event_id"], None)
    assert (judged["annotator_id"], judged["outcome"]) == (PEOPLE.pseudonym(IP), None)
    assert json.loads(judged["extra_json"]) == {"model": "m"}


def test_chats_and_shares_among_votes_have_a_finding() -> None:
    rows = votes(CHAT, vote("share"), vote())

    assert [(row["position"], row["found"]) for row in rows["log_findings"]] == [
        (0, "a chat, no vote"),
        (1, "a share, no vote"),
    ]
    assert {row["position"] for table in ("generations", "annotations") for row in rows[table]} == {2}


@pytest.mark.parametrize(
    "value",
    [
        vote("newvote"),
        vote(["leftvote"]),  # type: ignore[arg-type]
        vote(states=[state("yo")]),
        vote(states=[state("yo"), {"messages": "none"}]),
        vote(states=None),
        {"type": "upvote", "state": []},
        [],
        "leftvote",
    ],
)
def test_what_is_no_vote_gives_a_finding_and_nothing_else(value: Any) -> None:
    rows = votes(value)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that arena_votes 1 knows"]
    assert rows == {}


@pytest.mark.parametrize("tstamp", [None, "now", 12, -1, float("nan")])
def test_a_time_that_is_none_stays_in_extra(tstamp: Any) -> None:
    for rows in (votes(vote(tstamp=tstamp)), battles({**BATTLE, "tstamp": tstamp})):
        [judged] = rows["annotations"]
        assert (judged["event_time"], judged["event_time_quality"], judged["created_at"]) == (MTIME, "file_mtime", None)
        assert "tstamp" in json.loads(judged["extra_json"])


def test_a_battle_keeps_its_conversations() -> None:
    rows = battles(BATTLE)

    a, b = rows["generations"]
    assert (said(a["prompt_messages"]), said(a["completion_messages"])) == ([("user", "hi")], [("assistant", "yo")])
    assert a["completion_messages"][0]["extra_json"] == '{"num_tokens":1}'
    assert said(b["completion_messages"]) == [("assistant", "no")]
    assert [g["model_name"] for g in (a, b)] == ["model-yo", "model-no"]
    assert json.loads(rows["annotations"][0]["extra_json"]) == {"turn": 1, "anony": True, "language": "English"}


def test_a_battle_without_conversations_keeps_its_models() -> None:
    rows = battles(SIMPLE)

    assert [(g["model_name"], g["completion_messages"]) for g in rows["generations"]] == [
        ("model-yo", None),
        ("model-no", None),
    ]
    assert rows["annotations"][0]["item_id"] == "0"


def test_the_release_has_lists_of_parts() -> None:
    rows = battles(RELEASE)

    a, _ = rows["generations"]
    assert (said(a["prompt_messages"]), said(a["completion_messages"])) == ([("user", "hi")], [("assistant", "yo")])
    assert a["completion_messages"][0]["extra_json"] is None
    [judged] = rows["annotations"]
    assert (judged["item_id"], judged["source_annotation_id"], judged["annotator_id"]) == ("v1", "v1", None)
    assert (judged["event_time"], judged["event_time_quality"]) == (
        datetime(2025, 6, 1, 12, 0, 0, 500_000, UTC),
        "naive_assumed",
    )
    taken = {"id", "model_a", "model_b", "winner", "conversation_a", "conversation_b", "timestamp"}
    assert json.loads(judged["extra_json"]) == {key: value for key, value in RELEASE.items() if key not in taken}


@pytest.mark.parametrize(
    "parts",
    [
        [part("a"), part("b")],
        [part(None, type="image", image="0cc175b9", mimeType="image/png")],
        [part("a", image="0cc175b9")],
        [],
        ["a"],
    ],
)
def test_parts_that_are_not_one_text_are_kept_as_they_are(parts: list[Any]) -> None:
    conversation = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": parts}]

    [row, _] = battles({**RELEASE, "conversation_a": conversation})["generations"]

    [answer] = row["completion_messages"]
    assert (answer["content"], json.loads(answer["extra_json"])) == (None, {"content": parts})


def test_unknown_winners_and_conversations_are_kept() -> None:
    rows = battles({**BATTLE, "winner": "nobody", "conversation_a": "[]", "conversation_b": None})

    [judged] = rows["annotations"]
    extra = json.loads(judged["extra_json"])
    assert (judged["outcome"], extra["winner"]) == (None, "nobody")
    assert (extra["conversation_a"], extra["conversation_b"]) == ("[]", None)


@pytest.mark.parametrize("value", [{"model_a": "x", "model_b": "y"}, {**BATTLE, "winner": 1}, [BATTLE], "model_a"])
def test_what_is_no_battle_gives_a_finding_and_nothing_else(value: Any) -> None:
    rows = battles(value)

    assert [row["found"] for row in rows.pop("log_findings")] == ["not of a shape that arena_battles 1 knows"]
    assert rows == {}


@pytest.mark.parametrize(
    ("judge", "raw"),
    [
        (f"arena_user_{IP}", IP),
        ("arena_user_2001:db8::7", "2001:db8::7"),
        ("arena_user_12", "arena_user_12"),
        ("arena_user_Xy3k", "arena_user_Xy3k"),
        (IP, IP),
        (7, "7"),
    ],
)
def test_a_judge_is_a_person_and_nothing_else(judge: Any, raw: str) -> None:
    """An address gives one person, whether a log or a battle has it; a number in its place is no person elsewhere."""
    rows = battles({**BATTLE, "judge": judge})

    assert rows["annotations"][0]["annotator_id"] == PEOPLE.pseudonym(raw)


def test_no_address_is_in_any_column() -> None:
    hashed = {key: value for key, value in BATTLE.items() if key != "judge"} | {"judge_hash": "5f4dcc3b"}

    for rows in (
        votes(vote(), single("flag"), CHAT, vote(ip=[IP]), vote("share")),
        battles(BATTLE, {**BATTLE, "judge": {"ip": IP}}, {**BATTLE, "judge": None, "ip": IP}, hashed),
    ):
        shown = json.dumps(rows, default=str)
        assert IP not in shown
        assert "5f4dcc3b" not in shown
        assert "withheld" not in shown
    assert battles(hashed)["annotations"][0]["annotator_id"] == PEOPLE.pseudonym("5f4dcc3b")


def found(content: bytes, path: str) -> tuple[str, str]:
    detection = detect(path, content, len(content))
    return detection.container, detection.format


def test_logs_are_lines_whatever_their_name_says() -> None:
    lines = json_lines([CHAT, vote(), CHAT, single("upvote"), vote("share")])

    assert found(lines, "logs/2023-11-14-conv.json") == ("jsonl", "arena_votes")
    assert found(lines, "logs/vision-tmp-2024-01-14-conv.json") == ("jsonl", "arena_votes")
    assert found(lines, "some.jsonl") == ("jsonl", "arena_votes")


@pytest.mark.parametrize("value", [BATTLE, SIMPLE, RELEASE])
def test_battles_are_recognised_in_each_container(value: dict[str, Any]) -> None:
    assert found(json.dumps([value] * 3, indent=2).encode(), "clean_battle_20231114.json") == ("json", "arena_battles")
    assert found(json_lines([value] * 3), "battles.jsonl") == ("jsonl", "arena_battles")
    assert found(to_parquet(pa.Table.from_pylist([value])), "train-0.parquet") == ("parquet", "arena_battles")


def test_a_release_in_parquet_gives_the_same_rows() -> None:
    at = {"timestamp": datetime(2025, 6, 1, 12, 0, 0, 500_000, UTC).replace(tzinfo=None)}
    [(record, _, _)] = items("parquet", to_parquet(pa.Table.from_pylist([{**RELEASE, **at}])))

    assert battles(json.loads(record)) == battles(RELEASE)


@pytest.mark.parametrize(
    "other",
    [
        {"type": "chat", "state": {}, "tstamp": AT},
        {"type": "leftvote", "states": [state("yo")], "tstamp": AT},
        {"type": "leftvote", "tstamp": AT},
        {"type": "leftvote", "states": [state("yo"), state("no")], "tstamp": "now"},
        {"type": {}, "state": state("yo"), "tstamp": AT},
        {"model_a": "x", "model_b": "y", "winner": "model_a", "prompt": "q"},
        {"model_a": "x", "model_b": "y", "winner_model_a": 1, "response_a": "a", "response_b": "b"},
        {"model_a": "x", "model_b": "y", "winner": "x", "judge": "gpt-4", "anony": False},
        {"question_id": 1, "model": "x", "judge": ["gpt-4", "single-v1"], "score": 7, "turn": 1, "tstamp": AT},
        {"question_id": 1, "model_1": "x", "model_2": "y", "g1_winner": "tie", "turn": 1, "tstamp": AT},
        {"prompt": "q", "chosen": "a", "rejected": "b"},
    ],
)
def test_others_are_not_claimed(other: dict[str, Any]) -> None:
    for path in ("some.jsonl", "2023-11-14-conv.json"):
        assert not found(json_lines([other] * 3), path)[1].startswith("arena")


def test_every_column_given_is_declared_and_no_other() -> None:
    odd = {**BATTLE, "conversation_a": [{"role": "a", "content": "b"}], "model_a": "\ud800"}

    assert columns_given(votes(vote(), single("flag"))) == ADAPTERS["arena_votes"].fields.keys()
    assert columns_given(battles(BATTLE, RELEASE, odd)) == ADAPTERS["arena_battles"].fields.keys()
