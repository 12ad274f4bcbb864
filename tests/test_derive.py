"""The typed view: each record's events once, however often and by whomever they are derived."""

import pytest

from audit_pipeline import tlog
from audit_pipeline.derive import derive_events
from audit_pipeline.errors import InputError
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.keys import load_person_keys, make_keys
from tests.lakes import LakeForTests

ROLLOUT = b'{"input":"q","output":"a","gts":null,"score":%d,"step":1}'


def scores(lake: LakeForTests) -> list[object]:
    return [row["score"] for row in lake.rows("reward_scores")]


def test_records_become_events_once(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", b"".join(ROLLOUT % n + b"\n" for n in range(3)))
    lake.ingest()

    first = derive_events(lake.lake, lake.entropy, passphrase=None)
    second = derive_events(lake.lake, lake.entropy, passphrase=None)

    assert first["generations"] == 3
    assert set(second.values()) == {0}
    assert scores(lake) == [0.0, 1.0, 2.0]


def test_each_event_names_its_record(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", ROLLOUT % 7 + b"\n")
    lake.run()

    (record,), (event,) = lake.rows("records"), lake.rows("generations")

    for column in ("day", "source_id", "generation", "snapshot", "position"):
        assert event[column] == record[column]


@pytest.mark.parametrize("finished", [ROLLOUT % 1 + b"\n", ROLLOUT % 1 + b" \n"], ids=["newline", "space"])
def test_a_last_line_that_gets_its_newline_later_is_one_event(lake: LakeForTests, finished: bytes) -> None:
    path = lake.land("rollouts/1.jsonl", ROLLOUT % 0 + b"\n" + ROLLOUT % 1)
    lake.run()
    assert scores(lake) == [0.0, 1.0]

    path.write_bytes(ROLLOUT % 0 + b"\n" + finished + ROLLOUT % 2 + b"\n")
    lake.run()

    assert scores(lake) == [0.0, 1.0, 2.0]
    assert len(lake.rows("records")) == 4


def test_a_line_that_was_only_half_there_is_an_event_when_it_is_whole(lake: LakeForTests) -> None:
    path = lake.land("rollouts/1.jsonl", ROLLOUT % 0 + b"\n" + (ROLLOUT % 1)[:20])
    lake.run()
    assert scores(lake) == [0.0]

    path.write_bytes(ROLLOUT % 0 + b"\n" + ROLLOUT % 1 + b"\n")
    lake.run()

    assert scores(lake) == [0.0, 1.0]


@pytest.mark.parametrize("behind", ["generations", "reward_scores"])
def test_a_crash_between_two_tables_doubles_nothing(lake: LakeForTests, behind: str) -> None:
    """One event table has the last commit, the other has not; then more records come in."""
    lake.land("rollouts/1.jsonl", ROLLOUT % 0 + b"\n")
    lake.ingest()
    derive_events(lake.lake, lake.entropy, passphrase=None)
    log = lake.places.lake / "restricted" / behind / "_delta_log"
    (log / f"{1:020}.json").unlink()
    lake.land("rollouts/2.jsonl", ROLLOUT % 1 + b"\n")
    lake.ingest()

    derive_events(lake.lake, lake.entropy, passphrase=None)

    assert sorted(map(str, scores(lake))) == ["0.0", "1.0"]
    assert len(lake.rows("generations")) == 2


def test_quarantined_records_give_no_event(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", ROLLOUT % 0 + b"\n" + b'{"input":\n' + ROLLOUT % 1 + b"\n")

    lake.run()

    assert len(lake.rows("records")) == 3
    assert scores(lake) == [0.0, 1.0]


def test_every_event_table_has_the_schema_that_is_documented(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", ROLLOUT % 0 + b"\n")
    lake.run()

    for table in EVENTS.values():
        rows = lake.lake.open(table).read(table.schema.names)
        assert rows.schema.equals(table.schema)


PAIR = b'{"prompt":"q","chosen":"a","rejected":"b"}\n'


@pytest.mark.parametrize("name", ["pseudonym.pem", "bounding.pem"])
def test_without_a_key_for_people_nothing_is_derived_or_sealed(lake: LakeForTests, name: str) -> None:
    lake.land("pairs.jsonl", PAIR)
    lake.ingest()
    (lake.places.keys / name).unlink()

    for step in (lambda: derive_events(lake.lake, lake.entropy, passphrase=None), lake.seal):
        with pytest.raises(InputError, match=rf"{name}: missing; restore it from your backup"):
            step()


def test_another_pseudonym_key_than_the_log_names_is_refused(lake: LakeForTests) -> None:
    lake.land("pairs.jsonl", PAIR)
    lake.run()
    lake.land("more.jsonl", PAIR)
    lake.ingest()
    before = lake.files()
    (lake.places.keys / "pseudonym.pem").unlink()
    make_keys(lake.places.keys, "example.com/audit", lake.entropy, None)

    for step in (lambda: derive_events(lake.lake, lake.entropy, passphrase=None), lake.seal):
        with pytest.raises(InputError, match=r"is not the key [0-9a-f]{16} that the log names"):
            step()

    after = lake.files()
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"keys/pseudonym.pem"}


def test_a_seal_names_the_pseudonym_key(lake: LakeForTests) -> None:
    lake.run()

    (seal,) = (tlog.parse_seal(str(row["entry"]).encode()) for row in lake.rows("seals"))
    assert seal.pseudonym_key == load_person_keys(lake.places.keys, None).key_id


def test_a_judgement_has_the_hash_that_bounds_its_judge(lake: LakeForTests) -> None:
    lake.land("pairs.jsonl", PAIR * 2)
    lake.run()

    people = load_person_keys(lake.places.keys, None)
    rows = lake.rows("annotations")
    assert [row["bounding_hash"] for row in rows] == [people.bounding_hash(str(row["event_id"])) for row in rows]
    assert len(rows) == 2


def entry(step: int, loss: float) -> bytes:
    return b'{"step":%d,"epoch":0.5,"loss":%f}\n' % (step, loss)


def attempts(lake: LakeForTests, table: str = "training_metrics") -> list[tuple[object, object, object]]:
    return [(row["run_id"], row["step"], row["attempt"]) for row in lake.rows(table)]


@pytest.mark.parametrize("table", ["training_metrics", "policy_updates"])
def test_a_step_that_is_logged_again_is_another_attempt_and_none_is_lost(lake: LakeForTests, table: str) -> None:
    """By a resumed run that appends to its log, by a log that was rewritten, and by a copy of it."""
    log = entry(1, 0.5) + entry(2, 0.25)
    path = lake.land("dpo/log_history.jsonl", log)
    lake.run()
    path.write_bytes(log + entry(2, 0.75) + entry(3, 0.5))
    lake.run()
    assert attempts(lake, table) == [("dpo", 1, 0), ("dpo", 2, 0), ("dpo", 2, 1), ("dpo", 3, 0)]

    path.write_bytes(entry(2, 0.125))
    lake.land("dpo/checkpoint-2/log_history.jsonl", log)
    lake.land("grpo/log_history.jsonl", log)
    lake.run()

    numbers: dict[tuple[object, object], list[object]] = {}
    for run_id, step, number in attempts(lake, table):
        numbers.setdefault((run_id, step), []).append(number)
    assert {key: sorted(map(int, found)) for key, found in numbers.items()} == {  # type: ignore[call-overload]
        ("dpo", 1): [0, 1], ("dpo", 2): [0, 1, 2, 3], ("dpo", 3): [0], ("grpo", 1): [0], ("grpo", 2): [0],
    }  # fmt: skip
    assert lake.verify(people=load_person_keys(lake.places.keys, None)).problems == ()


def test_logs_that_name_no_run_are_not_attempts_of_each_other(lake: LakeForTests) -> None:
    lake.land("a.jsonl", entry(1, 0.5))
    lake.land("b.jsonl", entry(1, 0.5))
    lake.run()

    assert attempts(lake) == [(None, 1, 0), (None, 1, 0)]


def test_attempts_are_the_same_after_a_crash_between_two_tables(lake: LakeForTests) -> None:
    """A table that is ahead of the others does not count its own rows."""
    lake.land("dpo/log_history.jsonl", entry(1, 0.5))
    lake.run()
    lake.land("dpo/log_history.jsonl", entry(1, 0.5) + entry(1, 0.5))
    lake.run()
    before = attempts(lake)
    log = lake.places.lake / "restricted" / "log_findings" / "_delta_log"
    (log / f"{2:020}.json").unlink()

    derive_events(lake.lake, lake.entropy, passphrase=None)

    assert attempts(lake) == before == [("dpo", 1, 0), ("dpo", 1, 1)]


def test_numbers_of_one_step_in_several_records_are_one_attempt(lake: LakeForTests) -> None:
    """Trackers log a record for each metric."""
    line = b'{"step":%d,"epoch":0.5,"%s":0.5}\n'
    lake.land("dpo/log_history.jsonl", line % (1, b"loss") + line % (1, b"grad_norm") + line % (1, b"loss"))
    lake.run()

    assert [row["attempt"] for row in lake.rows("policy_updates")] == [0, 0, 1]


def test_half_a_line_of_text_is_no_event_until_it_is_whole(lake: LakeForTests) -> None:
    """`0.1` may be half of `0.17`: which of JSON nobody can mistake, but of an MLflow metric file."""
    name = f"mlruns/0/{'0a' * 16}/metrics/reward"
    path = lake.land(name, b"1795454928319 0.5 1\n1795454928320 0.1 1")
    lake.run()
    values = [row["value"] for row in lake.rows("training_metrics")]
    assert values == [0.5]
    assert [row["found"] for row in lake.rows("log_findings")] == ["may be half a line: it has no newline yet"]

    path.write_bytes(b"1795454928319 0.5 1\n1795454928320 0.1 17\n")
    lake.run()

    assert [(row["value"], row["step"]) for row in lake.rows("training_metrics")] == [(0.5, 1), (0.1, 17)]


def test_a_last_line_of_text_that_gets_no_more_than_its_newline_is_an_event(lake: LakeForTests) -> None:
    name = f"mlruns/0/{'0a' * 16}/metrics/reward"
    path = lake.land(name, b"1795454928319 0.5 1")
    lake.run()
    assert lake.rows("training_metrics") == []

    path.write_bytes(b"1795454928319 0.5 1\n")
    lake.run()

    assert [row["value"] for row in lake.rows("training_metrics")] == [0.5]


def test_long_records_are_derived_a_few_at_a_time_and_none_is_left_out(lake: LakeForTests) -> None:
    """What is worked on at once is bounded in bytes; a record may be longer than that alone."""
    sizes = (*[1] * 50, 3 << 20, 1, 2 << 20, 2 << 20, 1, 6 << 20, 1, 1)
    line = b'{"input":"q","output":"%s","gts":null,"score":%d,"step":1}\n'
    lake.land("rollouts/1.jsonl", b"".join(line % (b"a" * size, n) for n, size in enumerate(sizes)))
    lake.run()

    assert scores(lake) == list(map(float, range(len(sizes))))
    assert [len(row["completion_text"]) for row in lake.rows("generations")] == list(sizes)
