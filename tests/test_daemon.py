"""End to end under `dagster dev`, its daemon included: each fault that is planted arrives as one message, and its cure.

Where a fault needs time to have gone by, the lake is made with an earlier clock; the daemon's own is the real one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from audit_pipeline.alert_rows import read_alerts
from audit_pipeline.cli.jobs import prepare_instance
from audit_pipeline.components.alerts import TELL_SENSOR
from audit_pipeline.components.daily_audit import verify_config
from audit_pipeline.components.daily_seal import VERIFY_OP
from audit_pipeline.components.new_logs import STILL_FOR, fingerprints
from audit_pipeline.definitions import build_definitions
from audit_pipeline.demo import flip_bit
from audit_pipeline.doctor import examine
from audit_pipeline.ingest import ingest_day
from audit_pipeline.inventory import take_inventory
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.lake.reservations import append_reservation
from audit_pipeline.policy import Policy, init_project, load_policy
from audit_pipeline.privacy.ledger import Reservation
from audit_pipeline.privacy.price import Price
from audit_pipeline.privacy.unit import Window
from audit_pipeline.sealing import seal_day
from audit_pipeline.verifications import record_verification
from audit_pipeline.verify import verify
from tests.channels.conftest import Receiver, receiving
from tests.components.conftest import QUIET, land
from tests.watches.judgements import CONTROL, append_judgements

TODAY = datetime.now(UTC).date()
EARLIER, SKIPPED, YESTERDAY = (TODAY - timedelta(days=n) for n in (3, 2, 1))
ROLLOUTS = b'{"input": "a", "output": "b", "score": 1.0, "step": 1}\n'
CHANNELS = """\
  settle_minutes: 0
  channels: [{name: hook, kind: webhook, url_env: HOOK_URL, secret_env: HOOK_SECRET}]
  routes: {critical: [hook], error: [hook], warning: [hook]}
"""
FAULTS = {
    ("check_failed", "records:nothing_lost", "error"),
    ("check_missing", "daily_merkle_root:evidence_holds", "warning"),
    ("run_failed", "verify_evidence", "error"),
    ("seal_missing", "daily_merkle_root", "critical"),
    ("source_rewritten", "runs", "error"),
    ("stream_silent", "votes", "warning"),
    ("budget_low", "annotator_budget", "warning"),
    ("control_failed", CONTROL, "error"),
    ("store_full", "landing", "error"),
    ("sensor_failing", "verifications_watched", "error"),
}
STAYS = "source_rewritten"  # until somebody acknowledges it
RED = ("verification_failed", "daily_merkle_root", "critical")
_LONGEST_S = 900  # of a wait for something that comes after seconds on a quiet machine
_LOCATION = {"repositoryLocationName": "audit_pipeline", "repositoryName": "__repository__"}


@dataclass
class Dev:
    """What is asked of a running `dagster dev` by its web server."""

    port: int
    log: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            said = json.load(answer)
        assert "errors" not in said, said
        (found,) = said["data"].values()
        return found

    def is_up(self) -> bool:
        try:
            return self.ask("{ repositoriesOrError { __typename } }")["__typename"] == "RepositoryConnection"
        except OSError:
            return False

    def start_new_logs(self, cursor: str) -> None:
        which = {**_LOCATION, "sensorName": "new_logs"}
        for does in ("setSensorCursor(sensorSelector: $which, cursor: $cursor)", "startSensor(sensorSelector: $which)"):
            declared = "$which: SensorSelector!" + (", $cursor: String" if "$cursor" in does else "")
            done = self.ask(f"mutation({declared}) {{ {does} {{ __typename }} }}", which=which, cursor=cursor)
            assert done["__typename"] == "Sensor", done

    def launch_verification(self) -> str:
        """The run's id."""
        query = """
            mutation($params: ExecutionParams!) {
              launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } }
            }"""
        done = self.ask(query, params={"selector": {**_LOCATION, "jobName": "verify_evidence"}})
        return str(done["run"]["runId"])

    def wait_for(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + _LONGEST_S
        while not what():
            assert time.monotonic() < end, self.log.read_text()[-5000:]
            time.sleep(0.5)


@contextmanager
def dagster_dev(root: Path, environ: dict[str, str]) -> Iterator[Dev]:
    """Webserver, daemon and code server on the project; ended, all of them, at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    with (root / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            yield Dev(port, root / "dev.log")
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def make_policy(root: Path) -> Policy:
    init_project(root)
    # Suites of quality have tests of their own and take seconds a run.
    for file in (root / "assets/quality").iterdir():
        file.unlink()
    (root / "assets/quality").rmdir()
    runs, alerts = root / "assets/run_logs/defs.yaml", root / "assets/alerts/defs.yaml"
    runs.write_text(runs.read_text() + '    - {name: votes, path: "votes/{date}/**"}\n')
    edit(alerts, "  watch:\n", "  watch:\n    interval_s: 10\n")
    edit(alerts, "full_percent: 90", "full_percent: 1")
    alerts.write_text(alerts.read_text() + CHANNELS)
    policy = load_policy(root, {})
    make_keys(policy.places.keys, "example.com/audit", os.urandom, None)
    return policy


def take_in(policy: Policy, day: date, hour: int) -> None:
    """Take in and seal a day, as the daily job would have done at that hour of it."""
    lake, at = open_lake(policy.places), datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    said = {"today": day, "now": lambda: at, "entropy": os.urandom}
    ingest_day(lake, policy.streams, day, **said)
    seal_day(lake, day, policy_digest=policy.digest, passphrase=None, **said)
    take_inventory(lake, passphrase=None)


def spend(lake: Lake, rho: str) -> None:
    """Reserve so much of this year's budget, as a draw does."""
    window = Window("daily", TODAY)
    append_reservation(
        lake,
        lambda before: Reservation(
            number=len(before) + 1, scope="annotator", period=window.period, window=window, release="test", revision=0,
            attempt=0, key="00", price=Price(Fraction(rho)), max_windows=1, spec="{}", input="", input_version=0,
            nonce="", writer="", reserved_at=datetime.now(UTC), previous=None,
        ),
        os.urandom(32),
    )  # fmt: skip


def plant(root: Path, policy: Policy, instance: dg.DagsterInstance) -> dict[Path, bytes]:
    """Each fault of FAULTS; what to put back so that sensors can read verifications again."""
    land(root, "a.jsonl", ROLLOUTS, EARLIER)
    take_in(policy, EARLIER, 23)  # since when nothing came of `votes`
    land(root, "a.jsonl", ROLLOUTS * 3, YESTERDAY)
    take_in(policy, YESTERDAY, 12)
    land(root, "a.jsonl", b'{"other": 1}\n', YESTERDAY)
    take_in(policy, YESTERDAY, 23)
    lake = open_lake(policy.places)
    spend(lake, "0.45")  # of 0.5
    append_judgements(lake, "PASS", "FAIL")
    found = verify(lake)
    assert found.problems == ()
    record_verification(lake, found, TODAY, first=None, last=None, now=lambda: datetime.now(UTC), entropy=os.urandom)

    definitions = build_definitions(root)
    job = definitions.resolve_job_def("verify_evidence")
    instance.report_run_canceled(instance.create_run_for_job(job))
    no_day = verify_config(TODAY, TODAY)
    no_day["ops"][VERIFY_OP]["config"]["first"] = "no day"
    failed = job.execute_in_process(instance=instance, run_config={**QUIET, **no_day}, raise_on_error=False)
    land(root, "a.jsonl", ROLLOUTS, SKIPPED)
    checked = definitions.resolve_job_def("daily_audit").execute_in_process(
        instance=instance,
        run_config=QUIET,
        partition_key=str(SKIPPED),
        op_selection=["records_nothing_lost"],
    )
    assert (failed.success, checked.success) == (False, True)

    kept = {}
    for commit in (policy.places.lake / "audit/verifications/_delta_log").glob("*.json"):
        kept[commit] = commit.read_bytes()
        commit.write_bytes(b"no commit")
    assert kept
    return kept


def told(receiver: Receiver) -> list[tuple[str, str, str, str]]:
    """(raised or resolved, kind, subject, severity) of each message."""
    return sorted(
        (
            body["type"].rpartition(".")[2],
            *(body["data"][name] for name in ("kind", "subject", "severity")),
        )
        for body in receiver.posted
    )


def ticks(instance: dg.DagsterInstance, sensor: str, after: float, before: float) -> int:
    """How often a sensor began to look in that time."""
    (state,) = [state for state in instance.all_instigator_state() if state.instigator_name == sensor]
    begun = [tick.timestamp for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1000)]
    return sum(after < at < before for at in begun)


@pytest.mark.slow
def test_each_planted_fault_is_told_once_and_so_is_its_cure(tmp_path: Path) -> None:
    root = tmp_path / "project"
    policy = make_policy(root)
    places = policy.places
    prepare_instance(places.dagster)
    with dg.DagsterInstance.from_config(str(places.dagster)) as instance, receiving() as receiver:
        kept = plant(root, policy, instance)
        receiver.status = 503
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AUDIT_")},
            "DAGSTER_HOME": str(places.dagster),
            "AUDIT_POLICY": str(root),
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "600",  # of a busy machine: a launch that times out is a fault of its own
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "600",
            "HOOK_URL": receiver.url,
            "HOOK_SECRET": "secret",
        }
        with dagster_dev(root, environ) as dev:
            lake = open_lake(places)
            # The receiver is down when the first alerts come: they wait, and are sent when it is back.
            dev.wait_for(lambda: read_alerts(lake, datetime.now(UTC)).failures)
            receiver.status = 202
            dev.wait_for(lambda: len(receiver.bodies) >= len(FAULTS))
            raised = [("raised", *fault) for fault in FAULTS]
            assert told(receiver) == sorted(raised)

            # Everything is cured; one byte of a sealed table is flipped.
            for commit, content in kept.items():
                commit.write_bytes(content)
            alerts = root / "assets/alerts/defs.yaml"
            edit(alerts, "full_percent: 1\n", "full_percent: 99\n")
            edit(alerts, "budget_percent: 80", "budget_percent: 100")
            append_judgements(lake, "PASS")
            (places.landing / "votes" / str(SKIPPED)).mkdir(parents=True)
            (places.landing / "votes" / str(SKIPPED) / "a.jsonl").write_bytes(ROLLOUTS)
            dev.wait_for(dev.is_up)
            # As if the sensor had seen that day stand still: the other days were asked for already.
            since = (datetime.now(UTC) - STILL_FOR).isoformat()
            marks = fingerprints(load_policy(root, {}), TODAY)
            dev.start_new_logs(json.dumps({day: (mark, since, day != str(SKIPPED)) for day, mark in marks.items()}))
            data = next((places.lake / f"restricted/records/runs/{YESTERDAY}").glob("*.parquet"))
            whole = data.read_bytes()
            flip_bit(data)
            run = dev.launch_verification()
            resolved = [("resolved", *fault) for fault in FAULTS if fault[0] != STAYS]
            dev.wait_for(lambda: len(receiver.bodies) >= 2 * len(FAULTS))

            assert told(receiver) == sorted([*raised, *resolved, ("raised", *RED)])
            check = dg.AssetCheckKey(dg.AssetKey("daily_merkle_root"), "evidence_holds")
            history = instance.event_log_storage.get_asset_check_execution_history(check, limit=10)
            assert [record.status.value for record in history if record.run_id == run] == ["FAILED"]
            # One look finds it and the next one tells: two intervals, however slow this machine is.
            rows = lake.find_named("alerts").read(["event", "kind", "at"]).to_pylist()  # type: ignore[union-attr]
            at = {row["event"]: row["at"].timestamp() for row in rows if row["kind"] == RED[0]}
            ended = instance.get_run_record_by_id(run).end_time  # type: ignore[union-attr]
            assert ticks(instance, "verifications_watched", ended, at["raised"]) <= 1
            assert ticks(instance, TELL_SENSOR, at["raised"], at["sent"]) <= 1

            data.write_bytes(whole)
            dev.launch_verification()
            dev.wait_for(lambda: len(receiver.bodies) > 2 * len(FAULTS))
            assert told(receiver) == sorted([*raised, *resolved, ("raised", *RED), ("resolved", *RED)])
            lines = {line.what: line for line in examine(policy, environ, None, datetime.now(UTC))}
            assert (lines["daemon"].said, lines["daemon"].is_wrong) == ("ticks", False)
            assert "daily_audit_schedule, daily_closing_schedule: off" in lines["schedules"].said
