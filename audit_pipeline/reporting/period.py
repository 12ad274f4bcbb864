"""A period verified and judged, by what the policy says of reports."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from audit_pipeline.errors import PolicyError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy.components import REPORT_TYPE, only_component
from audit_pipeline.policy.models import ComplianceReportAttributes
from audit_pipeline.report.catalogue import extend, load_catalogue
from audit_pipeline.report.facts import Facts, Period, Verified
from audit_pipeline.reporting.judged import ReportPolicy, judge_period
from audit_pipeline.reporting.recorded import Clock, Entropy
from audit_pipeline.verifications import record_verification, said_at
from audit_pipeline.verify import Verification
from audit_pipeline.verify.apart import verify_apart


def report_policy(root: Path) -> ReportPolicy:
    """What the policy in `root` says of reports.

    Raises:
        PolicyError: it says nothing, or something wrong.
    """
    said = only_component(root, REPORT_TYPE, ComplianceReportAttributes)
    if said is None:
        raise PolicyError(f"{root / 'assets'}: no component of type {REPORT_TYPE}; docs/compliance.md shows one")
    return policy_of(said)


def policy_of(said: ComplianceReportAttributes) -> ReportPolicy:
    catalogue = extend(load_catalogue(), said.controls, said.thresholds)
    return ReportPolicy(catalogue, said.title, said.registers)


def judge_verified(
    lake: Lake,
    period: Period,
    policy: ReportPolicy,
    *,
    now: Clock,
    entropy: Entropy,
    verifying: Callable[..., Verification] = verify_apart,
) -> Facts:
    """What is known of a period, every day that is read for it verified now.

    That days once held says nothing of what was done to them since, and a row that says they held may be anybody's.
    """

    def verify_days(first: date, last: date) -> Verified:
        found = verifying(lake, first=first, last=last)
        record_verification(lake, found, now().date(), first=first, last=last, now=now, entropy=entropy)
        problem = found.problems[0].message if found.problems else None
        return Verified(said_at(lake, found, first, last, now()), found.levels, len(found.problems), problem)

    if lake.find(SEALS) is None:
        return judge_period(lake, period, policy, None)
    return judge_period(lake, period, policy, verify_days(period.first, period.last), verify_days)


def judge_day(lake: Lake, day: date, policy: ReportPolicy, *, now: Clock, entropy: Entropy) -> Facts:
    """What is known of a day, verified now."""
    return judge_verified(lake, Period(day, day), policy, now=now, entropy=entropy)
