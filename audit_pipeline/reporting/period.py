"""A period verified and judged, by what the policy says of reports."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from audit_pipeline.errors import PolicyError
from audit_pipeline.lake.declared import SEALS, VERIFICATIONS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy.loading import REPORT_TYPE, only_component
from audit_pipeline.policy.models import ComplianceReportAttributes
from audit_pipeline.report.catalogue import extend, load_catalogue
from audit_pipeline.report.facts import Facts, Period, Verified
from audit_pipeline.reporting.judged import ReportPolicy, judge_period
from audit_pipeline.reporting.reading import day_evidence, read_log_if_any
from audit_pipeline.reporting.recorded import Clock, Entropy
from audit_pipeline.verifications import record_verification
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
    """What is known of a period, verified now: that its days once held says nothing of what was done to them since."""
    if lake.find(SEALS) is None:
        return judge_period(lake, period, policy, None)
    first, last = period.first, period.last
    found = verifying(lake, first=first, last=last)
    record_verification(lake, found, now().date(), first=first, last=last, now=now, entropy=entropy)
    return judge_period(lake, period, policy, newest_verification(lake, period))


def judge_day(lake: Lake, day: date, policy: ReportPolicy, *, now: Clock, entropy: Entropy) -> Facts:
    """What is known of a day, by the run's own verification where it made one after the day's last seal."""
    period = Period(day, day)
    log = read_log_if_any(lake)
    newest = newest_verification(lake, period)
    if log is None or newest is None or day_evidence(lake, log.seals, [day])[day].verified_at != newest.at:
        return judge_verified(lake, period, policy, now=now, entropy=entropy)
    return judge_period(lake, period, policy, newest)


def newest_verification(lake: Lake, period: Period) -> Verified | None:
    """The newest of just these days. What finds the same again is no newer one, so facts stay as they are."""
    table = lake.find(VERIFICATIONS)
    if table is None:
        return None
    rows = table.read(["first_day", "last_day", "verified_at", "levels", "problems", "problem"]).to_pylist()
    of_period = [row for row in rows if (row["first_day"], row["last_day"]) == (period.first, period.last)]
    newest = max(of_period, key=lambda row: row["verified_at"], default=None)
    if newest is None:
        return None
    return Verified(newest["verified_at"], tuple(newest["levels"].split()), newest["problems"], newest["problem"])
