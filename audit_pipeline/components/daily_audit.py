"""The jobs that run one day's audit and verify what is stored, and what starts them."""

import os
from collections.abc import Sequence
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from audit_pipeline.components.daily_seal import EVIDENCE_HOLDS, SEAL_ASSET, VERIFY_OP
from audit_pipeline.components.new_logs import new_logs_sensor
from audit_pipeline.components.opening import open_policy, utc_now
from audit_pipeline.components.run_logs import INGEST_OP, landed_days
from audit_pipeline.ingest import days_to_run
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import load_policy

JOB = "daily_audit"
SCHEDULE = "daily_audit_schedule"
CLOSING_JOB = "daily_closing"
CLOSING_SCHEDULE = "daily_closing_schedule"
WEEKLY_SCHEDULE = "weekly_rehash_schedule"
REHASH_CONFIG = {"ops": {INGEST_OP: {"config": {"rehash": True}}}}
EVERY_SUNDAY = "0 3 * * 0"  # UTC
EVERY_NIGHT = "30 0 * * *"  # UTC: half an hour for files that were being written at midnight
EVERY_DAY_AT_SIX = "0 6 * * *"  # UTC: after the nightly run, the releases, and what was tried again of both
VERIFY_JOB = "verify_evidence"
VERIFY_SCHEDULE = "nightly_verification_schedule"
VERIFY_ALL_SCHEDULE = "weekly_verification_schedule"
EVERY_MORNING = "0 4 * * *"  # UTC
EVERY_SATURDAY = "0 5 * * 6"  # UTC
_WEEK = timedelta(days=7)


def build_daily_audit(selection: dg.AssetSelection, closing: dg.AssetSelection, root: Path) -> dg.Definitions:
    """The jobs `daily_audit` and `daily_closing` over the selected assets and their checks, and `verify_evidence`.

    They run in one process: a day's steps share libraries that take seconds to load, and the seal is serial anyway.
    """
    job = dg.define_asset_job(
        JOB,
        selection,
        description="Take in one day's logs, seal them, verify the seal, derive the typed view.",
        executor_def=dg.in_process_executor,
    )
    closing_job = dg.define_asset_job(
        CLOSING_JOB,
        closing,
        description="Seal what was written about a day after it was taken in, such as releases; judge the controls.",
        executor_def=dg.in_process_executor,
    )
    verify_job = dg.define_asset_job(
        VERIFY_JOB,
        dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(SEAL_ASSET), EVIDENCE_HOLDS)),
        description="Compare what is stored with what was signed: all of it, or the days that the run is told.",
        executor_def=dg.in_process_executor,
    )
    return dg.Definitions(
        jobs=[job, closing_job, verify_job],
        schedules=[
            *_daily_schedules(root, job),
            _closing_schedule(closing_job),
            *_verification_schedules(root, verify_job),
        ],
        sensors=[new_logs_sensor(root, job)],
    )


def _daily_schedules(root: Path, job: Any) -> list[dg.ScheduleDefinition]:
    @dg.schedule(name=SCHEDULE, cron_schedule=EVERY_NIGHT, execution_timezone="UTC", job=job)
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        """The day that has just ended, and earlier ones with something to do: files came late, or nights were missed.

        With `end_offset=1` the last partition is the day that has just begun. Dagster makes up for missed ticks, up to
        five at once, and each asks for all the days that wait: run keys of one day's asking name a day once.
        """
        today = context.scheduled_execution_time.astimezone(UTC).date()
        policy, lake = open_policy(root)
        waiting = days_to_run(lake, policy.streams, policy.start, today=today)
        days = sorted({today - timedelta(days=1), *(day for day in waiting if day < today)})
        asked = utc_now().astimezone(UTC).date()
        return [dg.RunRequest(run_key=f"{asked} {day}", partition_key=day.isoformat()) for day in days]

    @dg.schedule(name=WEEKLY_SCHEDULE, cron_schedule=EVERY_SUNDAY, execution_timezone="UTC", job=job)
    def weekly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        """Every day that the landing zone still has: all files are read, to find those that look as they did."""
        week = context.scheduled_execution_time.astimezone(UTC).date()
        policy = load_policy(root, os.environ)
        return [
            dg.RunRequest(run_key=f"rehash {week} {day}", partition_key=day.isoformat(), run_config=REHASH_CONFIG)
            for day in landed_days(policy, week)
        ]

    return [schedule, weekly]


def _closing_schedule(job: Any) -> dg.ScheduleDefinition:
    @dg.schedule(name=CLOSING_SCHEDULE, cron_schedule=EVERY_DAY_AT_SIX, execution_timezone="UTC", job=job)
    def closing(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """The day that has ended. Days of nights that were missed are judged as part of their month."""
        day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
        return dg.RunRequest(run_key=f"closing {day}", partition_key=day.isoformat())

    return closing


def _verification_schedules(root: Path, job: Any) -> list[dg.ScheduleDefinition]:
    @dg.schedule(name=VERIFY_SCHEDULE, cron_schedule=EVERY_MORNING, execution_timezone="UTC", job=job)
    def nightly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        """The newest week, and another one, of which each has its turn."""
        today = context.scheduled_execution_time.astimezone(UTC).date()
        _, lake = open_policy(root)
        return [
            dg.RunRequest(run_key=f"{today} {first}", run_config=verify_config(first, last))
            for first, last in weeks_to_verify(_first_sealed(lake), today)
        ]

    @dg.schedule(name=VERIFY_ALL_SCHEDULE, cron_schedule=EVERY_SATURDAY, execution_timezone="UTC", job=job)
    def all_days(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(run_key=str(context.scheduled_execution_time.astimezone(UTC).date()))

    return [nightly, all_days]


def verify_config(first: date, last: date) -> dict[str, Any]:
    """Run config of `verify_evidence` for some days."""
    return {"ops": {VERIFY_OP: {"config": {"first": first.isoformat(), "last": last.isoformat()}}}}


def weeks_to_verify(first: date | None, today: date) -> Sequence[tuple[date, date]]:
    """The week up to today and, of the weeks before it, the one whose turn it is; none before the first seal."""
    if first is None:
        return []
    newest = (today - _WEEK + timedelta(days=1), today)
    weeks = -(-(newest[0] - first).days // _WEEK.days)
    if weeks <= 0:
        return [newest]
    begin = newest[0] - _WEEK * (1 + today.toordinal() % weeks)
    return [newest, (begin, begin + _WEEK - timedelta(days=1))]


def _first_sealed(lake: Lake) -> date | None:
    seals = lake.find(SEALS)
    return None if seals is None else min(seals.read(["day"])["day"].to_pylist(), default=None)
