"""What can be wrong, how bad it is, and what a person does then."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad: `critical` means that evidence or the privacy promise is at stake."""

    WARNING = 1
    ERROR = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Severity":
        return cls[word.upper()]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. Each has a section of deploy/runbooks.md, under its name."""

    name: str
    says: str
    """What happened, as the first words of a message."""
    todo: str
    is_event: bool = False
    """Whether it happened once, so that no later look can find it gone: its alert stays until somebody acknowledges."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "verification_failed",
            "stored evidence does not hold",
            "stop writing, keep the lake as it is, run `audit-pipeline verify` and restore what it names",
        ),
        Kind("check_failed", "an asset check failed", "open the check in the UI: its metadata names what failed"),
        Kind("check_missing", "an asset check did not run", "run the check for these days in the UI"),
        Kind("run_failed", "a run failed", "open the run in the UI, cure what its error names, run the day again"),
        Kind("seal_missing", "a day is not sealed", "run `audit-pipeline run`; its error names what is in the way"),
        Kind(
            "source_rewritten",
            "a source was rewritten or truncated",
            "ask who changed the file; its earlier bytes are kept. Then acknowledge",
            is_event=True,
        ),
        Kind(
            "stream_silent", "a stream is silent", "look whether its trainer or tool still runs and still writes here"
        ),
        Kind(
            "budget_low",
            "a privacy budget is nearly spent",
            "release less often, or decide on a budget for the next period",
        ),
        Kind("control_failed", "a control went from PASS to FAIL", "open the report of that day: it cites the rows"),
        Kind("store_full", "a store is nearly full", "make room before the next run"),
        Kind("sensor_failing", "a sensor or schedule fails", "open its ticks in the UI and cure what the error names"),
        Kind("channel_dead", "an alert channel does not take messages", "run `audit-pipeline alerts test`"),
    )
}

MANY = "many"
"""Subject of the one alert over more subjects of a kind than anyone wants a message each about."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong now, or that happened. One alert has all the faults of a (kind, subject)."""

    kind: str
    subject: str
    """What it is a fault of: a check, a job, a stream, a store. No spaces."""
    item: str
    """Which one of it: a day, a source's id, a run. No spaces, never contents of records."""
    severity: Severity
    summary: str = ""
    """One line with what a person wants to know beside the items; counts and names, never contents of records."""

    def __post_init__(self) -> None:
        # Rows keep items as words; one that is none, or several, would be new at each look.
        assert len(self.subject.split()) == 1 == len(self.item.split()), f"{self}: expected one word each"


def one_word(text: str) -> str:
    """A name that somebody else chose, as a subject or item."""
    return "_".join(text.split()) or "-"
