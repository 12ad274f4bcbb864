"""The built wheel works where nothing else of the project is."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without the network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_ships_the_package_and_the_policy_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"audit_pipeline"}
    assert "audit_pipeline/_bundle/assets/run_logs/defs.yaml" in names
    assert "audit_pipeline/_bundle/resources/local.yaml" in names


def test_init_run_and_verify_work_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    site = Path(
        subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(command, check=True, timeout=300)
    # The dependencies come from the environment of the tests, as a path alone: .pth files there are not read, so the
    # checkout is not importable.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith(("AUDIT_", "DAGSTER_HOME", "PYTHONPATH"))
    }

    def run(*arguments: str, cwd: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(home / "bin" / "audit-pipeline"), *arguments],
            cwd=cwd,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    origin = subprocess.check_output(
        [python, "-c", "import audit_pipeline; print(audit_pipeline.__file__)"], text=True, cwd=tmp_path, env=environ
    )
    assert origin.startswith(str(site))
    run("init", "project")
    landing = tmp_path / "project" / "audit-home" / "landing" / "runs" / "2026-03-05"
    landing.mkdir(parents=True)
    (landing / "a.jsonl").write_bytes(b'{"step":1}\n')
    run("run", "--date", "2026-03-05", cwd=tmp_path / "project")
    assert "the evidence holds" in run("verify", cwd=tmp_path / "project")
