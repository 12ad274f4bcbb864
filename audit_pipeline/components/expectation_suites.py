"""The component ExpectationSuites: native Great Expectations suites, each expectation a check on its table's asset."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import BaseModel, Field

from audit_pipeline.components import specs
from audit_pipeline.components.delta_suites import delta_checks
from audit_pipeline.components.expectation_checks import check_result, check_specs, findings_table
from audit_pipeline.components.opening import open_policy, partition_days, utc_now
from audit_pipeline.errors import PolicyError
from audit_pipeline.ingest import system_entropy
from audit_pipeline.judging import JudgedDay, judge_day, newest_judged_day, write_page
from audit_pipeline.lake.declared import EVENTS, QUALITY_FINDINGS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.policy.models import DeltaTableAttributes, ExpectationSuitesAttributes, parse_start
from audit_pipeline.policy.suites import SUITES_FOLDER, load_quality
from audit_pipeline.quality.findings import STATES
from audit_pipeline.quality.suites import Suite

FINDINGS_ASSET = QUALITY_FINDINGS.name
CHECKS_OP = "judge_event_tables"


class ExpectationSuitesParams(BaseModel):
    """What `dg scaffold` may be told."""

    start: date | None = Field(default=None, description="First day, the same as that of RunLogs (default: today).")


class ExpectationSuitesScaffolder(dg.Scaffolder[ExpectationSuitesParams]):
    """Writes a defs.yaml with the first day."""

    @classmethod
    def get_scaffold_params(cls) -> type[ExpectationSuitesParams]:
        return ExpectationSuitesParams

    def scaffold(self, request: dg.ScaffoldRequest[ExpectationSuitesParams]) -> None:
        start = request.params.start or utc_now().date()
        dg.scaffold_component(request, {"start": start.isoformat()})


@dg.scaffold_with(ExpectationSuitesScaffolder)
class ExpectationSuites(dg.Component, dg.Model, dg.Resolvable):
    """Judges tables by native Great Expectations suites, a partition at a time, each expectation a check.

    With `start`, the event tables of this lake, each day, and findings are kept in `quality_findings`. With `tables`,
    Delta tables of any Dagster project; then there are checks alone, and no lake is needed.
    """

    suites: Annotated[
        str, Field(default=SUITES_FOLDER, description="Folder with a suite for each table, <table>.json.")
    ] = SUITES_FOLDER
    start: Annotated[
        date | None,
        dg.Resolver(lambda _, text: text and parse_start(text), model_field_type=str | None),
        Field(default=None, description="First day, the same as that of RunLogs: judges this lake's event tables."),
    ] = None
    tables: Annotated[
        Mapping[str, DeltaTableAttributes] | None,
        Field(default=None, description="Delta tables of another project, by the names of their suites."),
    ] = None

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """The spec of the asset `quality_findings`. Override it to add owners, tags or a group; leave the key."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        tables = None if self.tables is None else dict(self.tables)
        said = ExpectationSuitesAttributes(suites=self.suites, start=self.start, tables=tables)
        root, folder = context.project_root, context.project_root / said.suites
        if said.tables is not None:
            return dg.Definitions(asset_checks=[delta_checks(root, folder, said.tables)])
        assert said.start is not None
        suites, _ = load_quality(folder)
        return dg.Definitions(
            assets=[self._findings(root, suites, said.start)],
            asset_checks=[_checks(root, said.suites, suites)],
        )

    def _findings(self, root: Path, suites: tuple[Suite, ...], start: date) -> dg.AssetsDefinition:
        text = "What must hold of the typed view, judged. One row per expectation and judgement of a day."
        spec = specs.table_spec(FINDINGS_ASSET, specs.QUALITY, start, text, list(EVENTS))

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=FINDINGS_ASSET)
        def findings(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            policy, lake = open_policy(root)
            (day,) = partition_days(context)
            judged = _judge(policy, lake, day, self.suites, suites)
            states = Counter(one.state for one in judged.findings)
            context.log.info(f"{day}: judgement {judged.round}, {dict(states)}")
            return dg.MaterializeResult(metadata=_metadata(lake, judged))

        return findings


def _checks(root: Path, folder: str, suites: tuple[Suite, ...]) -> dg.AssetChecksDefinition:
    assets = {name: dg.AssetKey(name) for name in EVENTS}

    @dg.multi_asset_check(specs=check_specs(suites, assets, [FINDINGS_ASSET]), name=CHECKS_OP, can_subset=True)
    def judge_event_tables(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        """The day's findings, judged before in the same run, or now where its rows or suites are others."""
        policy, lake = open_policy(root)
        # Dagster runs checks alone without a partition: then it is the newest day that was judged.
        (day,) = partition_days(context) or [newest_judged_day(lake)]
        judged = _judge(policy, lake, day, folder, suites)
        page = {specs.PAGE: dg.MetadataValue.path(str(lake.places.reports / judged.page))}
        for finding in judged.findings:
            key = dg.AssetCheckKey(assets[finding.table], finding.expectation.name)
            if key in context.selected_asset_check_keys:
                yield check_result(finding, key.asset_key, page)

    return judge_event_tables


def _judge(policy: Policy, lake: Lake, day: date, folder: str, declared: Iterable[Suite]) -> JudgedDay:
    """The day judged by the policy's suites as they are now: each seal carries the digest of these.

    Raises:
        PolicyError: they are not those that were loaded.
    """
    suites, waivers = load_quality(policy.root / folder)
    if [suite.names for suite in suites] != [suite.names for suite in declared]:
        raise PolicyError(
            f"{policy.root / folder}: not the expectations that were loaded; reload the code location, and in a "
            "project that is no policy folder make its suites the same"
        )
    judged = judge_day(lake, day, suites, waivers, now=utc_now, entropy=system_entropy)
    write_page(lake, judged)
    return judged


def _metadata(lake: Lake, judged: JudgedDay) -> Mapping[str, dg.MetadataValue]:
    states = Counter(one.state for one in judged.findings)
    return {
        **{f"audit/{state}": dg.MetadataValue.int(states[state]) for state in STATES},
        specs.FINDINGS: findings_table(judged.findings),
        specs.ROUND: dg.MetadataValue.int(judged.round),
        specs.IS_NEW: dg.MetadataValue.bool(judged.is_new),
        specs.PAGE: dg.MetadataValue.path(str(lake.places.reports / judged.page)),
        specs.PATH: dg.MetadataValue.path(str(QUALITY_FINDINGS.uri(lake.places))),
    }
