"""Telling people through channels that fail, are slow, or outlive us."""

from datetime import timedelta

import pytest

from audit_pipeline.alert_rows import read_alerts
from audit_pipeline.alerting import Told, report_faults, tell_people
from audit_pipeline.alerts import Fault, Message, Rules, Severity
from audit_pipeline.errors import StorageError
from tests.lakes import LakeForTests


class FakeChannel:
    """Keeps what it is sent, and may take its time or refuse."""

    def __init__(self, home: LakeForTests, *, takes: timedelta = timedelta(0)) -> None:
        self.home, self.takes, self.is_down = home, takes, False
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.home.now += self.takes
        if self.is_down:
            raise StorageError("channel fake: answered 503; check its address and secret")
        self.sent.append(message)


def tell(home: LakeForTests, channels: dict[str, FakeChannel], rules: Rules) -> Told:
    return tell_people(home.lake, rules, channels, runbooks="r", now=lambda: home.now, entropy=home.entropy)  # type: ignore[arg-type]


def find(home: LakeForTests, rules: Rules, *subjects: str) -> None:
    faults = [Fault("check_failed", subject, "2026-03-05", Severity.ERROR) for subject in subjects]
    report_faults(home.lake, ["check_failed"], faults, rules, now=lambda: home.now, entropy=home.entropy)


RULES = Rules(dict.fromkeys(Severity, ("one",)))


def test_a_crash_between_sending_and_writing_sends_the_same_message_again(lake: LakeForTests) -> None:
    channel = FakeChannel(lake)
    find(lake, RULES, "a")
    entropy, calls = lake.entropy, []

    def dies(count: int) -> bytes:
        calls.append(count)
        if len(calls) == 2:  # the notice was written, what became of it is not
            raise KeyboardInterrupt
        return entropy(count)

    lake.entropy = dies
    with pytest.raises(KeyboardInterrupt):
        tell(lake, {"one": channel}, RULES)
    lake.entropy = entropy

    tell(lake, {"one": channel}, RULES)
    tell(lake, {"one": channel}, RULES)

    first, again = channel.sent
    assert first.name == again.name


def test_a_slow_channel_does_not_hold_a_tick_for_longer_than_its_minute(lake: LakeForTests) -> None:
    channel = FakeChannel(lake, takes=timedelta(seconds=9))
    find(lake, RULES, *"abcdefgh")

    told = [tell(lake, {"one": channel}, RULES).sent for _ in range(3)]

    assert told == [4, 4, 0]
    assert len({message.subject for message in channel.sent}) == 8


def test_a_dead_channel_holds_up_nobody_else(lake: LakeForTests) -> None:
    rules = Rules(dict.fromkeys(Severity, ("one", "two")))
    dead, works = FakeChannel(lake, takes=timedelta(seconds=10)), FakeChannel(lake)
    dead.is_down = True
    find(lake, rules, *"abcdefgh")

    tell(lake, {"one": dead, "two": works}, rules)

    assert len(works.sent) == 8


def test_what_a_channel_says_is_written_down(lake: LakeForTests) -> None:
    channel = FakeChannel(lake)
    channel.is_down = True
    find(lake, RULES, "a")

    assert tell(lake, {"one": channel}, RULES) == Told(sent=0, failed=1)

    rows = lake.lake.find_named("alerts").read(["event", "error"]).to_pylist()  # type: ignore[union-attr]
    assert [row["error"] for row in rows if row["event"] == "failed"] == [
        "channel fake: answered 503; check its address and secret"
    ]
    assert read_alerts(lake.lake, lake.now).failures == {"one": 1}
