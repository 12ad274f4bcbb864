"""Each sensor on a real instance in a folder: a planted fault gives one alert, told once; its cure one notice."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.alert_rows import read_alerts
from audit_pipeline.alerts import Alert
from audit_pipeline.components.alerts import TELL_SENSOR
from audit_pipeline.components.daily_audit import verify_config
from audit_pipeline.components.instance_watches import see_ticks
from audit_pipeline.definitions import build_definitions
from audit_pipeline.demo import flip_bit
from audit_pipeline.ingest import system_entropy
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.policy import load_policy
from audit_pipeline.verifications import record_verification
from audit_pipeline.verify import Verification
from tests.channels.conftest import Receiver, receiving
from tests.components.conftest import QUIET, YESTERDAY, land, make_project

ROLLOUTS = b'{"input": "a", "output": "b", "score": 1.0, "step": 1}\n'
QUICK = ["ingest_day", "records_nothing_lost", "daily_merkle_root"]
EVIDENCE_HOLDS = "daily_merkle_root:evidence_holds"
CHANNELS = """\
  channels:
    - {name: hook, kind: webhook, url_env: HOOK_URL, secret_env: HOOK_SECRET}
  routes: {critical: [hook], error: [hook], warning: [hook]}
  settle_minutes: 0
"""


class Home:
    """A project with a webhook, its definitions, and an instance in a folder."""

    def __init__(
        self, project: Path, definitions: dg.Definitions, instance: dg.DagsterInstance, receiver: Receiver
    ) -> None:
        self.project, self.definitions, self.instance, self.receiver = project, definitions, instance, receiver
        self.cursors: dict[str, str | None] = {}

    @property
    def repository(self) -> dg.RepositoryDefinition:
        return self.definitions.get_repository_def()

    @property
    def lake(self) -> Lake:
        return open_lake(load_policy(self.project, {}).places)

    def look(self, sensor: str) -> str:
        """One tick of a sensor, which goes on from its cursor; what it says."""
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=self.repository,
            sensor_name=sensor,
            cursor=self.cursors.get(sensor),
        ) as context:
            ticked = self.repository.get_sensor_def(sensor).evaluate_tick(context)
        self.cursors[sensor] = ticked.cursor or self.cursors.get(sensor)
        return ticked.skip_message or ""

    def told(self, sensor: str) -> list[tuple[str, str, str, str]]:
        """(reason, kind, subject, severity) of what is received after a tick of the sensor and one of the teller."""
        before = len(self.receiver.bodies)
        self.look(sensor)
        self.look(TELL_SENSOR)
        return [
            (
                body["type"].removeprefix("audit.alert."),
                *(body["data"][name] for name in ("kind", "subject", "severity")),
            )
            for body in self.receiver.posted[before:]
        ]

    def alerts(self) -> list[Alert]:
        return list(read_alerts(self.lake, datetime.now(UTC)).alerts.values())

    def run(self, day: object = YESTERDAY, job: str = "daily_audit", **arguments: object) -> bool:
        """Run a job; of the daily one what these tests look at: verification would take a process of its own."""
        if job == "daily_audit":
            arguments = {"partition_key": str(day), "op_selection": QUICK, **arguments}
        finished = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **{"run_config": QUIET, **arguments}
        )
        return finished.success


@dataclass(frozen=True, slots=True)
class Template:
    """What every test begins with, made once: to load definitions and to make an instance's tables takes seconds."""

    project: Path
    definitions: dg.Definitions
    kept: Path
    instance: Path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("sensors")
    project = make_project(folder / "project")
    file = project / "assets/alerts/defs.yaml"
    file.write_text(file.read_text() + CHANNELS)
    shutil.copytree(project, folder / "kept")
    (folder / "instance").mkdir()
    with dg.instance_for_test(temp_dir=str(folder / "instance")):
        pass
    return Template(project, build_definitions(project), folder / "kept", folder / "instance")


@pytest.fixture
def project(template: Template, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template's project as it was made; the environment says nothing but the secrets of its channel."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME", "AUDIT_PROFILE", "AUDIT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    shutil.rmtree(template.project)
    return Path(shutil.copytree(template.kept, template.project))


@pytest.fixture
def home(project: Path, template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """With an instance in a folder, as users have it: for sensors that read the instance."""
    folder = shutil.copytree(template.instance, tmp_path / "instance")
    with receiving() as receiver, dg.instance_for_test(temp_dir=str(folder)) as instance:
        monkeypatch.setenv("HOOK_URL", receiver.url)
        yield Home(project, template.definitions, instance, receiver)


@pytest.fixture
def quick_home(project: Path, template: Template, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """With an instance in memory, in which a run takes a third of the time: for sensors that read the lake alone."""
    with receiving() as receiver, dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setenv("HOOK_URL", receiver.url)
        yield Home(project, template.definitions, instance, receiver)


def test_nothing_wrong_gives_no_alert(home: Home) -> None:
    land(home.project, "a.jsonl", ROLLOUTS)
    assert home.run()

    for sensor in home.repository.sensor_defs:
        if sensor.name != "new_logs":
            assert home.told(sensor.name) == []
    assert home.alerts() == []


def test_a_flipped_byte_is_told_once_and_its_repair_once(home: Home) -> None:
    land(home.project, "a.jsonl", ROLLOUTS)
    home.run()
    (data,) = (home.lake.places.lake / "restricted/records/runs").rglob("*.parquet")
    flip_bit(data)
    days = {"run_config": {**QUIET, **verify_config(YESTERDAY, YESTERDAY)}}
    home.run(job="verify_evidence", **days)

    fault = ("verification_failed", "daily_merkle_root", "critical")
    assert home.told("verifications_watched") == [("raised", *fault)]
    assert home.told("verifications_watched") == []
    assert home.told("checks_watched") == []
    flip_bit(data)
    home.run(job="verify_evidence")  # all days, and so that one too
    assert home.told("verifications_watched") == [("resolved", *fault)]
    (alert,) = home.alerts()
    assert alert.items == (str(YESTERDAY),)


def test_a_verification_of_other_days_does_not_clear_a_failed_one(quick_home: Home) -> None:
    def verified(first: object, last: object, *problems: object) -> None:
        found = Verification((), (), problems, 0, 0, 0, 0, 0, 0, 0, "")  # type: ignore[arg-type]
        record_verification(
            quick_home.lake,
            found,
            YESTERDAY,
            first=first,
            last=last,
            now=lambda: datetime.now(UTC),
            entropy=system_entropy,
        )

    land(quick_home.project, "a.jsonl", ROLLOUTS)
    quick_home.run()
    (problem,) = [type("Problem", (), {"message": "m"})()]
    verified(YESTERDAY, YESTERDAY, problem)
    verified(YESTERDAY - timedelta(days=3), YESTERDAY - timedelta(days=1))
    quick_home.look("verifications_watched")
    assert [alert.is_open for alert in quick_home.alerts()] == [True]

    verified(YESTERDAY - timedelta(days=3), YESTERDAY)
    quick_home.look("verifications_watched")

    assert [alert.is_open for alert in quick_home.alerts()] == [False]


def test_a_check_that_fails_is_told_until_it_holds_for_that_day(home: Home) -> None:
    land(home.project, "a.jsonl", ROLLOUTS)
    home.run()
    land(home.project, "b.jsonl", ROLLOUTS)
    home.run(op_selection=["records_nothing_lost"])

    fault = ("check_failed", "records:nothing_lost", "error")
    assert home.told("checks_watched") == [("raised", *fault)]
    home.run(YESTERDAY - timedelta(days=1))
    assert home.told("checks_watched") == []
    home.run()
    assert home.told("checks_watched") == [("resolved", *fault)]


def test_a_check_that_its_run_left_out_is_told(home: Home) -> None:
    """The run planned them and ended without them, as when somebody cancels it."""
    job = home.definitions.resolve_job_def("daily_audit")
    run = home.instance.create_run_for_job(job, tags={"dagster/partition": str(YESTERDAY)})
    assert home.told("checks_watched") == []  # it may still come
    home.instance.report_run_canceled(run)

    fault, other = (("check_missing", name, "warning") for name in ("records:nothing_lost", EVIDENCE_HOLDS))
    assert sorted(home.told("checks_watched")) == [("raised", *other), ("raised", *fault)]
    home.run()
    assert home.told("checks_watched") == [("resolved", *fault)]


def test_a_verification_that_its_run_left_out_is_told(home: Home) -> None:
    """What it would have found is rows, which another sensor reads; that there are none is told here."""
    job = home.definitions.resolve_job_def("verify_evidence")
    home.instance.report_run_canceled(home.instance.create_run_for_job(job))

    fault = ("check_missing", EVIDENCE_HOLDS, "warning")
    assert home.told("checks_watched") == [("raised", *fault)]
    assert "nothing new" in home.look("checks_watched")


def test_controls_that_were_not_judged_are_one_message(home: Home) -> None:
    job = home.definitions.resolve_job_def("daily_closing")
    home.instance.report_run_canceled(home.instance.create_run_for_job(job, tags={"dagster/partition": str(YESTERDAY)}))

    assert home.told("checks_watched") == [("raised", "check_missing", "many", "warning")]
    (alert,) = home.alerts()
    assert len(alert.items) == 75


def test_the_daily_job_makes_up_for_assets_started_by_hand_and_for_no_other_job(home: Home) -> None:
    tags = {"dagster/partition": "2026-03-04"}
    for name, status in (("daily_closing", "FAILURE"), ("__ASSET_JOB", "FAILURE"), ("daily_audit", "SUCCESS")):
        home.instance.add_run(dg.DagsterRun(job_name=name, status=dg.DagsterRunStatus(status), tags=tags))

    assert home.told("runs_watched") == [("raised", "run_failed", "daily_closing", "error")]
    home.instance.add_run(dg.DagsterRun(job_name="daily_closing", status=dg.DagsterRunStatus.SUCCESS, tags=tags))
    assert home.told("runs_watched") == [("resolved", "run_failed", "daily_closing", "error")]


def test_a_run_that_fails_is_told_until_one_of_the_same_day_goes_well(home: Home) -> None:
    key = load_policy(home.project, {}).places.keys / "key.pem"
    kept = key.read_bytes()
    key.unlink()
    land(home.project, "a.jsonl", ROLLOUTS)
    assert not home.run()

    fault = ("run_failed", "daily_audit", "error")
    assert home.told("runs_watched") == [("raised", *fault)]
    key.write_bytes(kept)
    home.run()
    assert home.told("runs_watched") == [("resolved", *fault)]


def test_a_run_whose_partition_has_spaces_is_told_once(home: Home) -> None:
    tags = {"dagster/partition": "north sea | 2026-03-04"}
    home.instance.add_run(dg.DagsterRun(job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE, tags=tags))

    assert home.told("runs_watched") == [("raised", "run_failed", "daily_audit", "error")]
    assert "nothing new" in home.look("runs_watched")


def test_a_run_that_dagster_will_retry_is_no_fault_yet(home: Home) -> None:
    tags = {"dagster/partition": "2026-03-04", "dagster/will_retry": "true"}
    home.instance.add_run(dg.DagsterRun(job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE, tags=tags))

    assert home.told("runs_watched") == []


def test_a_day_that_is_not_sealed_by_its_hour_is_told(quick_home: Home) -> None:
    file = quick_home.project / "assets/alerts/defs.yaml"
    file.write_text(file.read_text().replace("sealed_by_hour: 6", "sealed_by_hour: 0"))
    quick_home.run(YESTERDAY - timedelta(days=2))
    quick_home.run(YESTERDAY)

    fault = ("seal_missing", "daily_merkle_root", "critical")
    assert quick_home.told("seals_watched") == [("raised", *fault)]
    (alert,) = quick_home.alerts()
    assert alert.items == (str(YESTERDAY - timedelta(days=1)),)
    quick_home.run(YESTERDAY - timedelta(days=1))
    assert quick_home.told("seals_watched") == [("resolved", *fault)]


def test_a_source_that_was_truncated_is_told_once_and_stays_until_acknowledged(quick_home: Home) -> None:
    land(quick_home.project, "a.jsonl", ROLLOUTS * 3)
    quick_home.run()
    quick_home.look("arrivals_watched")
    land(quick_home.project, "a.jsonl", b'{"other": 1}\n')
    quick_home.run()

    assert quick_home.told("arrivals_watched") == [("raised", "source_rewritten", "runs", "error")]
    assert quick_home.told("arrivals_watched") == []
    quick_home.cursors.clear()  # a look that remembers nothing
    assert quick_home.told("arrivals_watched") == []
    (alert,) = quick_home.alerts()
    assert alert.is_open


def test_a_source_that_grows_is_no_fault(quick_home: Home) -> None:
    land(quick_home.project, "a.jsonl", ROLLOUTS)
    quick_home.run()
    land(quick_home.project, "a.jsonl", ROLLOUTS * 3)
    quick_home.run()

    assert quick_home.told("arrivals_watched") == []


def test_a_stream_that_is_silent_is_told_until_something_comes(quick_home: Home) -> None:
    file = quick_home.project / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text() + '    - {name: votes, path: "votes/{date}/**"}\n')
    quick_home.definitions = build_definitions(quick_home.project)
    land(quick_home.project, "a.jsonl", ROLLOUTS)
    quick_home.run()
    quick_home.look("arrivals_watched")
    quick_home.cursors["arrivals_watched"] = shifted(quick_home.cursors["arrivals_watched"], hours=49)

    told = sorted(quick_home.told("arrivals_watched"))

    assert told == [
        ("raised", "stream_silent", "runs", "warning"),
        ("raised", "stream_silent", "votes", "warning"),
    ]
    land(quick_home.project, "b.jsonl", ROLLOUTS)
    quick_home.run()
    assert quick_home.told("arrivals_watched") == [("resolved", "stream_silent", "runs", "warning")]


def shifted(cursor: str | None, **earlier: int) -> str:
    """The memory of a sensor as if everything had come so much earlier."""
    memory = json.loads(cursor or "")
    before = datetime.now(UTC) - timedelta(**earlier)
    memory["newest"] = dict.fromkeys(memory["newest"], before.isoformat())
    return json.dumps({**memory, "first": before.isoformat()})


def test_a_sensor_that_fails_is_told_by_another(home: Home) -> None:
    ticks = FakeTicks(
        {"arrivals_watched": ["FAILURE", "SUCCESS"], "runs_watched": ["STARTED", "SKIPPED"], "off": ["FAILURE"]}
    )

    (fault,) = see_ticks(ticks, "__repository__")  # type: ignore[arg-type]

    assert (fault.kind, fault.subject) == ("sensor_failing", "arrivals_watched")


class FakeTicks:
    """What an instance says of its sensors. Only a daemon writes ticks; tests/test_daemon.py has a real one."""

    def __init__(self, ticks: dict[str, list[str]]) -> None:
        self.ticks = ticks

    def all_instigator_state(self) -> list[object]:
        origin = made(repository_origin=made(repository_name="__repository__"))
        return [
            made(instigator_name=n, instigator_origin_id=n, selector_id=n, origin=origin, is_running=n != "off")
            for n in self.ticks
        ]

    def get_ticks(self, origin: str, selector: str, limit: int) -> list[object]:
        return [made(status=made(value=word)) for word in self.ticks[origin]][:limit]


def made(**attributes: object) -> object:
    return type("Made", (), attributes)()


def test_a_receiver_that_is_down_for_a_while_loses_nothing(home: Home) -> None:
    home.instance.add_run(dg.DagsterRun(job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE))
    home.receiver.status = 503
    assert home.told("runs_watched") == []
    assert "1 failed" not in home.look(TELL_SENSOR)  # it waits before it tries again

    home.receiver.status = 200
    (alert,) = home.alerts()
    (notice,) = alert.notices
    (delivery,) = notice.deliveries
    assert (delivery.attempts, delivery.is_over) == (1, False)
    assert delivery.due_at > datetime.now(UTC)


def test_a_secret_that_is_not_set_fails_that_channel_and_says_which(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_SECRET")
    home.instance.add_run(dg.DagsterRun(job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE))

    assert home.told("runs_watched") == []
    rows = home.lake.find_named("alerts").read(["event", "error"]).to_pylist()  # type: ignore[union-attr]
    assert [row["error"] for row in rows if row["event"] == "failed"] == [
        "channel hook: the environment variable HOOK_SECRET is not set; set it where Dagster runs"
    ]


def test_a_message_has_no_contents_of_records(quick_home: Home) -> None:
    land(quick_home.project, "a.jsonl", b'{"secret": "do-not-tell"}\n' * 3)
    quick_home.run()
    land(quick_home.project, "a.jsonl", b'{"secret": "do-not-tell-either"}\n')
    quick_home.run()
    quick_home.told("arrivals_watched")

    assert quick_home.receiver.bodies
    assert not [body for body in quick_home.receiver.bodies if b"do-not-tell" in body]


def test_alerts_of_one_day_are_sealed_with_the_next_day(quick_home: Home) -> None:
    land(quick_home.project, "a.jsonl", ROLLOUTS)
    quick_home.run(YESTERDAY - timedelta(days=1))
    quick_home.instance.add_run(dg.DagsterRun(job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE))
    quick_home.told("runs_watched")

    assert quick_home.run(YESTERDAY)

    paths = quick_home.lake.find_named("sources").read(["path"])["path"].to_pylist()  # type: ignore[union-attr]
    assert "alerts/00000000000000000001.jsonl" in paths


def test_environment_is_not_read_at_import() -> None:
    assert "HOOK_URL" not in os.environ
