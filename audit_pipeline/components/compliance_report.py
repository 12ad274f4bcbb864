"""The component ComplianceReport: controls judged each day on sealed rows, a report each month."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, Field

from audit_pipeline.components import specs
from audit_pipeline.components.opening import key_passphrase, open_policy, partition_days, utc_now
from audit_pipeline.ingest import system_entropy
from audit_pipeline.lake.declared import CONTROL_FINDINGS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy.models import ComplianceReportAttributes, parse_start
from audit_pipeline.report.catalogue import Control
from audit_pipeline.report.facts import FAIL, NOT_EVIDENCED, Facts, Finding, Period
from audit_pipeline.reporting.making import FORMATS, MadeReport, make_report
from audit_pipeline.reporting.period import judge_day, judge_verified, policy_of
from audit_pipeline.reporting.recorded import record_findings
from audit_pipeline.signers import signer_in_force

FINDINGS_ASSET = CONTROL_FINDINGS.name
REPORT_ASSET = "compliance_report"
REPORT_JOB = "monthly_report"
REPORT_SCHEDULE = "monthly_report_schedule"
ON_THE_SECOND = "0 4 2 * *"  # UTC: the last day of the month before is sealed by then
_DEFAULT_FORMATS = ("html", "json", "oscal", "card")


class ComplianceReportParams(BaseModel):
    """What `dg scaffold` may be told."""

    start: date | None = Field(default=None, description="First day, the same as that of RunLogs (default: today).")


class ComplianceReportScaffolder(dg.Scaffolder[ComplianceReportParams]):
    """Writes a defs.yaml with the first day."""

    @classmethod
    def get_scaffold_params(cls) -> type[ComplianceReportParams]:
        return ComplianceReportParams

    def scaffold(self, request: dg.ScaffoldRequest[ComplianceReportParams]) -> None:
        start = request.params.start or utc_now().date()
        dg.scaffold_component(request, {"start": start.isoformat()})


class ReportConfig(dg.Config):
    """What one run may be told, in the Launchpad."""

    formats: list[str] = Field(default=list(_DEFAULT_FORMATS), description=f"Of {', '.join(FORMATS)}.")


@dg.scaffold_with(ComplianceReportScaffolder)
class ComplianceReport(dg.Component, dg.Model, dg.Resolvable):
    """Judges every control of the catalogue on what is sealed and verified: daily as asset checks, monthly as a report.

    Findings wait for the next seal, as verifications do: a day's closing seal comes before what is said of it.
    """

    start: Annotated[
        date,
        dg.Resolver(lambda _, text: parse_start(text), model_field_type=str),
        Field(description="First day, the same as that of RunLogs."),
    ]
    title: Annotated[str, Field(default="RLHF records", description="What stands on the cover.")] = "RLHF records"
    registers: Annotated[str, Field(description="The stream of registers.")] = "registers"
    controls: Annotated[
        Sequence[dict[str, Any]], Field(description="Controls of your own, in the catalogue's form.")
    ] = ()
    thresholds: Annotated[
        dict[str, dict[str, float]], Field(description="Thresholds by control, in place of the catalogue's.")
    ] = Field(default_factory=dict)

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """The spec of one of the assets. Override it to add owners, tags or a group; leave the key."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        root = context.project_root
        said = ComplianceReportAttributes(
            start=self.start,
            title=self.title,
            registers=self.registers,
            controls=tuple(Control.model_validate(one) for one in self.controls),
            thresholds=self.thresholds,
        )
        report = self._report(root, said)
        made = dg.Definitions(assets=[self._findings(root, said), report])
        return dg.Definitions.merge(made, _monthly())

    def _findings(self, root: Path, said: ComplianceReportAttributes) -> dg.AssetsDefinition:
        policy = policy_of(said)
        text = "What the sealed rows of the day say of each control. One row per control and judgement."
        spec = specs.table_spec(FINDINGS_ASSET, specs.REPORT, self.start, text, ["audit_trail", "inventory"])
        checks = [
            dg.AssetCheckSpec(check_name(control), asset=FINDINGS_ASSET, description=control.requirement)
            for control in policy.catalogue.controls
        ]

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], check_specs=checks, name=FINDINGS_ASSET)
        def findings(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
            _, lake = open_policy(root)
            (day,) = partition_days(context)
            facts = judge_day(lake, day, policy, now=utc_now, entropy=system_entropy)
            is_new = record_findings(lake, facts, day, now=utc_now, entropy=system_entropy)
            context.log.info(f"{day}: {dict(facts.counts())}, {'recorded' if is_new else 'unchanged'}")
            results = [_check_result(finding) for finding in facts.findings]
            yield dg.MaterializeResult(metadata=_findings_metadata(lake, facts), check_results=results)

        return findings

    def _report(self, root: Path, said: ComplianceReportAttributes) -> dg.AssetsDefinition:
        policy = policy_of(said)
        months = dg.MonthlyPartitionsDefinition(start_date=self.start.replace(day=1).isoformat())
        text = "The month's report: HTML, JSON, OSCAL, a model card, and the bundle that is checked offline."
        spec = dg.AssetSpec(
            REPORT_ASSET, group_name=specs.REPORT, description=text, partitions_def=months, deps=[FINDINGS_ASSET]
        )

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=REPORT_ASSET)
        def report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
            _, lake = open_policy(root)
            period = month_of(date.fromisoformat(context.partition_key))
            today = utc_now().date()
            signer = signer_in_force(lake, key_passphrase())
            facts = judge_verified(lake, period, policy, now=utc_now, entropy=system_entropy)
            record_findings(lake, facts, today, now=utc_now, entropy=system_entropy)
            made = make_report(lake, facts, config.formats, signer, today, now=utc_now, entropy=system_entropy)
            return dg.MaterializeResult(metadata=_report_metadata(lake, facts, made))

        return report


def month_of(first: date) -> Period:
    """The month that begins on `first`."""
    return Period(first, (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1))


def check_name(control: Control) -> str:
    """Dagster's names have no dashes."""
    return control.id.lower().replace("-", "_")


def _monthly() -> dg.Definitions:
    """The job that makes a month's report, and its schedule."""
    job = dg.define_asset_job(
        REPORT_JOB,
        dg.AssetSelection.assets(REPORT_ASSET),
        description="Verify a month, judge its controls, make its report.",
        executor_def=dg.in_process_executor,
    )

    @dg.schedule(name=REPORT_SCHEDULE, cron_schedule=ON_THE_SECOND, execution_timezone="UTC", job=job)
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """The month that has ended."""
        ended = context.scheduled_execution_time.date().replace(day=1) - timedelta(days=1)
        month = ended.replace(day=1).isoformat()
        return dg.RunRequest(run_key=f"report {month}", partition_key=month)

    return dg.Definitions(jobs=[job], schedules=[schedule])


def _check_result(finding: Finding) -> dg.AssetCheckResult:
    """FAIL is an error, and NOT_EVIDENCED a warning; what does not apply passes, and says so."""
    severity = dg.AssetCheckSeverity.ERROR if finding.status == FAIL else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=check_name(finding.control),
        passed=finding.status not in (FAIL, NOT_EVIDENCED),
        severity=severity,
        metadata={
            specs.STATUS: dg.MetadataValue.text(finding.status),
            specs.DETAIL: dg.MetadataValue.text(finding.detail or finding.control.pass_means),
            specs.CANNOT_SHOW: dg.MetadataValue.text(finding.control.cannot_show),
            specs.EXAMINED: dg.MetadataValue.int(finding.n),
            specs.VIOLATIONS: dg.MetadataValue.int(finding.violations),
            specs.IS_EARLY: dg.MetadataValue.bool(finding.is_early),
        },
    )


def _findings_metadata(lake: Lake, facts: Facts) -> Mapping[str, dg.MetadataValue]:
    rows = ({"status": status, "controls": number} for status, number in facts.counts().items())
    return {
        specs.STATUSES: specs.table_metadata(rows),
        specs.LOG_SIZE: dg.MetadataValue.int(facts.log_size),
        specs.NO_RELIANCE: dg.MetadataValue.text(facts.no_reliance or ""),
        specs.PATH: dg.MetadataValue.path(str(CONTROL_FINDINGS.uri(lake.places))),
    }


def _report_metadata(lake: Lake, facts: Facts, made: MadeReport) -> Mapping[str, dg.MetadataValue]:
    return {
        **_findings_metadata(lake, facts),
        specs.PATH: dg.MetadataValue.path(str(lake.places.reports / made.report_id)),
        specs.DIGESTS: specs.table_metadata({"file": name, "sha256": digest} for name, digest in made.files.items()),
        specs.IS_NEW: dg.MetadataValue.bool(made.is_new),
    }
