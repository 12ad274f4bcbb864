"""The monthly report through Dagster: made, and held back by a blocking check."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from audit_pipeline.components import specs
from audit_pipeline.components.compliance_report import REPORT_JOB
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import QUALITY_FINDINGS
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import load_policy
from tests.components.conftest import QUIET, YESTERDAY, land, metadata, run_job
from tests.reporting.test_audited import found

DAY = YESTERDAY.replace(day=1) - timedelta(days=1)
"""The last day of a month that is over: others have no report yet."""


@pytest.fixture
def project(project: Path) -> Path:
    """Summaries have tests of their own."""
    shutil.rmtree(project / "assets/privacy")
    return project


def make_report(definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return definitions.resolve_job_def(REPORT_JOB).execute_in_process(
            partition_key=DAY.replace(day=1).isoformat(), instance=instance, run_config=QUIET, raise_on_error=False
        )


def judge(project: Path, state: str, number: int) -> None:
    table = open_lake(load_policy(project, {}).places).open(QUALITY_FINDINGS)
    now = datetime.now(UTC)
    row = found("divergence_hidden", state, is_blocking=True, round=number)
    rows = pa.Table.from_pylist([{**row, "day": DAY, "judged_at": now}], schema=QUALITY_FINDINGS.schema)
    assert append_rows(table, f"quality/{DAY}", number - 1, rows, now, bytes([number] * 32))


def test_a_month_waits_for_a_blocking_check_and_is_made_once_it_is_waived(
    project: Path, definitions: dg.Definitions
) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n', DAY)
    assert run_job(definitions, DAY).success
    judge(project, "failed", 1)

    held = make_report(definitions)

    assert not held.success
    (failed,) = [event for event in held.all_events if event.is_step_failure]
    assert "the blocking check divergence_hidden of annotations failed; mend" in str(failed.step_failure_data.error)

    judge(project, "waived", 2)
    made = make_report(definitions)

    assert made.success
    said = metadata(made, "compliance_report")
    assert said[specs.NO_RELIANCE] == ""
    assert {path.name for path in Path(str(said[specs.PATH])).iterdir()} >= {"report.html", "report.json", "report.zip"}
