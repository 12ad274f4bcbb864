"""Telling people: what is due by the book goes out through the channels, and what became of it is written down.

A crash between sending and writing sends again: a message has one name however often it comes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit_pipeline.alert_rows import append_alerts, read_alerts
from audit_pipeline.alerts import (
    AlertRow,
    Attempt,
    Book,
    Fault,
    Message,
    Rules,
    Severity,
    dead_channels,
    due_attempts,
    due_notices,
    make_message,
    number_rows,
    raise_and_resolve,
    settle_attempt,
)
from audit_pipeline.channels import Channel
from audit_pipeline.errors import PolicyError, StorageError
from audit_pipeline.lake.opened import Lake

Channels = Mapping[str, Channel | PolicyError]
Clock = Callable[[], datetime]
Entropy = Callable[[int], bytes]
_MOST_ATTEMPTS = 100  # of one call
_LONGEST = timedelta(seconds=30)  # no attempt begins after this: Dagster gives a tick a minute
_MOST_DEAF = 2  # attempts at one channel that fails, of one call: each may take ten seconds


@dataclass(frozen=True, slots=True)
class Told:
    """What one call did."""

    sent: int
    failed: int


def report_faults(
    lake: Lake, kinds: Sequence[str], faults: Sequence[Fault], rules: Rules, *, now: Clock, entropy: Entropy
) -> Sequence[AlertRow]:
    """Write down what changed: of these kinds, these faults are there and no others."""
    at = now()
    return append_alerts(lake, lambda book: raise_and_resolve(book, kinds, faults, rules, at), now=at, entropy=entropy)


def tell_people(lake: Lake, rules: Rules, channels: Channels, *, runbooks: str, now: Clock, entropy: Entropy) -> Told:
    """Send what is due, and write down what was taken and which channels are dead."""
    at = now()
    append_alerts(lake, lambda book: due_notices(book, rules, at), now=at, entropy=entropy)
    book = read_alerts(lake, at)
    failures = dict(book.failures)
    tried: dict[str, int] = {}
    rows: list[AlertRow] = []
    for attempt in list(due_attempts(book, at))[:_MOST_ATTEMPTS]:
        name = attempt.delivery.channel
        if now() - at > _LONGEST:
            break
        if tried.get(name, 0) >= _MOST_DEAF:
            continue
        error = _try(attempt, channels.get(name), lake.origin, runbooks, now)
        failures[name] = 0 if error is None else failures.get(name, 0) + 1
        tried[name] = 0 if error is None else tried.get(name, 0) + 1
        rows += settle_attempt(attempt, error, failures[name], rules, channels.keys(), now())
    append_alerts(lake, lambda book: number_rows(book, rows), now=now(), entropy=entropy)
    report_dead(lake, rules, channels, now=now, entropy=entropy)
    return Told(sum(row.event == "sent" for row in rows), sum(row.event == "failed" for row in rows))


def report_dead(lake: Lake, rules: Rules, channels: Channels, *, now: Clock, entropy: Entropy) -> None:
    """Raise an alert for each channel that takes nothing any more."""

    def decide(book: Book) -> list[AlertRow]:
        faults = dead_channels(book, rules, channels.keys())
        return raise_and_resolve(book, ["channel_dead"], faults, rules, now())

    append_alerts(lake, decide, now=now(), entropy=entropy)


def _try(attempt: Attempt, channel: Channel | PolicyError | None, origin: str, runbooks: str, now: Clock) -> str | None:
    """Why the channel did not take it; None where it did."""
    if channel is None:
        return "there is no such channel in the policy any more"
    if isinstance(channel, PolicyError):
        return str(channel)
    try:
        channel.send(make_message(attempt.alert, attempt.notice, origin, runbooks, now()))
    except (StorageError, PolicyError) as err:
        return str(err)
    return None


def make_test(origin: str, now: datetime) -> Message:
    """What `audit-pipeline alerts test` sends."""
    return Message(
        key=f"{origin}/test",
        name=f"test-{now:%Y%m%dT%H%M%S%f}",
        alert="test",
        kind="test",
        subject="test",
        reason="raised",
        severity=Severity.WARNING,
        title="[TEST] this channel works",
        lines=(f"Log: {origin}", "Sent by `audit-pipeline alerts test`. Nothing is wrong."),
        runbook="deploy/runbooks.md",
        at=now,
        sent_at=now,
    )
