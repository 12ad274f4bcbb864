"""The rows of the table `alerts`, and what they amount to: which alerts there are, what was told of them to whom.

Each row is one event of one alert:

    raised, grown     items were found, beside those before
    resolved          nothing of it is there any more; reopened: it came back before anybody was told
    acknowledged      a person says: I know
    notice            channels are to be told, for a reason: one of REASONS
    sent, failed      a channel took a notice, or did not; failed with a time: it is tried again then
    handed            a channel is given up on for this notice; `channels` names who gets it, or nobody
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from audit_pipeline.alerts.faults import KINDS, Severity
from audit_pipeline.errors import StorageError

REASONS = ("raised", "grown", "repeated", "escalated", "resolved")


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A row of the table `alerts`, column by column."""

    number: int
    """From 1, in the order in which they were appended."""
    day: date
    at: datetime
    alert: str
    event: str
    kind: str
    subject: str
    severity: str
    items: str | None = None
    """Words apart by spaces."""
    summary: str | None = None
    notice: int | None = None
    reason: str | None = None
    channels: str | None = None
    """Words apart by spaces."""
    channel: str | None = None
    attempt: int | None = None
    due_at: datetime | None = None
    error: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice on its way through one channel."""

    channel: str
    due_at: datetime
    attempts: int = 0
    is_over: bool = False
    """Taken by the channel, or given up."""
    was_sent: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that channels are to be told."""

    number: int
    reason: str
    at: datetime
    severity: Severity
    items: int
    """How many the alert had then."""
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """All that is known of one alert."""

    name: str
    kind: str
    subject: str
    severity: Severity
    items: tuple[str, ...]
    summary: str
    raised_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None
    notices: tuple[Notice, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None

    @property
    def was_told_resolved(self) -> bool:
        return bool(self.notices) and self.notices[-1].reason == "resolved"


@dataclass(frozen=True, slots=True)
class Book:
    """The alerts of the days that were read, by name, in the order in which they were raised."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    """By channel: its failures since it last took something; 0 for one that works."""
    last: int = 0
    """Number of the last row."""

    def open(self) -> Iterator[Alert]:
        return (alert for alert in self.alerts.values() if alert.is_open)

    def newest(self, kind: str, subject: str) -> Alert | None:
        found = [alert for alert in self.alerts.values() if (alert.kind, alert.subject) == (kind, subject)]
        return found[-1] if found else None


def read_book(rows: Iterable[AlertRow]) -> Book:
    """What the rows amount to. Of alerts that were raised before the first of them they say nothing any more."""
    ordered = sorted(rows, key=lambda row: row.number)
    alerts: dict[str, Alert] = {}
    failures: dict[str, int] = {}
    for row in ordered:
        if row.event == "raised":
            alerts[row.alert] = _raised(row)
        elif row.alert in alerts:
            alerts[row.alert] = _after(alerts[row.alert], row)
        if row.channel and row.event in ("sent", "failed"):
            failures[row.channel] = 0 if row.event == "sent" else failures.get(row.channel, 0) + 1
    return Book(alerts, failures, ordered[-1].number if ordered else 0)


def _raised(row: AlertRow) -> Alert:
    items = tuple((row.items or "").split())
    return Alert(row.alert, row.kind, row.subject, Severity.of(row.severity), items, row.summary or "", row.at)


def _after(alert: Alert, row: AlertRow) -> Alert:
    match row.event:
        case "grown":
            items = tuple(dict.fromkeys((*alert.items, *(row.items or "").split())))
            return replace(alert, items=items, severity=Severity.of(row.severity), summary=row.summary or alert.summary)
        case "resolved":
            return replace(alert, resolved_at=row.at)
        case "reopened":
            return replace(alert, resolved_at=None)
        case "acknowledged":
            closed = row.at if KINDS[alert.kind].is_event else alert.resolved_at
            return replace(alert, acknowledged_at=row.at, acknowledged_by=row.person, resolved_at=closed)
        case "notice":
            return replace(alert, notices=(*alert.notices, _notice(alert, row)))
        case "sent" | "failed" | "handed":
            return replace(alert, notices=tuple(_told(notice, row) for notice in alert.notices))
    raise StorageError(
        f"alerts: row {row.number}: unknown event {row.event!r}; a newer version of this program wrote it"
    )


def _notice(alert: Alert, row: AlertRow) -> Notice:
    deliveries = tuple(Delivery(channel, row.at) for channel in (row.channels or "").split())
    return Notice(row.notice or 0, row.reason or "", row.at, Severity.of(row.severity), len(alert.items), deliveries)


def _told(notice: Notice, row: AlertRow) -> Notice:
    if notice.number != row.notice:
        return notice
    deliveries = []
    for delivery in notice.deliveries:
        if delivery.channel == row.channel and not delivery.is_over:
            delivery = replace(
                delivery,
                attempts=row.attempt or delivery.attempts,
                due_at=row.due_at or delivery.due_at,
                is_over=row.event != "failed",
                was_sent=row.event == "sent",
            )
        deliveries.append(delivery)
    known = {delivery.channel for delivery in deliveries}
    if row.event == "handed":
        deliveries += [Delivery(name, row.at) for name in (row.channels or "").split() if name not in known]
    return replace(notice, deliveries=tuple(deliveries))
