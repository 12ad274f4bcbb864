"""The component PrivacySummaries: what is published about annotators' work, each window once, within its budget.

Nothing that an asset here tells Dagster depends on rows but through noise: what it shows is the published release.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from pydantic import BaseModel, Field

from audit_pipeline.components import specs
from audit_pipeline.components.charts import interval_chart
from audit_pipeline.components.opening import open_policy, utc_now
from audit_pipeline.errors import InputError, PolicyError
from audit_pipeline.ingest import system_entropy
from audit_pipeline.lake.declared import RELEASES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy, load_policy
from audit_pipeline.policy.models import parse_start
from audit_pipeline.policy.privacy import BudgetAttributes, PrivacySummariesAttributes, ReleaseAttributes
from audit_pipeline.privacy.mechanisms import OpenDpNoise, epsilon_at
from audit_pipeline.privacy.release import Plan, Release
from audit_pipeline.privacy.unit import CADENCES, PROTECTED_TABLE, Cadence, Window
from audit_pipeline.releasing import Released, due_revision, release_window
from audit_pipeline.releasing.due import due_releases
from audit_pipeline.releasing.state import BudgetState, read_budget

GROUP = "privacy"
CHECK = "budget_left"
SENSOR = "privacy_budget"
WARN_WINDOWS = 4
"""The check warns while the budget has room for fewer windows than this."""
EVERY = {"daily": "0 4 * * *", "weekly": "0 4 * * 1"}  # UTC, after the nightly run that ends the window
_SENSOR_SECONDS = 3600

NUMBERS = "audit/numbers"
CHART = "audit/chart"
PRICE = "audit/price"
MANIFEST = "audit/manifest"
BUDGET = "audit/budget"


class PrivacySummariesParams(BaseModel):
    """What `dg scaffold` may be told."""

    start: date | None = Field(default=None, description="First day, the same as that of RunLogs (default: today).")
    max_rows: int = Field(
        default=50, description="Rows of one annotator that count in a week: public, so not to be taken from the data."
    )


class PrivacySummariesScaffolder(dg.Scaffolder[PrivacySummariesParams]):
    """Writes a defs.yaml with one weekly release, of which 52 are a year's default budget."""

    @classmethod
    def get_scaffold_params(cls) -> type[PrivacySummariesParams]:
        return PrivacySummariesParams

    def scaffold(self, request: dg.ScaffoldRequest[PrivacySummariesParams]) -> None:
        start = request.params.start or utc_now().date()
        release = {
            "name": "annotator_summaries",
            "window": "weekly",
            "rho": 0.0096,
            "max_rows": request.params.max_rows,
            "max_windows": 52,
            "statistics": [
                {"name": "annotators", "statistic": "distinct_annotators", "share": "1/2"},
                {"name": "judgements", "statistic": "count", "share": "1/2"},
            ],
        }
        dg.scaffold_component(request, {"start": start.isoformat(), "budget": {"rho": 0.5}, "releases": [release]})


@dg.scaffold_with(PrivacySummariesScaffolder)
class PrivacySummaries(dg.Component, dg.Model, dg.Resolvable):
    """Publishes differentially private summaries of annotations, each window of each release once."""

    start: Annotated[
        date,
        dg.Resolver(lambda _, text: parse_start(text), model_field_type=str),
        Field(description="First day, the same as that of RunLogs."),
    ]
    budget: Annotated[BudgetAttributes, Field(description="What a calendar year may cost one annotator at most.")]
    annotator_kinds: Annotated[
        Sequence[str], Field(description="Values of annotator_kind that are people: human, unknown or both.")
    ] = ("human",)
    statuses: Annotated[Sequence[str], Field(description="Values of status that count as handed in.")] = (
        "submitted",
        "unknown",
    )
    releases: Annotated[Sequence[ReleaseAttributes], Field(description="What is published of which windows.")]

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """The spec of one of the assets. Override it to add owners, tags or a group; leave the key."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        plan = PrivacySummariesAttributes.model_validate(
            {name: getattr(self, name) for name in PrivacySummariesAttributes.model_fields}
        ).plan()
        root = context.project_root
        cadences = [cadence for cadence in CADENCES if any(one.cadence == cadence for one in plan.releases)]
        return dg.Definitions(
            assets=[self._asset(root, plan, release) for release in plan.releases],
            asset_checks=[_budget_left(root, plan, release) for release in plan.releases],
            jobs=[_job(plan, cadence) for cadence in cadences],
            schedules=[_schedule(root, plan, cadence) for cadence in cadences],
            sensors=[_sensor(root, plan)],
        )

    def _asset(self, root: Path, plan: Plan, release: Release) -> dg.AssetsDefinition:
        spec = dg.AssetSpec(
            release.name,
            group_name=GROUP,
            description=f"Public {release.cadence} summaries that protect annotators. One row of `releases` each.",
            deps=[PROTECTED_TABLE],
            partitions_def=partitions(self.start, release.cadence),
            kinds={"deltalake"},
        )

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=release.name, pool="audit_privacy")
        def summaries(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            policy, lake = open_policy(root)
            require_plan(policy, plan)
            window = Window(release.cadence, date.fromisoformat(context.partition_key))
            released = release_window(
                lake,
                release,
                window,
                plan.budget,
                today=utc_now().date(),
                now=utc_now,
                entropy=system_entropy,
                noise=OpenDpNoise(),
            )
            context.log.info(f"{release.name}, {window}: {'drawn' if released.is_new else 'as it was published'}")
            return dg.MaterializeResult(metadata=_release_metadata(lake, plan, released))

        return summaries


def partitions(start: date, cadence: Cadence) -> dg.PartitionsDefinition[str]:
    """One partition a window that is over; weeks start on Monday, the first one within `start`."""
    if cadence == "daily":
        return dg.DailyPartitionsDefinition(start_date=start.isoformat())
    return dg.WeeklyPartitionsDefinition(start_date=start.isoformat(), day_offset=1)


def require_plan(policy: Policy, plan: Plan) -> None:
    """Check that a component releases what its policy declares: reservations are made under the policy's budget.

    Raises:
        PolicyError: they differ.
    """
    if policy.summaries != plan:
        raise PolicyError(f"{policy.root}: the policy's PrivacySummaries and the component differ; make them the same")


def job_name(cadence: Cadence) -> str:
    return f"{cadence}_releases"


def _job(plan: Plan, cadence: Cadence) -> Any:
    names = [release.name for release in plan.releases if release.cadence == cadence]
    return dg.define_asset_job(
        job_name(cadence),
        dg.AssetSelection.assets(*names),
        description="Publish one window's summaries.",
        executor_def=dg.in_process_executor,
    )


def _schedule(root: Path, plan: Plan, cadence: Cadence) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{job_name(cadence)}_schedule",
        cron_schedule=EVERY[cadence],
        execution_timezone="UTC",
        job_name=job_name(cadence),
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        """Windows that are over, and revisions that are due, also those that earlier ticks missed."""
        today = context.scheduled_execution_time.astimezone(UTC).date()
        _, lake = open_policy(root)
        for release, window in due_releases(lake, plan, cadence, today):
            revision = due_revision(release, window, today)
            yield dg.RunRequest(
                run_key=f"{release.name} {window.first} {revision}",
                partition_key=window.first.isoformat(),
                asset_selection=[dg.AssetKey(release.name)],
            )

    return schedule


def _budget_left(root: Path, plan: Plan, release: Release) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=release.name,
        name=CHECK,
        description=f"The year's privacy budget has room for {WARN_WINDOWS} more windows.",
    )
    def budget_left() -> dg.AssetCheckResult:
        _, lake = open_policy(root)
        state = read_budget(lake, plan.budget, str(utc_now().year))
        passed, severity = judge_budget(state, release)
        return dg.AssetCheckResult(passed=passed, severity=severity, metadata=_budget_metadata(state))

    return budget_left


def _sensor(root: Path, plan: Plan) -> dg.SensorDefinition:
    @dg.sensor(name=SENSOR, minimum_interval_seconds=_SENSOR_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
    def privacy_budget(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Evaluates `budget_left` where nothing runs any more, when what is left has changed."""
        policy = load_policy(root, os.environ)
        try:
            _, lake = open_policy(root)
        except InputError as err:
            return dg.SkipReason(str(err))
        require_plan(policy, plan)
        state = read_budget(lake, plan.budget, str(utc_now().year))
        cursor = f"{state.period} {state.left}"
        if cursor == context.cursor:
            return dg.SkipReason(f"{state.period}: rho {float(state.left):.4g} of {float(state.budget):.4g} is left")
        return dg.SensorResult(cursor=cursor, asset_events=[_evaluation(state, release) for release in plan.releases])

    return privacy_budget


def _evaluation(state: BudgetState, release: Release) -> dg.AssetCheckEvaluation:
    passed, severity = judge_budget(state, release)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(release.name),
        check_name=CHECK,
        passed=passed,
        severity=severity,
        metadata=_budget_metadata(state),
    )


def judge_budget(state: BudgetState, release: Release) -> tuple[bool, dg.AssetCheckSeverity]:
    """Whether there is room enough, and how bad it is where there is not: without room for one window, an error."""
    windows = state.windows_left(release)
    severity = dg.AssetCheckSeverity.WARN if windows else dg.AssetCheckSeverity.ERROR
    return windows >= WARN_WINDOWS, severity


def _budget_metadata(state: BudgetState) -> Mapping[str, dg.MetadataValue]:
    return {
        BUDGET: specs.table_metadata(
            [
                {
                    "period": state.period,
                    "rho": f"{float(state.budget):.4g}",
                    "spent": f"{float(state.spent):.4g}",
                    "reserved": f"{float(state.reserved):.4g}",
                    "left": f"{float(state.left):.4g}",
                    "epsilon": f"{state.epsilon:.3g} at delta {state.delta:g}",
                }
            ]
        )
    }


def _release_metadata(lake: Lake, plan: Plan, released: Released) -> Mapping[str, dg.MetadataValue]:
    row = released.row
    numbers: Sequence[Mapping[str, Any]] = row["numbers"]
    manifest = canonical_json(row["manifest"])
    rho = Fraction(manifest["privacy_loss"]["privacy_parameters"]["rho"])
    return {
        NUMBERS: specs.table_metadata({name: _shown(value) for name, value in number.items()} for number in numbers),
        CHART: dg.MetadataValue.md(interval_chart(numbers)),
        PRICE: dg.MetadataValue.text(
            f"rho {float(rho):.4g} of {float(plan.budget.rho):.4g} a year "
            f"(epsilon {epsilon_at(rho, plan.budget.delta):.3g} at delta {plan.budget.delta:g})"
        ),
        MANIFEST: dg.MetadataValue.json(manifest),
        specs.IS_NEW: dg.MetadataValue.bool(released.is_new),
        specs.PATH: dg.MetadataValue.path(str(RELEASES.uri(lake.places))),
    }


def canonical_json(text: str) -> Any:
    from audit_pipeline.records.canonical import load_json

    return load_json(text)


def _shown(value: Any) -> Any:
    return f"{value:.5g}" if isinstance(value, float) else "" if value is None else value
