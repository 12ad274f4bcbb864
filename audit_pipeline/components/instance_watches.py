"""What can be seen to be wrong by looking at Dagster's instance: runs, asset checks, ticks."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from audit_pipeline.alerts import Fault, Severity, one_word
from audit_pipeline.components.daily_seal import EVIDENCE_HOLDS
from audit_pipeline.components.privacy_summaries import CHECK as BUDGET_LEFT
from audit_pipeline.lake.declared import CONTROL_FINDINGS
from audit_pipeline.watches import Memory, Seen

LOOK_BACK = timedelta(days=7)
_MOST_RUNS = 5000
_PAGE = 200
_PARTITION_TAG, _WILL_RETRY_TAG = "dagster/partition", "dagster/will_retry"
_WHOLE = "whole-table"
_FAILED, _SUCCEEDED, _PLANNED = "FAILED", "SUCCEEDED", "PLANNED"
_SEVERITIES = {dg.AssetCheckSeverity.WARN: Severity.WARNING, dg.AssetCheckSeverity.ERROR: Severity.ERROR}


def see_runs(instance: dg.DagsterInstance, now: datetime, daily_job: str) -> list[Fault]:
    """Runs that failed, and after which none of the same job and partition went well.

    The daily job makes up for assets that somebody started by hand, but not for other jobs of that day.
    """
    ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    filters = dg.RunsFilter(statuses=ended, updated_after=now - LOOK_BACK)
    failed: dict[tuple[str, str], Fault] = {}
    done: set[tuple[str, str]] = set()
    for run in (record.dagster_run for record in instance.get_run_records(filters, limit=_MOST_RUNS)):  # newest first
        item = run.tags.get(_PARTITION_TAG, "")
        key, is_by_hand = (run.job_name, item), run.job_name.startswith("__")
        if run.status is dg.DagsterRunStatus.SUCCESS:
            done.add(key)
        elif key not in done and not (is_by_hand and (daily_job, item) in done) and not _is_retried(run):
            subject = "assets" if is_by_hand else run.job_name
            said = f"run {run.run_id[:8]}"
            failed.setdefault(key, Fault("run_failed", one_word(subject), one_word(item), Severity.ERROR, said))
    return list(failed.values())


def _is_retried(run: dg.DagsterRun) -> bool:
    return run.tags.get(_WILL_RETRY_TAG) == "true"


def see_checks(instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], memory: Memory) -> Seen:
    """Checks whose newest evaluation of a partition failed, and those whose run ended without one.

    An evaluation without a partition looked at all of them. The memory is, by check, the newest row that was read and
    what failed; rows whose run has not ended are read again.
    """
    faults, kept = [], {}
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    for key in keys:
        name = f"{key.asset_key.to_user_string()}:{key.name}"
        before = memory.get(name, {})
        state = {"seen": before.get("seen", 0), "failed": dict(before.get("failed", {}))}
        if key in newest and newest[key].id > state["seen"]:
            _read_evaluations(instance, key, state)
        kept[name] = state
        for partition, (word, kind) in state["failed"].items():
            faults.append(Fault(kind, one_word(name), one_word(partition), Severity.of(word)))
    return Seen(faults, kept)


def _has_own_watch(key: dg.AssetCheckKey) -> bool:
    """Whether what the check finds is rows that another watch reads: one fault is one alert.

    That it did not run is nobody else's to say.
    """
    return key.name in (EVIDENCE_HOLDS, BUDGET_LEFT) or key.asset_key == dg.AssetKey(CONTROL_FINDINGS.name)


def _read_evaluations(instance: dg.DagsterInstance, key: dg.AssetCheckKey, state: dict[str, Any]) -> None:
    records = _records_since(instance, key, state["seen"])
    runs = _runs(instance, {record.run_id for record in records})
    waiting = None
    for record in sorted(records, key=lambda record: record.id):
        run = runs.get(record.run_id)
        partition = record.partition or (run.tags.get(_PARTITION_TAG) if run else None) or _WHOLE
        status = record.status.value
        if status == _FAILED and _has_own_watch(key):
            status = _SUCCEEDED
        if status == _PLANNED and run is not None and not run.is_finished:
            waiting = waiting or record.id
        elif status == _SUCCEEDED and partition == _WHOLE:
            state["failed"].clear()
        elif status == _SUCCEEDED:
            state["failed"].pop(partition, None)
        elif status == _FAILED:
            state["failed"][partition] = (_severity(record).word, "check_failed")
        elif run is None or run.status is not dg.DagsterRunStatus.FAILURE:  # a failed run is an alert of its own
            state["failed"].setdefault(partition, (Severity.WARNING.word, "check_missing"))
    newest = max((record.id for record in records), default=state["seen"])
    state["seen"] = newest if waiting is None else waiting - 1


def _records_since(instance: dg.DagsterInstance, key: dg.AssetCheckKey, seen: int) -> list[Any]:
    """Rows of the check's history after `seen`, page by page from the newest."""
    found: list[Any] = []
    cursor = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(key, limit=_PAGE, cursor=cursor)
        found += [record for record in page if record.id > seen]
        if len(page) < _PAGE or page[-1].id <= seen:
            return found
        cursor = page[-1].id


def _runs(instance: dg.DagsterInstance, ids: set[str]) -> Mapping[str, dg.DagsterRun]:
    if not ids:
        return {}
    return {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=sorted(ids)))}


def _severity(record: Any) -> Severity:
    event = record.event.dagster_event
    return _SEVERITIES[event.asset_check_evaluation_data.severity] if event else Severity.ERROR


def see_ticks(instance: dg.DagsterInstance, repository: str) -> list[Fault]:
    """Sensors and schedules whose newest finished tick failed."""
    faults = []
    for state in instance.all_instigator_state():
        if not state.is_running or state.origin.repository_origin.repository_name != repository:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=3)
        finished = [tick.status.value for tick in ticks if tick.status.value != "STARTED"]
        if finished[:1] == ["FAILURE"]:
            name = state.instigator_name
            faults.append(Fault("sensor_failing", name, name, Severity.ERROR))
    return faults
