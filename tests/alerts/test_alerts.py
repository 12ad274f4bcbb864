"""From faults to what people receive: once, to the right channel, and never lost."""

from dataclasses import fields
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.alerts import KINDS as ALL_KINDS
from audit_pipeline.alerts import AlertRow, Fault, Quiet, Rules, Severity, acknowledge
from audit_pipeline.errors import InputError
from audit_pipeline.records import schemas
from tests.alerts.conftest import World, fault

REWRITTEN = fault("ab12:1", "runs", "source_rewritten")
TITLE = "[ERROR] an asset check failed: records:nothing_lost"


def test_a_row_of_the_table_is_an_alert_row() -> None:
    assert [field.name for field in fields(AlertRow)] == schemas.ALERTS.names


def test_a_fault_is_told_once_to_each_channel_of_its_severity(world: World) -> None:
    world.find(fault())

    assert world.tell() == [("chat", "raised", TITLE), ("mail", "raised", TITLE)]
    world.find(fault())
    assert world.tell() == []


def test_the_same_look_again_gives_no_row(world: World) -> None:
    world.find(fault("a"), fault("b"))

    assert world.find(fault("b"), fault("a")) == []


def test_a_fault_that_is_gone_gives_one_notice_when_it_has_stayed_away(world: World) -> None:
    world.find(fault())
    world.tell()
    world.find()

    assert world.tell() == []
    world.wait(minutes=5)
    assert world.reasons() == ["resolved"]
    world.wait(days=1)
    assert world.tell() == []


def test_a_fault_that_comes_and_goes_is_one_alert(world: World) -> None:
    world.find(fault())
    world.tell()
    for _ in range(20):
        world.find()
        world.wait(minutes=1)
        world.find(fault())
        assert world.tell() == []

    assert len(world.book.alerts) == 1


def test_a_fault_that_comes_back_after_its_recovery_was_told_is_a_new_alert(world: World) -> None:
    world.find(fault())
    world.tell()
    world.find()
    world.wait(minutes=5)
    world.tell()

    world.find(fault())

    assert world.reasons() == ["raised"]
    assert len(world.book.alerts) == 2


def test_a_fault_that_was_gone_before_anybody_heard_of_it_is_not_told(world: World) -> None:
    world.find(fault())
    world.find()
    world.wait(minutes=5)

    assert world.tell() == []


def test_an_alert_that_grows_is_told_again_no_sooner_than_the_rules_say(world: World) -> None:
    world.find(fault("a"))
    world.tell()
    for n in range(14):
        world.wait(minutes=1)
        world.find(*(fault(f"a{m}") for m in range(n)), fault("a"))
        assert world.tell() == []

    world.wait(minutes=1)
    assert world.reasons() == ["grown"]


def test_an_alert_that_gets_worse_is_told_at_once(world: World) -> None:
    world.find(fault("a"))
    world.tell()

    world.find(Fault("check_failed", "records:nothing_lost", "a", Severity.CRITICAL))

    assert world.tell()[0] == ("chat", "grown", TITLE.replace("ERROR", "CRITICAL"))


def test_an_alert_keeps_its_worst_severity(world: World) -> None:
    world.find(Fault("check_failed", "c", "a", Severity.CRITICAL))
    world.find(fault("b", "c"))

    (alert,) = world.book.open()
    assert alert.severity is Severity.CRITICAL


def test_a_thousand_faults_at_once_are_one_message_a_channel(world: World) -> None:
    world.find(*(fault(f"{n}", f"check{n}") for n in range(1000)))

    assert len(world.tell()) == 2
    world.find(*(fault(f"{n}", f"check{n}") for n in range(1, 1000)))
    assert world.tell() == []
    world.find()
    world.wait(minutes=5)
    assert world.reasons() == ["resolved"]


def test_faults_that_come_up_while_many_are_there_join_them(world: World) -> None:
    world.find(*(fault(f"{n}", f"check{n}") for n in range(11)))
    world.find(*(fault(f"{n}", f"check{n}") for n in range(12)))

    assert len(world.book.alerts) == 1


def test_a_few_faults_are_an_alert_each(world: World) -> None:
    world.find(fault("a", "one"), fault("a", "other"))

    assert len(world.book.alerts) == 2


def test_nobody_acknowledges_and_it_is_escalated_once_then_repeated(world: World) -> None:
    world.find(fault())
    world.tell()
    world.wait(minutes=30)
    assert world.tell() == [("phone", "escalated", TITLE)]
    world.wait(hours=3, minutes=59)
    assert world.tell() == []
    world.wait(minutes=1)
    assert world.tell() == [("chat", "repeated", TITLE), ("mail", "repeated", TITLE)]


def test_what_was_acknowledged_is_neither_escalated_nor_repeated(world: World) -> None:
    world.find(fault())
    world.tell()
    world.acknowledge()
    world.wait(days=2)

    assert world.tell() == []
    world.find()
    world.wait(minutes=5)
    assert world.reasons() == ["resolved"]


def test_everybody_who_was_told_hears_that_it_is_over(world: World) -> None:
    world.find(fault())
    world.tell()
    world.wait(minutes=30)
    world.tell()
    world.find()
    world.wait(minutes=5)

    assert [channel for channel, _, _ in world.tell()] == ["chat", "mail", "phone"]


def test_an_event_stays_until_it_is_acknowledged(world: World) -> None:
    world.find(REWRITTEN)
    world.tell()
    world.find()
    assert list(world.book.open())

    world.acknowledge()

    assert not list(world.book.open())
    world.wait(minutes=5)
    assert world.tell() == []


def test_an_event_that_was_acknowledged_is_not_raised_again(world: World) -> None:
    world.find(REWRITTEN)
    world.tell()
    world.acknowledge()

    assert world.find(REWRITTEN) == []
    world.find(REWRITTEN, fault("ab12:2", "runs", "source_rewritten"))
    assert world.reasons() == ["raised"]
    (alert,) = world.book.open()
    assert alert.items == ("ab12:2",)


def test_a_name_that_is_no_open_alert_cannot_be_acknowledged(world: World) -> None:
    world.find(fault("a", "one"), fault("a", "other"))

    with pytest.raises(InputError, match="2 open alerts"):
        acknowledge(world.book, "", "ada", world.now)


def test_in_quiet_hours_all_but_critical_waits_for_the_morning(night: World) -> None:
    night.find(fault())
    assert night.tell() == []
    night.find(fault(), Fault("check_failed", "seal", "a", Severity.CRITICAL))
    assert [title for _, _, title in night.tell()] == ["[CRITICAL] an asset check failed: seal"]

    night.wait(hours=8)

    assert [title for _, _, title in night.tell()] == [TITLE, "[CRITICAL] an asset check failed: seal"]


@pytest.mark.parametrize(
    ("hour", "start", "end", "waits"),
    [
        (19, 20, 7, False), (20, 20, 7, True), (0, 20, 7, True), (6, 20, 7, True), (7, 20, 7, False),
        (11, 12, 14, False), (12, 12, 14, True), (13, 12, 14, True), (14, 12, 14, False),
    ],
)  # fmt: skip
def test_quiet_hours_may_go_over_midnight(hour: int, start: int, end: int, waits: bool) -> None:
    quiet = Quiet(time(start), time(end), ZoneInfo("UTC"), Severity.CRITICAL)

    assert quiet.holds_back(Severity.ERROR, datetime(2026, 3, 5, hour, tzinfo=UTC)) is waits


def test_a_channel_that_is_down_is_tried_again_with_growing_pauses(world: World) -> None:
    world.rules = Rules({Severity.ERROR: ("chat",)}, repeat=timedelta(days=9))
    world.down = {"chat"}
    world.find(fault())
    for _ in range(60):
        world.tell()
        world.wait(seconds=30)
    assert world.tried == 6  # at 0, 30 s, 1.5, 3.5, 7.5, 15.5 minutes

    world.down = set()
    world.wait(hours=1)

    assert ("chat", "raised", TITLE) in world.tell()
    assert len(world.received) == 1


def test_a_dead_channel_falls_to_the_next_and_is_an_alert_itself(world: World) -> None:
    world.rules = Rules({Severity.ERROR: ("chat",)}, {"chat": "mail"}, repeat=timedelta(days=9))
    world.down = {"chat"}
    world.find(fault())
    received = []
    for _ in range(20):
        received += world.tell()
        world.wait(seconds=30)

    dead = "[ERROR] an alert channel does not take messages: chat"
    assert received == [("mail", "raised", TITLE), ("mail", "raised", dead)]
    world.down = set()
    world.find()
    world.wait(minutes=5)
    received = world.tell()
    world.wait(minutes=5)
    received += world.tell()
    assert ("mail", "resolved", TITLE.replace("ERROR", "RESOLVED")) in received
    assert ("mail", "resolved", dead.replace("ERROR", "RESOLVED")) in received


def test_what_comes_while_a_channel_is_dead_is_tried_there_once(world: World) -> None:
    world.rules = Rules({Severity.ERROR: ("chat",)}, {"chat": "mail"}, repeat=timedelta(days=9))
    world.down = {"chat"}
    world.find(fault())
    for _ in range(10):
        world.tell()
        world.wait(seconds=30)

    world.find(fault(), fault("a", "other"))

    assert [channel for channel, _, title in world.tell() if "other" in title] == []
    assert [channel for channel, _, title in world.tell() if "other" in title] == ["mail"]


def test_a_recovery_is_never_told_before_its_fault(world: World) -> None:
    world.rules = Rules({Severity.ERROR: ("chat",)})
    world.down = {"chat"}
    world.find(fault())
    world.tell()
    world.find()
    world.wait(minutes=6)
    world.tell()
    world.down = set()
    received = []
    for _ in range(3):
        world.wait(hours=1)
        received += world.tell()

    assert [reason for _, reason, title in received if "channel" not in title] == ["raised", "resolved"]


def test_a_channel_that_the_policy_no_longer_has_is_given_up(world: World) -> None:
    world.rules = Rules({Severity.ERROR: ("old",)})
    world.down = {"old"}
    world.find(fault())
    world.tell()
    tried = world.tried
    world.wait(days=1)

    world.tell()

    assert world.tried == tried + 1  # the repeated notice, not the first one again


@given(st.lists(st.sampled_from(["a", "b", "ab", "", "tell", "down", "up", "wait", "long"]), max_size=40))
def test_whatever_happens_every_notice_is_received_in_the_end_and_none_twice(steps: list[str]) -> None:
    world = World(Rules(dict.fromkeys(Severity, ("chat",)), {}))
    for step in steps:
        if step in ("tell", "wait", "long"):
            world.wait(minutes={"tell": 0, "wait": 2, "long": 90}[step])
            world.tell()
        elif step in ("down", "up"):
            world.down = {"chat"} if step == "down" else set()
        else:
            world.find(*(fault(item) for item in step))
    world.down = set()
    for _ in range(4):
        world.wait(hours=2)
        world.tell()

    notices = {
        f"{alert.name}-{notice.number}"
        for alert in world.book.alerts.values()
        for notice in alert.notices
        if notice.deliveries
    }
    names = [message.name for _, message in world.received]
    assert sorted(names) == sorted(set(names))
    assert set(names) == notices


def test_each_kind_says_what_happened_and_what_to_do() -> None:
    for kind in ALL_KINDS.values():
        assert kind.says
        assert kind.todo
