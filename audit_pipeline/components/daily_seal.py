"""The component DailySeal: each day is closed under one signed Merkle root."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import BaseModel, Field

from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.components import specs
from audit_pipeline.components.opening import key_passphrase, open_policy, partition_days, utc_now
from audit_pipeline.ingest import StreamCounts, system_entropy
from audit_pipeline.inventory import InventoryReport, take_inventory
from audit_pipeline.lake.declared import EVENTS, SEALS
from audit_pipeline.lake.inventories import inventory_name
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.policy.components import EXPECTATION_SUITES_TYPE, find_components
from audit_pipeline.policy.models import parse_start
from audit_pipeline.sealing import SealReport, seal_day
from audit_pipeline.verifications import record_verification
from audit_pipeline.verify import Verification
from audit_pipeline.verify.apart import verify_apart

SEAL_ASSET = "daily_merkle_root"
EVIDENCE_HOLDS = "evidence_holds"
VERIFY_OP = f"{SEAL_ASSET}_{EVIDENCE_HOLDS}"
AUDIT_TRAIL_ASSET = "audit_trail"
INVENTORY_ASSET = "inventory"
AUDIT_ASSETS: Mapping[str, Sequence[str]] = {EXPECTATION_SUITES_TYPE: ("quality_findings",)}
"""By type of component: the assets it makes that write audit tables."""


class VerifyConfig(dg.Config):
    """The days that a verification without a partition looks at; an end that is not given is open."""

    first: str | None = Field(default=None, description="First day, such as 2026-03-01.")
    last: str | None = Field(default=None, description="Last day.")


class DailySealParams(BaseModel):
    """What `dg scaffold` may be told."""

    start: date | None = Field(default=None, description="First day, the same as that of RunLogs (default: today).")


class DailySealScaffolder(dg.Scaffolder[DailySealParams]):
    """Writes a defs.yaml with the first day."""

    @classmethod
    def get_scaffold_params(cls) -> type[DailySealParams]:
        return DailySealParams

    def scaffold(self, request: dg.ScaffoldRequest[DailySealParams]) -> None:
        start = request.params.start or utc_now().date()
        dg.scaffold_component(request, {"start": start.isoformat()})


@dg.scaffold_with(DailySealScaffolder)
class DailySeal(dg.Component, dg.Model, dg.Resolvable):
    """Seals each day: everything taken in of it so far goes under one root, one entry of the log, one checkpoint.

    A seal waits for the records alone, never for the typed view or for quality: bad data is sealed too.
    """

    start: Annotated[
        date,
        dg.Resolver(lambda _, text: parse_start(text), model_field_type=str),
        Field(description="First day, the same as that of RunLogs."),
    ]

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """The spec of the asset. Override it to add owners, tags or a group; leave the key."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        root = context.project_root
        return dg.Definitions(
            assets=[self._seal(root), self._audit_trail(root), self._inventory(root)],
            asset_checks=[_evidence_holds(root)],
        )

    def _seal(self, root: Path) -> dg.AssetsDefinition:
        text = "The signed Merkle root of each day, in the public log. One seal per day, and one for each late arrival."
        spec = specs.table_spec(SEAL_ASSET, specs.EVIDENCE, self.start, text, ["records", "sources"])

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=SEAL_ASSET, pool="audit_seal")
        def seal(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            policy, lake = open_policy(root)
            (day,) = partition_days(context)
            audited = take_in_audit_rows(lake, day, now=utc_now, entropy=system_entropy)
            report = _seal_day(lake, policy, day, {**data_files_written(context), **_data_files(audited)})
            for warning in report.warnings:
                context.log.warning(warning)
            take_inventory(lake, passphrase=key_passphrase(), checked=report.checked)
            context.log.info(f"{day}: {'sealed' if report.is_new else 'unchanged'}, log size {report.log_size}")
            return dg.MaterializeResult(metadata=_seal_metadata(lake, report))

        return seal

    def _audit_trail(self, root: Path) -> dg.AssetsDefinition:
        text = "What this pipeline wrote about the day, sealed as the day's next segment: findings, releases, reports."
        spec = dg.AssetSpec(
            AUDIT_TRAIL_ASSET,
            group_name=specs.EVIDENCE,
            description=text,
            deps=[SEAL_ASSET, *audit_assets(root)],
            partitions_def=specs.daily(self.start),
        )

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=AUDIT_TRAIL_ASSET, pool="audit_seal")
        def audit_trail(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            policy, lake = open_policy(root)
            (day,) = partition_days(context)
            audited = take_in_audit_rows(lake, day, now=utc_now, entropy=system_entropy)
            if audited is None:
                return dg.MaterializeResult(metadata={specs.IS_NEW: dg.MetadataValue.bool(False)})
            return dg.MaterializeResult(metadata=_seal_metadata(lake, _seal_day(lake, policy, day, audited.data_files)))

        return audit_trail

    def _inventory(self, root: Path) -> dg.AssetsDefinition:
        text = "The signed list of every stored file: size and SHA-256, of the typed view too. One entry per file."
        spec = dg.AssetSpec(
            INVENTORY_ASSET,
            group_name=specs.EVIDENCE,
            description=text,
            deps=[SEAL_ASSET, AUDIT_TRAIL_ASSET, *EVENTS],
            partitions_def=specs.daily(self.start),
        )

        @dg.multi_asset(specs=[self.get_asset_spec(spec)], name=INVENTORY_ASSET, pool="audit_seal")
        def inventory(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            _, lake = open_policy(root)
            report = take_inventory(lake, passphrase=key_passphrase())
            return dg.MaterializeResult(metadata=_inventory_metadata(lake, report))

        return inventory


def audit_assets(root: Path) -> list[str]:
    """The assets of the policy `root` that write audit tables: the day's closing seal waits for them."""
    return [name for kind, names in AUDIT_ASSETS.items() if find_components(root, kind) for name in names]


def _seal_day(lake: Lake, policy: Policy, day: date, written: Mapping[str, str]) -> SealReport:
    return seal_day(
        lake,
        day,
        policy_digest=policy.digest,
        passphrase=key_passphrase(),
        today=utc_now().date(),
        now=utc_now,
        entropy=system_entropy,
        written=written,
        attesters=policy.attesters,
    )


def _data_files(audited: StreamCounts | None) -> Mapping[str, str]:
    return {} if audited is None else audited.data_files


def data_files_written(context: dg.AssetExecutionContext) -> Mapping[str, str]:
    """The data files that the day's newest materialisation of `records` says it wrote."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey("records"), asset_partitions=[context.partition_key])
    (newest,) = context.instance.fetch_materializations(wanted, limit=1).records or (None,)
    materialization = newest and newest.asset_materialization
    said = materialization and materialization.metadata.get(specs.DATA_FILES)
    return said.value if isinstance(said, dg.JsonMetadataValue) and isinstance(said.value, dict) else {}


def _evidence_holds(root: Path) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=SEAL_ASSET,
        name=EVIDENCE_HOLDS,
        description="Stored rows, trees and the log agree, as `verify` finds them.",
    )
    def evidence_holds(context: dg.AssetCheckExecutionContext, config: VerifyConfig) -> dg.AssetCheckResult:
        _, lake = open_policy(root)
        first, last = (date.fromisoformat(day) if day else None for day in (config.first, config.last))
        if days := partition_days(context):
            first, last = min(days), max(days)
        found = verify_apart(lake, first=first, last=last, with_copies=(first, last) != (None, None))
        day = last or utc_now().date()
        record_verification(lake, found, day, first=first, last=last, now=utc_now, entropy=system_entropy)
        return dg.AssetCheckResult(
            passed=not found.problems,
            severity=dg.AssetCheckSeverity.ERROR,
            description=_first_problem(found),
            metadata=_verification_metadata(found),
        )

    return evidence_holds


def _first_problem(found: Verification) -> str | None:
    """What a reader is told at once; all of them are in the metadata."""
    if not found.problems:
        return None
    more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
    return f"{found.problems[0].table}: {found.problems[0].message}{more}"


def _seal_metadata(lake: Lake, report: SealReport) -> Mapping[str, dg.MetadataValue]:
    return {
        specs.DAY_ROOT: dg.MetadataValue.text(report.root),
        specs.RECORDS: dg.MetadataValue.int(report.records),
        specs.SEGMENT: dg.MetadataValue.int(report.segment),
        specs.LOG_INDEX: dg.MetadataValue.int(report.index),
        specs.LOG_SIZE: dg.MetadataValue.int(report.log_size),
        specs.IS_NEW: dg.MetadataValue.bool(report.is_new),
        specs.CHECKPOINT: dg.MetadataValue.md(f"```\n{report.checkpoint}\n```"),
        specs.PATH: dg.MetadataValue.path(str(SEALS.uri(lake.places))),
        **({specs.WARNINGS: dg.MetadataValue.text("; ".join(report.warnings))} if report.warnings else {}),
    }


def _inventory_metadata(lake: Lake, report: InventoryReport | None) -> Mapping[str, dg.MetadataValue]:
    if report is None:
        return {}
    return {
        specs.INVENTORY: dg.MetadataValue.int(report.number),
        specs.INVENTORY_DIGEST: dg.MetadataValue.text(report.digest),
        specs.FILES_ADDED: dg.MetadataValue.int(report.files_added),
        specs.PATH: dg.MetadataValue.path(str(lake.evidence.path(inventory_name(report.number)))),
    }


def _verification_metadata(found: Verification) -> Mapping[str, dg.MetadataValue]:
    return {
        specs.LEVELS: dg.MetadataValue.text(", ".join(found.levels)),
        specs.NOTES: dg.MetadataValue.text("; ".join(found.notes)),
        specs.PROBLEMS: specs.table_metadata(
            {"table": p.table, "day": p.day, "source": p.source, "position": p.position, "message": p.message}
            for p in found.problems
        ),
        specs.FILES: dg.MetadataValue.int(found.files),
        specs.RECORDS: dg.MetadataValue.int(found.records),
        specs.LOG_SIZE: dg.MetadataValue.int(found.log_size),
    }
