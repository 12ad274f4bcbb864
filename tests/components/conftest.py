"""A project with a key and a landed file, and its definitions."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.definitions import build_definitions
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.policy import init_project, load_policy

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
"""Assets read the clock themselves, and a day after today is refused."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy folder with a key; the environment says nothing."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME", "AUDIT_PROFILE", "AUDIT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    return make_project(tmp_path / "project")


def make_project(root: Path) -> Path:
    """A policy folder with key and landing zone, without data quality, which has tests of its own and takes seconds."""
    init_project(root)
    shutil.rmtree(root / "assets/quality")
    places = load_policy(root, {}).places
    make_keys(places.keys, "example.com/audit", os.urandom, None)
    places.landing.mkdir()
    return root


@pytest.fixture
def definitions(project: Path) -> dg.Definitions:
    return build_definitions(project)


def land(project: Path, name: str, content: bytes, day: date = YESTERDAY) -> Path:
    """Put a file into the landing zone of the stream `runs`."""
    path = load_policy(project, {}).places.landing / "runs" / day.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run_job(definitions: dg.Definitions, day: date = YESTERDAY, **arguments: object) -> dg.ExecuteInProcessResult:
    """Run `daily_audit` for one day in this process."""
    with dg.DagsterInstance.ephemeral() as instance:
        return definitions.resolve_job_def("daily_audit").execute_in_process(
            partition_key=day.isoformat(), instance=instance, run_config=QUIET, raise_on_error=False, **arguments
        )


def checks(finished: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check passed, by its name."""
    return {check.check_name: check.passed for check in finished.get_asset_check_evaluations()}


def metadata(finished: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    """Metadata of an asset's one materialization, as values."""
    events = [
        event.step_materialization_data.materialization
        for event in finished.all_events
        if event.is_step_materialization
    ]
    (found,) = [event for event in events if event.asset_key == dg.AssetKey(asset)]
    return {key: value.value for key, value in found.metadata.items()}
