"""What the policy says about telling people: to whom, how soon, how often, and when not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from audit_pipeline.alerts.faults import Severity


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which notices below a severity wait. `start` after `end` means over midnight."""

    start: time
    end: time
    zone: ZoneInfo
    below: Severity

    def holds_back(self, severity: Severity, now: datetime) -> bool:
        here = now.astimezone(self.zone).time()
        is_within = self.start <= here < self.end
        if self.start > self.end:
            is_within = here >= self.start or here < self.end
        return is_within and severity < self.below


@dataclass(frozen=True, slots=True)
class Rules:
    """Who is told of what, and when."""

    routes: Mapping[Severity, tuple[str, ...]]
    """The channels that each get the notices of a severity."""
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    """By channel: who gets what it does not take."""
    regroup: timedelta = timedelta(minutes=15)
    """At most one notice in this time says that an alert has grown."""
    repeat: timedelta = timedelta(hours=4)
    """How often an alert that nobody acknowledged is told again."""
    settle: timedelta = timedelta(minutes=5)
    """How long a recovery must last before it is told: what comes and goes is one alert."""
    escalate_after: timedelta | None = None
    escalate_to: tuple[str, ...] = ()
    quiet: Quiet | None = None
    attempts: int = 3
    """Failures in a row after which a channel is dead, and its notices go to its fallback."""
    backoff: tuple[timedelta, timedelta] = (timedelta(seconds=30), timedelta(hours=1))
    """Wait after the first failure, doubled with each further one, up to the second value."""

    def wait(self, failures: int) -> timedelta:
        first, longest = self.backoff
        return longest if failures > 30 else min(first * 2 ** (failures - 1), longest)
