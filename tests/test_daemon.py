"""End to end under `dagster dev`, its daemon included: what is planted arrives as a message."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from audit_pipeline.cli.jobs import prepare_instance, run_days
from audit_pipeline.demo import flip_bit
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.policy import init_project, load_policy
from tests.channels.conftest import Receiver, receiving

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
CHANNELS = """\
    interval_s: 5
  channels: [{name: hook, kind: webhook, url_env: HOOK_URL, secret_env: HOOK_SECRET}]
  routes: {critical: [hook], error: [hook], warning: [hook]}
"""
_LONGEST_S = 600  # of a wait for something that comes after seconds on a quiet machine


@contextmanager
def dagster_dev(root: Path, environ: dict[str, str]) -> Iterator[None]:
    """Webserver, daemon and code server on the project; ended, all of them, at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with (root / "dev.log").open("wb") as log:
        dev = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(dev.pid, signal.SIGINT)
            try:
                dev.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(dev.pid, signal.SIGKILL)
                dev.wait()


def wait_for(what: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + _LONGEST_S
    while not what():
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.5)


def kinds(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [
        (body["type"].rpartition(".")[2], body["data"]["kind"], body["data"]["severity"]) for body in receiver.posted
    ]


@pytest.mark.slow
def test_a_flipped_byte_turns_the_check_red_and_the_alert_arrives_and_so_does_a_failing_sensor(tmp_path: Path) -> None:
    root = tmp_path / "project"
    init_project(root)
    file = root / "assets/alerts/defs.yaml"
    file.write_text(file.read_text().replace("  watch:\n", "  watch:\n" + CHANNELS.splitlines(keepends=True)[0], 1))
    file.write_text(file.read_text() + "".join(CHANNELS.splitlines(keepends=True)[1:]))
    places = load_policy(root, {}).places
    make_keys(places.keys, "example.com/audit", os.urandom, None)
    landed = places.landing / "runs" / str(YESTERDAY) / "a.jsonl"
    landed.parent.mkdir(parents=True)
    landed.write_bytes(b'{"a": 1}\n')
    prepare_instance(places.dagster)
    assert not [day for done in run_days(root, places.dagster, [YESTERDAY]) for day in done.failures]
    (data,) = (places.lake / "restricted/records/runs").rglob("*.parquet")
    flip_bit(data)

    with receiving() as receiver:
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AUDIT_")},
            "DAGSTER_HOME": str(places.dagster),
            "AUDIT_POLICY": str(root),
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "600",  # of a busy machine: a launch that times out is a fault of its own
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "600",
            "HOOK_URL": receiver.url,
            "HOOK_SECRET": "secret",
        }
        with dagster_dev(root, environ):
            launch = ["-m", "dagster", "job", "launch", "-w", "workspace.yaml", "-j", "verify_evidence"]
            subprocess.run([sys.executable, *launch], cwd=root, env=environ, check=True, capture_output=True)
            wait_for(lambda: receiver.bodies, root / "dev.log")
            assert kinds(receiver) == [("raised", "verification_failed", "critical")]

            for commit in (places.lake / "audit/verifications/_delta_log").glob("*.json"):
                commit.write_bytes(b"no commit")
            wait_for(lambda: len(receiver.bodies) > 1, root / "dev.log")
            assert kinds(receiver)[1:] == [("raised", "sensor_failing", "error")]
