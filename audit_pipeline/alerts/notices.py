"""Which alerts somebody must be told of now."""

from dataclasses import replace
from datetime import datetime

from audit_pipeline.alerts.book import Alert, AlertRow, Book
from audit_pipeline.alerts.raising import number_rows, row_of
from audit_pipeline.alerts.rules import Rules


def due_notices(book: Book, rules: Rules, now: datetime) -> list[AlertRow]:
    """A row for each notice that is due."""
    rows = []
    for alert in book.alerts.values():
        reason = _reason(alert, rules, now)
        if reason is None or (rules.quiet and rules.quiet.holds_back(alert.severity, now)):
            continue
        channels = " ".join(_channels(alert, reason, rules))
        if channels:
            row = row_of(alert, now, "notice")
            rows.append(replace(row, notice=len(alert.notices) + 1, reason=reason, channels=channels))
    return number_rows(book, rows)


def _reason(alert: Alert, rules: Rules, now: datetime) -> str | None:
    if alert.resolved_at is not None:
        # Nobody was told that it was there, or somebody closed it by hand: then nobody waits to hear that it is over.
        is_awaited = alert.notices and not alert.was_told_resolved and alert.resolved_at != alert.acknowledged_at
        return "resolved" if is_awaited and now - alert.resolved_at >= rules.settle else None
    if not alert.notices:
        return "raised"
    newest = alert.notices[-1]
    has_grown = len(alert.items) > max(notice.items for notice in alert.notices)
    if alert.severity > max(notice.severity for notice in alert.notices):
        return "grown"
    if has_grown and now - newest.at >= rules.regroup:
        return "grown"
    if alert.acknowledged_at is not None:
        return None
    is_escalated = any(notice.reason == "escalated" for notice in alert.notices)
    if rules.escalate_after is not None and not is_escalated and now - alert.notices[0].at >= rules.escalate_after:
        return "escalated"
    return "repeated" if now - newest.at >= rules.repeat else None


def _channels(alert: Alert, reason: str, rules: Rules) -> list[str]:
    """Whom to tell. Who heard that it is there hears that it is over; a dead channel is not told of its own death."""
    told = rules.routes.get(alert.severity, ())
    if reason == "escalated":
        told = rules.escalate_to
    elif alert.notices:
        told = (*told, *(delivery.channel for notice in alert.notices for delivery in notice.deliveries))
        told = tuple(name for name in told if reason == "resolved" or name in rules.routes.get(alert.severity, ()))
    is_own = alert.kind == "channel_dead"
    if is_own and alert.subject in told and reason != "resolved":
        told = (*told, rules.fallbacks.get(alert.subject, ""))
    return [name for name in dict.fromkeys(told) if name and not (is_own and name == alert.subject)]
