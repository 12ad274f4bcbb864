"""What is known of a period, as one frozen value: renderers turn it into bytes and know nothing else."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from audit_pipeline.report.catalogue import Catalogue, Control

PASS, FAIL, NOT_EVIDENCED, NOT_APPLICABLE = "PASS", "FAIL", "NOT_EVIDENCED", "NOT_APPLICABLE"
STATUSES = (PASS, FAIL, NOT_EVIDENCED, NOT_APPLICABLE)
"""No score and no percentage is made of these, here or elsewhere."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both inside."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Segment:
    """A seal of a day: an entry of the log."""

    index: int
    day: date
    segment: int
    root: str
    records: int
    sources: int
    sealed_at: datetime
    policy: str


@dataclass(frozen=True, slots=True)
class DayEvidence:
    """How far the rows of a day can be relied on."""

    day: date
    segments: tuple[Segment, ...]
    is_sealed: bool
    """Whether it has a seal, and no row of it is under none."""
    verified_at: datetime | None
    """When it was last verified after its last seal, and held; None where it was not."""
    problem: str | None
    """What the newest verification that looked at the day found wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the evidence says of one control."""

    control: Control
    status: str
    reason: str
    """One word why; empty for PASS."""
    detail: str
    """The same for a reader, with what to do; empty for PASS."""
    n: int
    coverage: float | None
    violations: int
    is_early: bool
    """Whether the law does not apply yet at the period's end: then it is early evidence, and FAIL is no breach."""
    days_read: tuple[date, ...]
    """The days whose seals vouch for the rows that were read."""


@dataclass(frozen=True, slots=True)
class FactTable:
    """Rows for a page of the report, as text."""

    name: str
    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_cut: bool = False
    """Whether there are more rows than are shown."""


@dataclass(frozen=True, slots=True)
class SealProof:
    """A seal's place in the log: what anyone needs to compute the signed root from it."""

    index: int
    day: date
    entry: str
    """The exact text of the entry."""
    hashes: tuple[str, ...]
    """Hex; the leaf's sibling first."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The newest verification that looked at the period."""

    at: datetime
    levels: tuple[str, ...]
    problems: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report says. Equal facts give equal bytes."""

    title: str
    period: Period
    origin: str
    vkey: str
    checkpoint: str
    """The signed note; empty where nothing was sealed."""
    log_size: int
    log_root: str
    verified: Verified | None
    days: tuple[DayEvidence, ...]
    proofs: tuple[SealProof, ...]
    """Of the last seal of each day of the period that has one."""
    scope: tuple[tuple[str, str], ...]
    is_scope_approved: bool
    findings: tuple[Finding, ...]
    catalogue: Catalogue
    tables: Mapping[str, FactTable]
    register_problems: tuple[tuple[str, str], ...]
    """(file, what is wrong) of what was supplied and cannot be read."""
    handovers: tuple[str, ...] = ()
    """From the log's first key to the one in force, in order."""
    leaves: bytes = b""
    """The leaf hashes of the log's entries, one after another: what joins any earlier checkpoint to this one."""

    @property
    def as_of(self) -> datetime | None:
        """The time of the newest thing that the report rests on: what stands on it instead of a clock."""
        times = [segment.sealed_at for day in self.days for segment in day.segments]
        return max([*times, *([self.verified.at] if self.verified else [])], default=None)

    @property
    def no_reliance(self) -> str | None:
        """Why nothing in the period can be relied on; None where roots verify, or nothing was sealed."""
        if self.verified is not None and self.verified.problems:
            return self.verified.problem or "the verification found problems"
        return next((f"{day.day}: {day.problem}" for day in self.days if day.problem), None)

    def counts(self) -> Mapping[str, int]:
        found = Counter(finding.status for finding in self.findings)
        return {status: found[status] for status in STATUSES}

    def of_status(self, status: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status == status)
