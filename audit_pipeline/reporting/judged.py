"""The facts of a period: the lake verified and read, every control judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.opened import Lake
from audit_pipeline.report.catalogue import Catalogue
from audit_pipeline.report.evidence import days_read, evidence_tables, fill, open_database
from audit_pipeline.report.facts import FAIL, NOT_EVIDENCED, DayEvidence, Facts, Finding, Period, SealProof, Verified
from audit_pipeline.report.judging import Judge, Scope, days_of, read_scope
from audit_pipeline.report.pages import empty_pages, read_pages
from audit_pipeline.reporting.reading import ReadPeriod, checkpoint_root, read_period

_RECOMPUTED = "INT-02"


@dataclass(frozen=True, slots=True)
class ReportPolicy:
    """What a policy says of its reports."""

    catalogue: Catalogue
    title: str = "RLHF records"
    registers: str = "registers"
    """The stream of registers."""


def judge_period(
    lake: Lake,
    period: Period,
    policy: ReportPolicy,
    verified: Verified | None,
    verify_days: Callable[[date, date], Verified] | None = None,
) -> Facts:
    """What is known of a period, after a verification of its days. None: nothing was there to verify.

    Where the verification found a problem, nothing else is read: it could not be relied on, and may be hostile. Days
    beside the period that rows were read of are verified by `verify_days`, all from the first to the last of them.
    """
    if verified is not None and verified.problems:
        return _unreliable(lake, period, policy, verified)
    try:
        read = read_period(lake, period, policy.registers)
    except ProofError as err:
        at = verified.at if verified else datetime.min.replace(tzinfo=UTC)
        return _unreliable(lake, period, policy, Verified(at, (), 1, str(err)))
    others = [day for day in read.days if not period.first <= day <= period.last]
    if others and verify_days is not None:
        read = read.relying_on(verify_days(min(others), max(others)), others)
    return _judged(lake, period, policy, read, verified)


def _judged(lake: Lake, period: Period, policy: ReportPolicy, read: ReadPeriod, verified: Verified | None) -> Facts:
    note, size, root = checkpoint_root(read.log)
    with open_database() as database:
        fill(database, read.evidence)
        tables = evidence_tables()
        scope = read_scope(database, period)
        judge = Judge(
            database,
            period,
            policy.catalogue,
            scope,
            read.days,
            lambda name: days_read(read.evidence, tables[name]),
            read.evidence.problems,
        )
        findings = tuple(judge.judge(control) for control in policy.catalogue.controls)
        pages = read_pages(database, period)
    return Facts(
        title=policy.title,
        period=period,
        origin=lake.origin,
        vkey=lake.vkey,
        checkpoint=note,
        log_size=size,
        log_root=root,
        verified=verified,
        days=tuple(read.days[day] for day in days_of(period)),
        proofs=tuple(seal_proofs(read, period)),
        scope=tuple(scope.answers.items()),
        is_scope_approved=scope.is_approved,
        findings=findings,
        catalogue=policy.catalogue,
        tables=pages,
        register_problems=tuple(sorted(read.register_problems.items())),
        handovers=tuple(one.decode("ascii") for one in read.log.handovers) if read.log else (),
        leaves=read.log.leaves if read.log else b"",
    )


def seal_proofs(read: ReadPeriod, period: Period) -> Iterator[SealProof]:
    """Where the last seal of each day is in the log."""
    for day in days_of(period):
        if read.log is not None and (segments := read.days[day].segments):
            index = segments[-1].index
            hashes = tlog.prove_inclusion(read.log.leaves, index, hash_nodes)
            entry = tlog.format_seal(read.log.seals[index]).decode("ascii")
            yield SealProof(index, day, entry, tuple(one.hex() for one in hashes))


def _unreliable(lake: Lake, period: Period, policy: ReportPolicy, verified: Verified) -> Facts:
    """Facts of which only that the evidence does not hold is known."""
    days = tuple(days_of(period))
    said = f"the verification found {verified.problems} problems"
    findings = tuple(
        Finding(
            control,
            FAIL if control.id == _RECOMPUTED else NOT_EVIDENCED,
            "violations" if control.id == _RECOMPUTED else "integrity",
            said,
            0,
            None,
            verified.problems if control.id == _RECOMPUTED else 0,
            is_early=False,
            days_read=days,
        )
        for control in policy.catalogue.controls
    )
    scope = Scope({}, is_approved=False)
    return Facts(
        title=policy.title,
        period=period,
        origin=lake.origin,
        vkey=lake.vkey,
        checkpoint="",
        log_size=0,
        log_root="",
        verified=verified,
        days=tuple(DayEvidence(day, (), False, None, None) for day in days),
        proofs=(),
        scope=tuple(scope.answers.items()),
        is_scope_approved=False,
        findings=findings,
        catalogue=policy.catalogue,
        tables=empty_pages(),
        register_problems=(),
    )
