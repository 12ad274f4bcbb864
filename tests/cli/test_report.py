"""report, and what status says of controls."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import QUALITY_FINDINGS
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import load_policy
from tests.cli.conftest import YESTERDAY, Command, evidence_files, land
from tests.reporting.test_audited import found


@pytest.fixture
def project(command: Command, tmp_path: Path) -> Path:
    """A project with a key whose days are judged by controls alone."""
    assert command("init", "project").exit_code == 0
    for name in ("quality", "privacy"):
        shutil.rmtree(tmp_path / "project/assets" / name)
    return tmp_path / "project"


def test_a_report_is_written_checked_and_shown_in_the_state(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")

    done = command("report", "--from", str(YESTERDAY), "--json", folder="project")

    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["counts"]["PASS"] == 3
    assert said["no_reliance"] is None
    bundle = Path(said["folder"]) / "report.zip"
    trust = project / "trust"
    trust.write_text(f"log {(load_policy(project, {}).places.log / 'vkey').read_text().strip()}\n")
    checked = command("check", str(bundle), "--trust", str(trust), folder="project")
    assert checked.exit_code == 0, checked.output
    state = json.loads(command("status", "--json", folder="project").stdout)["controls"]
    assert (state["pass"], state["fail"], state["not_evidenced"], state["failing"]) == (3, 0, 72, [])


def test_a_second_report_of_the_same_state_is_the_same_and_adds_nothing(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    first = command("report", "--from", str(YESTERDAY), "--format", "json", folder="project")
    before = evidence_files(project)

    again = command("report", "--from", str(YESTERDAY), "--format", "json", folder="project")

    assert again.stdout == first.stdout
    assert evidence_files(project) == before


def test_tampering_gives_the_notice_and_exit_code_1(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    (path,) = (load_policy(project, {}).places.lake / "restricted" / "records").rglob("runs/*/*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    done = command("report", "--from", str(YESTERDAY), folder="project")

    assert done.exit_code == 1
    assert "nothing can be relied on" in done.stderr


def test_a_blocking_check_holds_the_report_back_with_exit_code_1_and_its_cure(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    table = open_lake(load_policy(project, {}).places).open(QUALITY_FINDINGS)
    now = datetime.now(UTC)
    row = {**found("divergence_hidden", "failed", is_blocking=True), "day": YESTERDAY, "judged_at": now}
    append_rows(
        table, f"quality/{YESTERDAY}", 0, pa.Table.from_pylist([row], schema=QUALITY_FINDINGS.schema), now, bytes(32)
    )

    done = command("report", "--from", str(YESTERDAY), folder="project")

    assert done.exit_code == 1
    assert f"{YESTERDAY}: the blocking check divergence_hidden of annotations failed" in done.stderr
    assert "write a waiver" in done.stderr
    assert not list(project.rglob("report.json"))


def test_wrong_use_is_told_with_its_cure(command: Command, project: Path) -> None:
    format_ = command("report", "--from", "2026-03-05", "--format", "docx", folder="project")
    order = command("report", "--from", "2026-03-05", "--to", "2026-03-01", folder="project")

    assert (format_.exit_code, order.exit_code) == (2, 2)
    assert "expected one of html, json, oscal, card, pdf" in format_.stderr
    assert "--from is after --to" in order.stderr
