"""From the faults that are there now to the rows that say what changed. Saying the same again gives no row.

What watches looks at all of its kinds each time, so a crash between looking and appending loses nothing: the next look
finds the same faults.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from audit_pipeline.alerts.book import Alert, AlertRow, Book
from audit_pipeline.alerts.faults import KINDS, MANY, Fault
from audit_pipeline.alerts.rules import Rules
from audit_pipeline.errors import InputError

MOST_SUBJECTS = 10
"""Of one kind; where more come up at once, they are one alert."""
_MOST_ITEMS = 10_000


def raise_and_resolve(
    book: Book, kinds: Collection[str], faults: Sequence[Fault], rules: Rules, now: datetime
) -> list[AlertRow]:
    """The rows that make the book say: of these kinds, these faults are there and no others.

    Of kinds that are events, the faults are those of late; their alerts stay open until they are acknowledged.
    """
    rows: list[AlertRow] = []
    for kind in sorted(kinds):
        for subject, found in _by_subject(book, kind, faults).items():
            rows += _raise(book, kind, subject, found, rules, now)
        if not KINDS[kind].is_event:
            there = set(_by_subject(book, kind, faults))
            rows += [
                _row(alert, now, "resolved")
                for alert in book.open()
                if alert.kind == kind and alert.subject not in there
            ]
    return number_rows(book, rows)


def acknowledge(book: Book, name: str, person: str, now: datetime) -> list[AlertRow]:
    """The row that says a person knows of an open alert, named by the first letters of its name.

    Raises:
        InputError: there is no such alert, or more than one.
    """
    found = [alert for alert in book.open() if alert.name.startswith(name)]
    if len(found) != 1:
        raise InputError(f"{name}: {len(found)} open alerts have this name; `audit-pipeline alerts list` shows them")
    (alert,) = found
    if alert.acknowledged_at is not None:
        return []
    return number_rows(book, [replace(_row(alert, now, "acknowledged"), person=person)])


def number_rows(book: Book, rows: Sequence[AlertRow]) -> list[AlertRow]:
    return [replace(row, number=book.last + n) for n, row in enumerate(rows, 1)]


def row_of(alert: Alert, now: datetime, event: str) -> AlertRow:
    """A row of an alert; the caller numbers it."""
    return _row(alert, now, event)


def _row(alert: Alert, now: datetime, event: str) -> AlertRow:
    day = now.astimezone(UTC).date()
    return AlertRow(0, day, now, alert.name, event, alert.kind, alert.subject, alert.severity.word)


def _by_subject(book: Book, kind: str, faults: Sequence[Fault]) -> dict[str, list[Fault]]:
    """The faults of a kind by the subject of their alert: their own, or `many` where too many come up at once."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.kind == kind:
            found.setdefault(fault.subject, []).append(fault)
    known = {alert.subject for alert in book.open() if alert.kind == kind}
    new = [subject for subject in found if subject not in known]
    if MANY in known or len(new) > MOST_SUBJECTS:
        for subject in new:
            merged = [replace(fault, subject=MANY, item=f"{subject}/{fault.item}") for fault in found.pop(subject)]
            found.setdefault(MANY, []).extend(merged)
    return found


def _raise(
    book: Book, kind: str, subject: str, faults: Sequence[Fault], rules: Rules, now: datetime
) -> Iterator[AlertRow]:
    severity = max(fault.severity for fault in faults)
    newest = book.newest(kind, subject)
    if newest is not None and not newest.is_open and not KINDS[kind].is_event and _has_just_gone(newest, rules, now):
        yield _row(newest, now, "reopened")
        newest = replace(newest, resolved_at=None)
    is_event = KINDS[kind].is_event
    known = _items_before(book, kind, subject) if is_event else set(newest.items if newest and newest.is_open else ())
    new = [fault for fault in faults if fault.item not in known][:_MOST_ITEMS]
    if newest is not None and newest.is_open:
        if new or severity > newest.severity:
            grown = replace(newest, severity=max(severity, newest.severity))
            yield _with_items(_row(grown, now, "grown"), new)
    elif new:
        name = hashlib.sha256(f"{kind} {subject} {now.isoformat()}".encode()).hexdigest()[:12]
        yield _with_items(_row(Alert(name, kind, subject, severity, (), "", now), now, "raised"), new)


def _with_items(row: AlertRow, faults: Sequence[Fault]) -> AlertRow:
    items = " ".join(dict.fromkeys(fault.item for fault in faults))
    return replace(row, items=items, summary=next((fault.summary for fault in faults if fault.summary), None))


def _has_just_gone(alert: Alert, rules: Rules, now: datetime) -> bool:
    """Whether nobody has been told that it is over, so that it had better not have been."""
    gone = alert.resolved_at
    return gone is not None and not alert.was_told_resolved and now - gone < rules.settle + timedelta(minutes=1)


def _items_before(book: Book, kind: str, subject: str) -> set[str]:
    """What was told of an event once is not told again, acknowledged or not."""
    return {
        item
        for alert in book.alerts.values()
        if alert.kind == kind and alert.subject in (subject, MANY)
        for item in (i.removeprefix(f"{subject}/") if alert.subject == MANY else i for i in alert.items)
    }
