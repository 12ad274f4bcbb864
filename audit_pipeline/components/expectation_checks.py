"""Expectations as Dagster checks: what a check is called, and what a finding shows of itself there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from audit_pipeline.components import specs
from audit_pipeline.quality.findings import Finding
from audit_pipeline.quality.suites import Expectation, Suite

SEVERITIES = {
    "critical": dg.AssetCheckSeverity.ERROR,
    "warning": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}
_REFERENCE_PARTS = ("source_id", "generation", "snapshot", "position")


def check_specs(
    suites: Iterable[Suite],
    assets: Mapping[str, dg.AssetKey],
    deps: Sequence[str] = (),
) -> list[dg.AssetCheckSpec]:
    """A check for each expectation, on the asset of its table.

    None blocks in Dagster's sense: assets that follow, such as the signed inventory, wait for no judgement.
    """
    return [
        dg.AssetCheckSpec(
            one.name,
            asset=assets[suite.table],
            description=one.description,
            additional_deps=deps,
            metadata={specs.EXPECTED: _expected(one)},
        )
        for suite in suites
        for one in suite.expectations
    ]


def check_result(
    finding: Finding, asset: dg.AssetKey, more: Mapping[str, dg.MetadataValue], *, is_event: bool = True
) -> dg.AssetCheckResult:
    """The finding as its check's evaluation. What is waived still fails, as a warning; what is not judged says so."""
    is_waived = finding.state == "waived"
    words = {"not_judged": "NOT JUDGED: ", "error": "ERROR: "}.get(finding.state, "")
    return dg.AssetCheckResult(
        passed=finding.state in ("passed", "not_judged"),
        asset_key=asset,
        check_name=finding.expectation.name,
        severity=dg.AssetCheckSeverity.WARN if is_waived else SEVERITIES[finding.expectation.severity],
        description=f"{words}{finding.reason or finding.observed}",
        metadata={
            specs.STATE: dg.MetadataValue.text(finding.state),
            specs.EXPECTED: _expected(finding.expectation),
            specs.OBSERVED: dg.MetadataValue.text(finding.observed),
            specs.RECORDS: dg.MetadataValue.int(finding.rows),
            **({} if finding.failing is None else {specs.FAILING: dg.MetadataValue.int(finding.failing)}),
            **({specs.FAILING_ROWS: _references(finding.sample, is_event)} if finding.sample else {}),
            **more,
        },
    )


def findings_table(findings: Iterable[Finding]) -> dg.TableMetadataValue:
    """The findings that a person should look at."""
    return specs.table_metadata(
        {
            "table": one.table,
            "expectation": one.expectation.name,
            "severity": one.expectation.severity,
            "state": one.state,
            "observed": one.observed,
            "failing": "" if one.failing is None else one.failing,
            "reason": one.reason,
        }
        for one in findings
        if one.state != "passed"
    )


def _expected(expectation: Expectation) -> dg.MetadataValue:
    said: dict[str, Any] = {"type": expectation.type, **expectation.kwargs}
    return dg.MetadataValue.json(said)


def _references(sample: Sequence[str], is_event: bool) -> dg.TableMetadataValue:
    if not is_event:
        return specs.table_metadata({"row": reference} for reference in sample)
    return specs.table_metadata(
        {**dict(zip(_REFERENCE_PARTS, one.split("-"), strict=False)), "event_id": one} for one in sample
    )
