"""Which notice goes through which channel now, and what follows from whether it was taken."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from audit_pipeline.alerts.book import Alert, AlertRow, Book, Delivery, Notice
from audit_pipeline.alerts.faults import Fault, Severity
from audit_pipeline.alerts.raising import row_of
from audit_pipeline.alerts.rules import Rules


@dataclass(frozen=True, slots=True)
class Attempt:
    """One notice to be sent through one channel now."""

    alert: Alert
    notice: Notice
    delivery: Delivery


def due_attempts(book: Book, now: datetime) -> Iterator[Attempt]:
    """The oldest first, so that nobody hears of a recovery before the fault."""
    waiting = [(notice.at, alert, notice) for alert in book.alerts.values() for notice in alert.notices]
    blocked = set()
    for _, alert, notice in sorted(waiting, key=lambda found: found[0]):
        for delivery in notice.deliveries:
            key = (alert.name, delivery.channel)
            if delivery.is_over or key in blocked:
                continue
            if delivery.due_at <= now:
                yield Attempt(alert, notice, delivery)
            blocked.add(key)  # what comes later of the same alert waits for it


def settle_attempt(
    attempt: Attempt, error: str | None, failures: int, rules: Rules, known: Collection[str], now: datetime
) -> list[AlertRow]:
    """The rows that say how an attempt ended; the caller numbers them.

    `error`: why the channel did not take it. `failures`: of the channel in a row, this one among them. `known`: the
    channels that there are.
    """
    delivery = attempt.delivery
    row = replace(
        row_of(attempt.alert, now, "sent"),
        notice=attempt.notice.number,
        reason=attempt.notice.reason,
        channel=delivery.channel,
        attempt=delivery.attempts + 1,
    )
    if error is None:
        return [row]
    failed = replace(row, event="failed", error=error, due_at=now + rules.wait(delivery.attempts + 1))
    fallback = rules.fallbacks.get(delivery.channel)
    tried = {other.channel for other in attempt.notice.deliveries}
    if delivery.channel not in known:
        return [failed, replace(row, event="handed", channels=None)]
    if failures >= rules.attempts and fallback is not None and fallback not in tried:
        return [failed, replace(row, event="handed", channels=fallback)]
    return [failed]


def dead_channels(book: Book, rules: Rules, known: Collection[str]) -> list[Fault]:
    """The channels that did not take what was last sent through them, as often as the rules allow."""
    return [
        Fault("channel_dead", name, name, Severity.ERROR, "its messages go to its fallback, or wait")
        for name, failures in book.failures.items()
        if failures >= rules.attempts and name in known
    ]
