"""The command line as users have it."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit_pipeline.cli import main
from audit_pipeline.policy import load_policy

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
"""Commands read the clock themselves, and a day after today is refused."""
HEAVY = ("dagster", "duckdb", "datafusion", "deltalake", "pyarrow", "pandas", "pydantic", "rich", "yaml", "numpy")

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `audit-pipeline` in `tmp_path`, or in a folder below it, with nothing in the environment."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME", "AUDIT_PROFILE", "AUDIT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str, folder: str = ".", **environ: str) -> Result:
        monkeypatch.chdir(tmp_path / folder)
        return CliRunner().invoke(main, arguments, env=environ)

    return call


@pytest.fixture
def project(command: Command, tmp_path: Path) -> Path:
    """A project with a key that keeps evidence alone: judging it takes seconds a run, and has tests of its own."""
    assert command("init", "project").exit_code == 0
    for name in ("quality", "privacy", "report"):
        shutil.rmtree(tmp_path / "project/assets" / name)
    return tmp_path / "project"


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A demo's home, and what the demo printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    return home, CliRunner().invoke(main, ["demo", "--home", str(home), "--records", "300"])


def evidence_files(root: Path) -> dict[str, bytes]:
    places = load_policy(root, {}).places
    folders = (places.lake, places.evidence, places.log, places.keys)
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def land(project: Path, name: str, content: bytes) -> Path:
    path = load_policy(project, {}).places.landing / "runs" / YESTERDAY.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
