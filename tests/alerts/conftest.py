"""A book in memory, with a clock that a test moves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from audit_pipeline.alerts import (
    AlertRow,
    Book,
    Fault,
    Message,
    Quiet,
    Rules,
    Severity,
    acknowledge,
    dead_channels,
    due_attempts,
    due_notices,
    make_message,
    raise_and_resolve,
    read_book,
    settle_attempt,
)

KINDS = ("check_failed", "stream_silent", "source_rewritten")


def fault(item: str = "2026-03-05", subject: str = "records:nothing_lost", kind: str = "check_failed") -> Fault:
    return Fault(kind, subject, item, Severity.ERROR)


class World:
    """Rules, rows, channels that can be down, and what they took."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(
            routes=dict.fromkeys(Severity, ("chat", "mail")),
            fallbacks={"chat": "mail"},
            escalate_after=timedelta(minutes=30),
            escalate_to=("phone",),
        )
        self.now = datetime(2026, 3, 5, 12, tzinfo=UTC)
        self.rows: list[AlertRow] = []
        self.down: set[str] = set()
        self.received: list[tuple[str, Message]] = []
        self.tried = 0

    @property
    def book(self) -> Book:
        return read_book(self.rows)

    def wait(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)

    def find(self, *faults: Fault) -> Sequence[AlertRow]:
        """A watch looks, and finds these."""
        rows = raise_and_resolve(self.book, KINDS, faults, self.rules, self.now)
        self.rows += rows
        return rows

    def tell(self) -> list[tuple[str, str, str]]:
        """(channel, reason, title) of what is received now."""
        before = len(self.received)
        self.rows += due_notices(self.book, self.rules, self.now)
        for attempt in list(due_attempts(self.book, self.now)):
            self.tried += 1
            channel = attempt.delivery.channel
            error = "no answer" if channel in self.down else None
            if error is None:
                message = make_message(attempt.alert, attempt.notice, "example.com/audit", "runbooks.md", self.now)
                self.received.append((channel, message))
            failures = self.book.failures.get(channel, 0) + 1
            known = {"chat", "mail", "phone"}
            rows = settle_attempt(attempt, error, failures, self.rules, known, self.now)
            last = self.book.last
            self.rows += [replace(row, number=last + n) for n, row in enumerate(rows, 1)]
        faults = dead_channels(self.book, self.rules, {"chat", "mail", "phone"})
        self.rows += raise_and_resolve(self.book, ["channel_dead"], faults, self.rules, self.now)
        return [(channel, message.reason, message.title) for channel, message in self.received[before:]]

    def reasons(self) -> list[str]:
        """Of what is received now, once however many channels get it."""
        return list(dict.fromkeys(reason for _, reason, _ in self.tell()))

    def acknowledge(self) -> None:
        (alert,) = self.book.open()
        self.rows += acknowledge(self.book, alert.name[:4], "ada", self.now)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def night() -> World:
    """Quiet from 22 to 7 in Berlin for what is not critical; now it is 23 there."""
    quiet = Quiet(time(22), time(7), ZoneInfo("Europe/Berlin"), Severity.CRITICAL)
    world = World(Rules(dict.fromkeys(Severity, ("chat",)), quiet=quiet))
    world.now = datetime(2026, 3, 5, 22, tzinfo=UTC)
    return world
