"""The instance of `deploy/dagster.yaml` on a PostgreSQL of its own: four processes at once, thirty days, one log."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.lake.logbook import read_log
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import init_project, load_policy
from audit_pipeline.verify import verify

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
DAYS = [datetime.now(UTC).date() - timedelta(days=n) for n in range(30, 0, -1)]
RUN = """\
import sys
from pathlib import Path

import dagster as dg

from audit_pipeline.definitions import build_definitions

job = build_definitions(Path(sys.argv[1])).resolve_job_def("daily_audit")
steps = ["ingest_day", "daily_merkle_root", "audit_trail", "inventory"]  # the test verifies all days, once
with dg.DagsterInstance.from_config(sys.argv[2]) as instance:
    for day in sys.argv[3:]:
        job.execute_in_process(partition_key=day, instance=instance, op_selection=steps)
"""
_SERVER = Path("/usr/lib/postgresql")  # where Debian keeps each version


def program(name: str) -> str:
    found = sorted(_SERVER.glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or name


@pytest.fixture
def postgres() -> Iterator[dict[str, str]]:
    """The variables that name a fresh server on loopback."""
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="audit-pg-"))
    if user:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    data = folder / "data"
    words = [program("initdb"), "-D", data, "-U", "dagster", "-A", "trust", "--no-sync"]
    subprocess.run(words, user=user, cwd=folder, check=True, capture_output=True)
    server = subprocess.Popen(
        [program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder, "-c", "fsync=off"],
        user=user,
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        while subprocess.run([program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", port], check=False).returncode:
            assert server.poll() is None
            time.sleep(0.1)
        yield {
            "AUDIT_PG_HOST": "127.0.0.1",
            "AUDIT_PG_PORT": port,
            "AUDIT_PG_DB": "postgres",
            "AUDIT_PG_USER": "dagster",
            "AUDIT_PG_PASSWORD": "none",
        }
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.needs("pg_isready", "postgresql")
def test_four_runs_at_once_over_thirty_days_make_one_log(
    tmp_path: Path, postgres: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    init_project(root)
    places = load_policy(root, {}).places
    make_keys(places.keys, "example.com/audit", os.urandom, None)
    for day in DAYS:
        landed = places.landing / "runs" / str(day) / "a.jsonl"
        landed.parent.mkdir(parents=True)
        landed.write_text(f'{{"day": "{day}"}}\n')
    places.dagster.mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", places.dagster)
    for name, value in postgres.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(places.dagster)):
        pass  # makes the tables, which several at once would not

    words = [sys.executable, "-c", RUN, root, places.dagster]
    runs = [subprocess.Popen([*words, *map(str, DAYS[n::4])], stderr=subprocess.PIPE) for n in range(4)]
    said = [run.communicate()[1].decode()[-2000:] for run in runs]

    assert [run.returncode for run in runs] == [0, 0, 0, 0], said
    lake = open_lake(places)
    log = read_log(lake.open(SEALS))
    assert {seal.day for seal in log} == set(DAYS)
    found = verify(lake)
    assert (found.problems, found.unsealed_records) == ((), 0)
    with dg.DagsterInstance.from_config(str(places.dagster)) as instance:
        ended = {record.dagster_run.status for record in instance.get_run_records()}
        assert ended == {dg.DagsterRunStatus.SUCCESS}
        assert len(instance.get_run_records()) == len(DAYS)
