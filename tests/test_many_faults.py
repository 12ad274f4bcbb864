"""Much at once: each look stays far below a tick's minute, and people get a handful of messages."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.alert_rows import read_alerts
from audit_pipeline.alerting import report_faults, tell_people
from audit_pipeline.alerts import Fault, Rules, Severity
from audit_pipeline.channels import Post, Slack
from audit_pipeline.components.instance_watches import see_runs
from audit_pipeline.components.new_logs import STILL_FOR, fingerprints, still_days
from audit_pipeline.policy import init_project, load_policy
from tests.channels.conftest import receiving
from tests.lakes import LakeForTests

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
_TICK_S = 60
"""What Dagster gives a tick. Not a speed that is promised: a hang is what this finds."""


def test_ten_thousand_new_files_ask_for_each_day_once(tmp_path: Path) -> None:
    init_project(tmp_path)
    policy = load_policy(tmp_path, {})
    for n in range(10_000):
        folder = policy.places.landing / "runs" / f"2026-03-0{n % 4 + 1}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.jsonl").touch()

    began = time.monotonic()
    memory: dict[str, object] = {}
    asked = []
    for minute in range(5):
        now = NOW + timedelta(minutes=minute)
        due, memory = still_days(fingerprints(policy, NOW.date()), memory, now)
        asked.append([day for day, _ in due])

    assert asked == [[], [], ["2026-03-04", "2026-03-03", "2026-03-02", "2026-03-01"], [], []]
    assert time.monotonic() - began < 5 * _TICK_S


def test_a_day_that_still_changes_waits_until_it_stands_still() -> None:
    memory: dict[str, object] = {}
    for minute in range(10):
        due, memory = still_days({"2026-03-05": str(minute)}, memory, NOW + timedelta(minutes=minute))
        assert due == []

    due, memory = still_days({"2026-03-05": "9"}, memory, NOW + timedelta(minutes=9) + STILL_FOR)

    assert due == [("2026-03-05", "9")]


def test_more_days_than_one_tick_asks_for_come_with_the_next_ones() -> None:
    marks = {f"2026-03-{n:02}": "m" for n in range(1, 26)}
    _, memory = still_days(marks, {}, NOW)

    sizes = []
    for _ in range(4):
        due, memory = still_days(marks, memory, NOW + STILL_FOR)
        sizes.append(len(due))

    assert sizes == [10, 10, 5, 0]


def test_a_thousand_failed_runs_are_one_message(lake: LakeForTests) -> None:
    with dg.DagsterInstance.ephemeral() as instance, receiving() as receiver:
        for n in range(1000):
            run = dg.DagsterRun(
                job_name="daily_audit", status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": str(n)}
            )
            instance.add_run(run)
        rules = Rules(dict.fromkeys(Severity, ("chat",)))
        channels = {"chat": Slack(Post("chat", receiver.url))}
        clock = {"now": lambda: NOW, "entropy": lake.entropy}
        for _ in range(3):
            faults = see_runs(instance, datetime.now(UTC), "daily_audit")
            report_faults(lake.lake, ["run_failed"], faults, rules, **clock)
            tell_people(lake.lake, rules, channels, runbooks="r", **clock)

    assert len(faults) == 1000
    assert len(receiver.bodies) == 1
    (alert,) = read_alerts(lake.lake, NOW).open()
    assert len(alert.items) == 1000


@pytest.mark.parametrize("subjects", [1, 10, 1000])
def test_however_many_things_fail_at_once_messages_are_few(lake: LakeForTests, subjects: int) -> None:
    rules = Rules(dict.fromkeys(Severity, ("chat",)))
    faults = [Fault("check_failed", f"table{n}:check", "2026-03-05", Severity.ERROR) for n in range(subjects)]
    with receiving() as receiver:
        channels = {"chat": Slack(Post("chat", receiver.url))}
        clock = {"now": lambda: NOW, "entropy": lake.entropy}
        for _ in range(2):
            report_faults(lake.lake, ["check_failed"], faults, rules, **clock)
            tell_people(lake.lake, rules, channels, runbooks="r", **clock)

    assert len(receiver.bodies) == min(subjects, 10 if subjects <= 10 else 1)
