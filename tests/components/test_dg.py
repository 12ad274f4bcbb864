"""What `dg` makes of our components: in this repository, and in a project that only has the package installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
PYPROJECT = """\
[project]
name = "other"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "other"
"""
DEFINITIONS = """\
from pathlib import Path
import dagster as dg

@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
ENTRY_POINTS = "[dagster_dg_cli.registry_modules]\naudit_pipeline = audit_pipeline.components\n"


def run_dg(*arguments: str, folder: Path, python_path: list[Path], home: Path) -> str:
    """Standard output of `dg`, which must succeed."""
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AUDIT_")}
    environ |= {"PYTHONPATH": os.pathsep.join(map(str, python_path)), "DAGSTER_HOME": str(home)}
    scripts = Path(sys.executable).parent
    environ["PATH"] = f"{scripts}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        [str(scripts / "dg"), *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def other_project(tmp_path: Path) -> Path:
    """A project as dg makes one, beside an installed distribution of ours that has the entry point."""
    package = tmp_path / "other" / "src" / "other"
    (package / "defs").mkdir(parents=True)
    (tmp_path / "other" / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    installed = tmp_path / "installed" / "rlhf_audit_pipeline-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: rlhf-audit-pipeline\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path / "other"


def test_dg_checks_and_lists_this_repository(tmp_path: Path) -> None:
    arguments = {"folder": REPOSITORY, "python_path": [REPOSITORY], "home": tmp_path}

    run_dg("check", "defs", **arguments)  # type: ignore[arg-type]  # checks the YAML, too
    listed = json.loads(run_dg("list", "defs", "--json", **arguments))  # type: ignore[arg-type]

    jobs = {"daily_audit", "daily_closing", "weekly_releases", "monthly_report", "verify_evidence"}
    assert {job["name"] for job in listed["jobs"]} == jobs
    assert len(listed["assets"]) == 17


def test_another_project_scaffolds_our_components_and_loads_their_assets(other_project: Path, tmp_path: Path) -> None:
    python_path = [REPOSITORY, other_project.parent / "installed", other_project / "src"]
    arguments = {"folder": other_project, "python_path": python_path, "home": tmp_path}
    run_logs = ["scaffold", "defs", "audit_pipeline.components.RunLogs", "logs", "--stream", "votes"]

    run_dg(*run_logs, "--start", "2026-02-01", **arguments)  # type: ignore[arg-type]
    run_dg("scaffold", "defs", "audit_pipeline.components.DailySeal", "seal", **arguments)  # type: ignore[arg-type]
    run_dg("scaffold", "defs", "audit_pipeline.components.ComplianceReport", "report", **arguments)  # type: ignore[arg-type]

    written = yaml.safe_load((other_project / "src/other/defs/logs/defs.yaml").read_text())
    assert written["attributes"] == {
        "start": "2026-02-01",
        "streams": [{"name": "votes", "path": "votes/{date}/**"}],
    }
    listed = json.loads(run_dg("list", "defs", "--json", **arguments))  # type: ignore[arg-type]
    assert {asset["asset_key"] for asset in listed["assets"]} == {
        "records",
        "sources",
        "daily_merkle_root",
        "audit_trail",
        "inventory",
        "control_findings",
        "compliance_report",
        "runs",
        "annotations",
        "generations",
        "reward_scores",
        "training_metrics",
        "policy_updates",
        "model_checkpoints",
        "log_findings",
    }
    checks = {check["name"] for check in listed["asset_checks"]}
    assert checks >= {"nothing_lost", "evidence_holds", "int_01", "gdpr_17_01"}
    assert len(checks) == 2 + 75


def test_another_project_scaffolds_suites_and_summaries(other_project: Path, tmp_path: Path) -> None:
    python_path = [REPOSITORY, other_project.parent / "installed", other_project / "src"]
    arguments = {"folder": other_project, "python_path": python_path, "home": tmp_path}
    suite = {"name": "annotations", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "day"}}]}
    (other_project / "expectations").mkdir()
    (other_project / "expectations" / "annotations.json").write_text(json.dumps(suite))
    summaries = ["scaffold", "defs", "audit_pipeline.components.PrivacySummaries", "summaries", "--max-rows", "20"]
    quality = ["scaffold", "defs", "audit_pipeline.components.ExpectationSuites", "quality"]

    run_dg(*summaries, "--start", "2026-02-01", **arguments)  # type: ignore[arg-type]
    run_dg(*quality, "--start", "2026-02-01", **arguments)  # type: ignore[arg-type]

    (release,) = yaml.safe_load((other_project / "src/other/defs/summaries/defs.yaml").read_text())["attributes"][
        "releases"
    ]
    assert (release["max_rows"], release["max_windows"]) == (20, 52)
    listed = json.loads(run_dg("list", "defs", "--json", **arguments))  # type: ignore[arg-type]
    assert {asset["asset_key"] for asset in listed["assets"]} >= {"annotator_summaries", "quality_findings"}
    assert {check["name"] for check in listed["asset_checks"]} == {"budget_left", "column_to_exist_day"}
    assert {job["name"] for job in listed["jobs"]} == {"weekly_releases"}
