"""The job that runs one day's audit, and its schedules."""

import os
from datetime import UTC, timedelta
from pathlib import Path

import dagster as dg

from audit_pipeline.components.run_logs import INGEST_OP, landed_days
from audit_pipeline.policy import load_policy

JOB = "daily_audit"
SCHEDULE = "daily_audit_schedule"
WEEKLY_SCHEDULE = "weekly_rehash_schedule"
REHASH_CONFIG = {"ops": {INGEST_OP: {"config": {"rehash": True}}}}
EVERY_SUNDAY = "0 3 * * 0"  # UTC
EVERY_NIGHT = "30 0 * * *"  # UTC: half an hour for files that were being written at midnight


def build_daily_audit(selection: dg.AssetSelection, root: Path) -> dg.Definitions:
    """The job `daily_audit` over the selected assets and their checks, and its two schedules.

    Each night it runs for the day before; each week for every day that the landing zone of the policy `root` still has,
    reading all files, to find those that were changed and look as they did.

    It runs in one process: a day's steps share libraries that take seconds to load, and the seal is serial anyway.
    """
    job = dg.define_asset_job(
        JOB,
        selection,
        description="Take in one day's logs, seal them, verify the seal, derive the typed view.",
        executor_def=dg.in_process_executor,
    )

    @dg.schedule(name=SCHEDULE, cron_schedule=EVERY_NIGHT, execution_timezone="UTC", job=job)
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """The day that has just ended: with `end_offset=1` the last partition is the day that has just begun."""
        day = (context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    @dg.schedule(name=WEEKLY_SCHEDULE, cron_schedule=EVERY_SUNDAY, execution_timezone="UTC", job=job)
    def weekly(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        week = context.scheduled_execution_time.astimezone(UTC).date()
        policy = load_policy(root, os.environ)
        return [
            dg.RunRequest(run_key=f"rehash {week} {day}", partition_key=day.isoformat(), run_config=REHASH_CONFIG)
            for day in landed_days(policy, week)
        ]

    return dg.Definitions(jobs=[job], schedules=[schedule, weekly])
