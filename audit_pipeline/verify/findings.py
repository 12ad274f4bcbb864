"""What a verification finds: problems, notes, levels and counts."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from audit_pipeline import tlog
from audit_pipeline.errors import AuditError, UnreachableError
from audit_pipeline.lake.rows import SnapshotName

_Checked = TypeVar("_Checked")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SOURCE = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold. `-` where a field has no meaning."""

    table: str
    day: str
    source: str
    position: str
    """One position or a range of them."""
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked and what holds."""

    levels: tuple[str, ...]
    """`self-consistent`, `extends-own-mark`, `signed`, `extends-held`, `witnessed`, `timestamped`: what
    was shown; none where there are problems."""
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    days: int
    seals: int
    """Signed entries of the log that close these days."""
    files: int
    """Stored files whose bytes were compared with the inventories."""
    sources: int
    """Source entries whose rows were hashed again."""
    records: int
    log_size: int
    unsealed_records: int
    checkpoint: str = ""
    """The signed note that was checked; empty where none could be."""


@dataclass(frozen=True, slots=True)
class CheckedLog:
    """The entries of the log, and how many of them the checkpoint signs."""

    entries: tuple[tlog.SealEntry, ...]
    signed_size: int
    checkpoint: str = ""

    @property
    def signed(self) -> tuple[tlog.SealEntry, ...]:
        return self.entries[: self.signed_size]


@dataclass(frozen=True, slots=True)
class DayRange:
    """The days that are looked at; an end that is None is open."""

    first: date | None
    last: date | None

    def __contains__(self, day: date) -> bool:
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    @property
    def is_open(self) -> bool:
        return self.first is None and self.last is None


class Findings:
    """Collects what the checks of one verification find."""

    def __init__(self, tell: Callable[[Problem], None] = lambda problem: None) -> None:
        self._tell = tell
        self.levels: list[str] = []
        self.notes: list[str] = []
        self.problems: list[Problem] = []
        self.files = 0
        self.sources = 0
        self.records = 0

    def problem(self, problem: Problem) -> None:
        self.problems.append(problem)
        self._tell(problem)

    def merge(self, others: "Findings") -> None:
        """Take over what was found beside, such as by another thread, and tell of it."""
        for problem in others.problems:
            self.problem(problem)
        self.files += others.files
        self.sources += others.sources
        self.records += others.records

    def add(self, table: str, message: str, day: date | None = None) -> None:
        """A problem of a table, or of a day in it."""
        self.problem(Problem(table, "-" if day is None else day.isoformat(), "-", "-", message))

    def add_file(self, path: str, message: str) -> None:
        """A problem of a stored file, named as inventories write it; the path tells table, day and source."""
        parts = path.split("/")
        table = parts[2] if parts[0] == "lake" and len(parts) > 3 else parts[0]
        day = next(filter(_DAY.fullmatch, parts), "-")
        source = next(filter(_SOURCE.fullmatch, parts), "-")
        self.problem(Problem(table, day, source, "-", f"{path}: {message}"))

    def has_problem_of(self, table: str) -> bool:
        return any(problem.table == table for problem in self.problems)

    def add_of(self, table: str, entry: tlog.SourceEntry, message: str) -> None:
        """A problem of one snapshot."""
        last = entry.position + max(entry.records - 1, 0)
        positions = str(last) if last == entry.position else f"{entry.position}-{last}"
        self.problem(Problem(table, entry.day.isoformat(), entry.source, positions, message))

    def guard(self, table: str, check: Callable[[], _Checked]) -> _Checked | None:
        """What `check` gives; what it refuses to go on with is a problem of `table`, and None.

        Raises:
            UnreachableError: a store cannot be asked, which shows nothing of the evidence.
        """
        try:
            return check()
        except UnreachableError:
            raise
        except AuditError as err:
            self.add(table, str(err))
            return None

    def verification(
        self,
        log: CheckedLog,
        committed: Mapping[SnapshotName, tlog.SourceEntry],
        sealed: Collection[SnapshotName],
        days: DayRange,
    ) -> Verification:
        unsealed = [entry for name, entry in committed.items() if name not in sealed and entry.day in days]
        if unsealed:
            self.notes.append(f"{len(unsealed)} snapshots came in since the last seal: not yet protected")
        return Verification(
            levels=() if self.problems else tuple(self.levels),
            notes=tuple(self.notes),
            problems=tuple(self.problems),
            days=len({seal.day for seal in log.signed if seal.day in days}),
            seals=sum(seal.day in days for seal in log.signed),
            files=self.files,
            sources=self.sources,
            records=self.records,
            log_size=len(log.signed),
            unsealed_records=sum(entry.records for entry in unsealed),
            checkpoint=log.checkpoint,
        )
