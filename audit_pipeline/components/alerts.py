"""The component Alerts: sensors that look for faults, and one that tells people."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from json import dumps, loads
from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from audit_pipeline.alerting import report_faults, tell_people
from audit_pipeline.components.instance_watches import see_checks, see_runs, see_ticks
from audit_pipeline.components.opening import open_policy, utc_now
from audit_pipeline.errors import StorageError
from audit_pipeline.ingest import system_entropy
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.policy.alerting import AlertsAttributes
from audit_pipeline.watches import (
    Memory,
    Seen,
    see_arrivals,
    see_budgets,
    see_controls,
    see_seals,
    see_stores,
    see_verifications,
)

DAILY_JOB = "daily_audit"
TELL_SENSOR = "alerts_told"


@dataclass(frozen=True, slots=True)
class Watch:
    """A sensor that looks for faults of some kinds, and alone answers for them."""

    name: str
    kinds: tuple[str, ...]
    description: str
    look: Callable[[dg.SensorEvaluationContext, Policy, Lake, datetime, Memory], Seen]


def _in_lake(look: Callable[[Policy, Lake, datetime, Memory], Seen]) -> Callable[..., Seen]:
    """A look that needs no instance."""

    def wrapped(context: dg.SensorEvaluationContext, policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
        return look(policy, lake, now, memory)

    return wrapped


def _checks(context: dg.SensorEvaluationContext, policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    if context.repository_def is None:
        raise StorageError(f"{context.sensor_name}: Dagster gave no definitions; reload the code location")
    keys = sorted(context.repository_def.asset_graph.asset_check_keys, key=str)
    return see_checks(context.instance, keys, memory)


def _runs(context: dg.SensorEvaluationContext, policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    return Seen(see_runs(context.instance, now, DAILY_JOB))


def _ticks(context: dg.SensorEvaluationContext, policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    return Seen(see_ticks(context.instance, context.repository_name or "__repository__"))


WATCHES = (
    Watch("checks_watched", ("check_failed", "check_missing"), "Asset checks that failed or did not run.", _checks),
    Watch("runs_watched", ("run_failed",), "Runs that failed, until one of the same job and day goes well.", _runs),
    Watch("seals_watched", ("seal_missing",), "Days that are not sealed by their hour.", _in_lake(see_seals)),
    Watch(
        "verifications_watched", ("verification_failed",), "Evidence that does not hold.", _in_lake(see_verifications)
    ),
    Watch(
        "arrivals_watched",
        ("source_rewritten", "stream_silent"),
        "Sources that were rewritten or truncated with loss; streams that fell silent.",
        _in_lake(see_arrivals),
    ),
    Watch("budgets_watched", ("budget_low",), "Privacy budgets that are nearly spent.", _in_lake(see_budgets)),
    Watch("controls_watched", ("control_failed",), "Controls that went from PASS to FAIL.", _in_lake(see_controls)),
    Watch("stores_watched", ("store_full",), "Disks that are nearly full.", _in_lake(see_stores)),
    Watch("sensors_watched", ("sensor_failing",), "Sensors and schedules whose last tick failed.", _ticks),
)
"""Every kind of fault but `channel_dead`, which who tells people finds."""


class Alerts(dg.Component):
    """Looks for faults and tells people: what, how bad, what to do. Faults, notices and answers are sealed rows."""

    def __init__(self, attributes: AlertsAttributes) -> None:
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return AlertsAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        return cls(attributes if isinstance(attributes, AlertsAttributes) else AlertsAttributes())

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        interval_s = self.attributes.watch.interval_s
        sensors = [_watching(watch, context.project_root, interval_s) for watch in WATCHES]
        return dg.Definitions(sensors=[*sensors, _telling(context.project_root, interval_s)])


def _watching(watch: Watch, root: Path, interval_s: int) -> dg.SensorDefinition:
    @dg.sensor(
        name=watch.name,
        description=watch.description,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        policy, lake = open_policy(root)
        memory = loads(context.cursor) if context.cursor else {}
        seen = watch.look(context, policy, lake, utc_now(), memory)
        rules = policy.alerts.rules()
        rows = report_faults(lake, watch.kinds, seen.faults, rules, now=utc_now, entropy=system_entropy)
        said = ", ".join(f"{row.event} {row.kind} {row.subject}" for row in rows[:10])
        found = f"{len(seen.faults)} faults; {said or 'nothing new'}"
        # The cursor goes on only now: faults that are not written down yet would not be seen again.
        return dg.SensorResult(skip_reason=found, cursor=dumps(seen.memory) if seen.memory else None)

    return look


def _telling(root: Path, interval_s: int) -> dg.SensorDefinition:
    @dg.sensor(
        name=TELL_SENSOR,
        description="Sends what is due through the channels, again until it is taken.",
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def tell(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        policy, lake = open_policy(root)
        told = tell_people(
            lake,
            policy.alerts.rules(),
            policy.alerts.open_channels(os.environ),
            runbooks=policy.alerts.runbooks,
            now=utc_now,
            entropy=system_entropy,
        )
        return dg.SkipReason(f"{told.sent} sent, {told.failed} failed")

    return tell
