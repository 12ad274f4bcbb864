"""The sensor that starts the daily job for days whose landed files have changed and then stood still."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from audit_pipeline.components.opening import open_policy, utc_now
from audit_pipeline.policy import Policy
from audit_pipeline.sources.landing import list_landing

NAME = "new_logs"
STILL_FOR = timedelta(minutes=2)
"""How long nothing of a day may change before it is taken in: writers that have begun are not met half-way."""
_MOST_RUNS = 10  # of one tick; the others are asked for by the next ones
_INTERVAL_S = 60


def new_logs_sensor(root: Path, job: dg.JobDefinition | Any) -> dg.SensorDefinition:
    """Off until it is turned on: it starts runs."""

    @dg.sensor(
        name=NAME,
        job=job,
        minimum_interval_seconds=_INTERVAL_S,
        description="Starts the daily job for days with new or changed landed files, once they have stood still.",
    )
    def new_logs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        policy, _ = open_policy(root)
        now = utc_now()
        before = json.loads(context.cursor) if context.cursor else {}
        days, memory = still_days(fingerprints(policy, now.astimezone(UTC).date()), before, now)
        requests = [dg.RunRequest(run_key=f"{day} {mark}", partition_key=day) for day, mark in days]
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(memory))

    return new_logs


def fingerprints(policy: Policy, today: date) -> dict[str, str]:
    """By day: a digest of names, sizes and times of its landed files. Those of streams without dates are today's."""
    hashers: dict[str, Any] = {}
    for stream in policy.streams:
        for landed in list_landing(policy.places.landing, stream):
            day = landed.day or today
            if policy.start <= day <= today:
                line = f"{stream.name} {landed.name} {landed.size} {landed.mtime_ns}\n"
                hashers.setdefault(day.isoformat(), hashlib.sha256()).update(line.encode())
    return {day: hasher.hexdigest()[:16] for day, hasher in sorted(hashers.items())}


def still_days(
    marks: Mapping[str, str], before: Mapping[str, Any], now: datetime
) -> tuple[Sequence[tuple[str, str]], dict[str, Any]]:
    """(the days to run with their fingerprints, what to remember). The newest days come first.

    Remembered are, by day, the fingerprint, since when it is the same, and whether a run was asked for it.
    """
    memory: dict[str, Any] = {}
    due: list[tuple[str, str]] = []
    for day, mark in sorted(marks.items(), reverse=True):
        known, since, is_asked = before.get(day, ("", "", False))
        if known != mark:
            since, is_asked = now.isoformat(), False
        if not is_asked and len(due) < _MOST_RUNS and now - datetime.fromisoformat(since) >= STILL_FOR:
            due.append((day, mark))
            is_asked = True
        memory[day] = (mark, since, is_asked)
    return due, memory
