"""`AUDIT_PROFILE` and the environment of a cloud are all that a project needs to work there."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit_pipeline.cli import main
from audit_pipeline.lake.stores import open_store
from audit_pipeline.policy import load_policy
from tests.stores.lakes import make_bucket
from tests.stores.servers import Server

DAY = date(2026, 11, 2)
BUCKETS = ("landing", "audit", "log", "marks")


@pytest.fixture
def project(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose `aws` profile has buckets of its own on the server."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUDIT_PROFILE", "aws")
    unique = f"p{abs(hash(tmp_path)):x}"
    for name in BUCKETS:
        make_bucket(server, f"{unique}-{name}")
    monkeypatch.setenv("AUDIT_KEY_PASSPHRASE", "of this test")
    monkeypatch.setenv("AUDIT_PROFILE", "local")
    assert CliRunner().invoke(main, ["init", str(tmp_path / "project")]).exit_code == 0
    for name in ("quality", "privacy", "report"):  # a day of before is judged late; they have tests of their own
        shutil.rmtree(tmp_path / "project/assets" / name)
    monkeypatch.setenv("AUDIT_PROFILE", "aws")
    profile = tmp_path / "project/resources/aws.yaml"
    region, endpoint = 'region: "eu-central-1"', f'region: "us-east-1"\n    endpoint: "{server.endpoint(server.port)}"'
    profile.write_text(profile.read_text().replace("change-me", unique).replace(region, endpoint))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_the_daily_job_and_the_commands_work_on_s3_as_the_profile_says(project: Path, server: Server) -> None:
    places = load_policy(project, {"AUDIT_PROFILE": "aws"}).places
    open_store(places.landing).put_new(f"runs/{DAY}/a.jsonl", b'{"step":1,"loss":0.5}\n{"step":2,"loss":0.25}\n')

    ran = command("run", "--date", str(DAY))
    assert ran.exit_code == 0, ran.output
    verified = command("verify", "--json")
    assert json.loads(verified.output)["holds"], verified.output
    asked = command("query", "SELECT sum(records)::INT AS n FROM sources WHERE stream = 'runs'", "--json")
    assert json.loads(asked.output.splitlines()[0]) == {"n": 2}
    state = json.loads(command("status", "--json").output)
    assert state["ingest"]["lake_bytes"] > 0
    assert state["places"]["lake"].startswith("s3://")
    proved = command("prove", "--file", f"{places.landing}/runs/{DAY}/a.jsonl", "--line", "2", "-o", "line.bundle")
    assert proved.exit_code == 0, proved.output
    dry = command("run", "--dry-run")
    assert "a.jsonl" in dry.output
