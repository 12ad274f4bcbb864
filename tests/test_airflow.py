"""The example DAG under a real Airflow 3, offline, in an environment of its own (`make airflow-test`)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit_pipeline.demo import flip_bit
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.policy import init_project, load_policy

EXAMPLE = Path(__file__).resolve().parents[1] / "deploy" / "airflow" / "daily_audit_dag.py"
DAY = "2026-03-05"


@pytest.fixture
def airflow() -> Path:
    """The `airflow` command beside the interpreter that AIRFLOW_PYTHON names."""
    if not (named := os.environ.get("AIRFLOW_PYTHON")):
        pytest.skip("AIRFLOW_PYTHON names no interpreter with Airflow: run `make airflow-test`")
    return Path(named).absolute().parent / "airflow"


def run_dag(airflow: Path, root: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """`airflow dags test` of the example with its paths set to ours."""
    dags = tmp_path / "dags"
    dags.mkdir(exist_ok=True)
    text = EXAMPLE.read_text().replace("/srv/audit/policy", str(root))
    ours = text.replace("/opt/audit/bin/audit-pipeline", str(Path(sys.executable).parent / "audit-pipeline"))
    (dags / EXAMPLE.name).write_text(ours)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIT_", "DAGSTER_"))}
    environ |= {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AUDIT_POLICY": str(root),
    }
    subprocess.run([airflow, "db", "migrate"], env=environ, check=True, capture_output=True)
    return subprocess.run(
        [airflow, "dags", "test", "daily_audit", DAY], env=environ, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_example_dag_seals_and_verifies_and_fails_where_evidence_does_not_hold(
    airflow: Path, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    init_project(root)
    places = load_policy(root, {}).places
    make_keys(places.keys, "example.com/audit", os.urandom, None)
    landed = places.landing / "runs" / DAY / "a.jsonl"
    landed.parent.mkdir(parents=True)
    landed.write_text('{"a": 1}\n')

    good = run_dag(airflow, root, tmp_path)

    assert good.returncode == 0, good.stdout[-3000:] + good.stderr[-3000:]
    assert "the evidence holds" in good.stdout + good.stderr
    assert (places.log / "checkpoint").exists()

    (data,) = (places.lake / "restricted/records/runs").rglob("*.parquet")
    flip_bit(data)

    bad = run_dag(airflow, root, tmp_path)

    assert "does not hold" in bad.stdout + bad.stderr
    assert bad.returncode != 0

    # A report is written of what does not hold as well, and says so by its exit code.
    done = in_airflow(airflow, "AuditReport(task_id='r', first=day, last=day, policy=policy, command=command)", root)

    assert done.endswith("AirflowFailException"), done
    assert list(places.reports.glob("*/*.html"))


def in_airflow(airflow: Path, operator: str, root: Path) -> str:
    """What an operator made in Airflow's own interpreter gives back when it is executed, or the exception's name."""
    program = f"""
from audit_pipeline.airflow import AuditOperator, AuditReport
day, policy, command = {DAY!r}, {str(root)!r}, {str(Path(sys.executable).parent / "audit-pipeline")!r}
try:
    print(({operator}).execute({{}}))
except Exception as err:
    print(type(err).__name__)
"""
    done = subprocess.run([airflow.parent / "python", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exit_code", "outcome"),
    [(0, "said"), (1, "AirflowFailException"), (2, "AirflowException"), (9, "AirflowException")],
)
def test_what_does_not_hold_is_not_tried_again_and_every_other_failure_is(
    airflow: Path, tmp_path: Path, exit_code: int, outcome: str
) -> None:
    arguments = f"['-c', 'echo said; exit {exit_code}']"

    done = in_airflow(
        airflow, f"AuditOperator(task_id='a', arguments={arguments}, policy=policy, command='sh')", tmp_path
    )

    assert done.splitlines()[-1] == outcome
