"""The typed view: each record's events once, however often and by whomever they are derived."""

import pytest

from audit_pipeline.derive import derive_events
from audit_pipeline.lake.declared import EVENTS
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
