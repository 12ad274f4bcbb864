"""The job that runs one day's audit, and its schedule."""

from datetime import UTC, timedelta

import dagster as dg

JOB = "daily_audit"
SCHEDULE = "daily_audit_schedule"
EVERY_NIGHT = "30 0 * * *"  # UTC: half an hour for files that were being written at midnight


def build_daily_audit(selection: dg.AssetSelection) -> dg.Definitions:
    """The job `daily_audit` over the selected assets and their checks, and a schedule that runs it for the day before.

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

    return dg.Definitions(jobs=[job], schedules=[schedule])
