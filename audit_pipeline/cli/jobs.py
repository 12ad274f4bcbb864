"""The daily job, run in this process on a Dagster instance that the UI shows as well."""

import functools
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from audit_pipeline.components import specs
from audit_pipeline.components.daily_audit import CLOSING_JOB, JOB, REHASH_CONFIG
from audit_pipeline.components.privacy_summaries import job_name
from audit_pipeline.definitions import build_definitions
from audit_pipeline.errors import AuditError, ProofError, StorageError
from audit_pipeline.policy import policy_digest
from audit_pipeline.privacy.release import Release
from audit_pipeline.privacy.unit import Window

INSTANCE_YAML = """\
# Written once; yours to change. Runs that the UI starts wait for each other: they work on the same tables.
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
"""
_REFUSED = (ProofError.__name__, StorageError.__name__)  # not UnreachableError, which another try may be spared
_OUR_CLASS = re.compile(rf"^{re.escape(AuditError.__module__)}\.\w+: ")  # its words are for whoever reads them
# A failure is told in one line here; its whole story is in the run, which the UI shows.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class DayRun:
    """One run of the daily job, or of the closing one."""

    day: date
    run_id: str
    errors: tuple[str, ...]
    """Steps that ended in an error, one line each: what they would have shown is not known."""
    failures: tuple[str, ...]
    """What is not as it must be, and checks that failed, one line each."""
    findings: tuple[str, ...]
    """What the suites and the controls found to be wrong, one line each."""
    warnings: int
    """Expectations besides that do not hold."""
    controls: Mapping[str, int]
    """How many controls have each status; empty where none were judged."""


def prepare_instance(folder: Path) -> None:
    """Make `folder` a Dagster home, with our settings unless it has some."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (settings := folder / "dagster.yaml").exists():
        settings.write_text(INSTANCE_YAML)


def run_days(root: Path, instance_folder: Path, days: list[date], *, rehash: bool = False) -> Iterator[DayRun]:
    """Run the daily job of the policy in `root` for each day, in order. A day that fails does not stop the next one."""
    prepare_instance(instance_folder)
    yield from _run_days(_load(root).resolve_job_def(JOB), instance_folder, days, REHASH_CONFIG if rehash else {})


def run_closing(root: Path, instance_folder: Path, day: date) -> DayRun:
    """Seal what was written about the day since it was taken in, and judge the controls on it."""
    (done,) = _run_days(_load(root).resolve_job_def(CLOSING_JOB), instance_folder, [day], {})
    return done


def _run_days(
    job: dg.JobDefinition, instance_folder: Path, days: Sequence[date], config: Mapping[str, Any]
) -> Iterator[DayRun]:
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        for day in days:
            finished = job.execute_in_process(
                partition_key=day.isoformat(),
                instance=instance,
                run_config={**_QUIET, **config},
                raise_on_error=False,
            )
            yield _day_run(day, finished)


@dataclass(frozen=True, slots=True)
class ReleaseRun:
    """One run of a release of one window."""

    release: str
    window: str
    run_id: str
    errors: tuple[str, ...]
    failures: tuple[str, ...]


def run_releases(root: Path, instance_folder: Path, releases: Sequence[tuple[Release, Window]]) -> Iterator[ReleaseRun]:
    """Run each release of each window, in order, on the instance; what is published already is not drawn again."""
    if not releases:
        return
    prepare_instance(instance_folder)
    definitions = _load(root)
    with dg.DagsterInstance.from_config(str(instance_folder)) as instance:
        for release, window in releases:
            finished = definitions.resolve_job_def(job_name(release.cadence)).execute_in_process(
                partition_key=window.first.isoformat(),
                asset_selection=[dg.AssetKey(release.name)],
                instance=instance,
                run_config=_QUIET,
                raise_on_error=False,
            )
            yield ReleaseRun(release.name, str(window), finished.run_id, *map(tuple, _failures(finished)))


def _load(root: Path) -> dg.Definitions:
    return _load_once(root, policy_digest(root))


@functools.lru_cache(maxsize=1)
def _load_once(root: Path, digest: str) -> dg.Definitions:
    """The definitions of the policy whose files have this digest; one command asks for them up to three times."""
    with warnings.catch_warnings():
        # Dagster warns of its own use of its beta classes when it loads YAML.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return build_definitions(root)


def _day_run(day: date, finished: dg.ExecuteInProcessResult) -> DayRun:
    evaluations = finished.get_asset_check_evaluations()
    failed = [check for check in evaluations if not check.passed]
    critical = [check for check in failed if check.severity == dg.AssetCheckSeverity.ERROR]
    errors, refused = _failures(finished)
    failures = [*refused, *(_line(check) for check in critical if not _judges(check))]
    findings = [_line(check) for check in critical if _judges(check)]
    warnings = [check for check in failed if check not in critical and specs.STATE in check.metadata]
    judged = [check.metadata[specs.STATUS].value for check in evaluations if specs.STATUS in check.metadata]
    return DayRun(
        day, finished.run_id, tuple(errors), tuple(failures), tuple(findings), len(warnings), Counter(map(str, judged))
    )


def _judges(check: dg.AssetCheckEvaluation) -> bool:
    """Whether a check is of an expectation or a control: it says what the data is, not whether the day was taken in."""
    return specs.STATE in check.metadata or specs.STATUS in check.metadata


def _line(check: dg.AssetCheckEvaluation) -> str:
    said = f": {check.description}" if check.description else ""
    return f"check {check.check_name} on {check.asset_key.to_user_string()}: does not hold{said}"


def _failures(finished: dg.ExecuteInProcessResult) -> tuple[list[str], list[str]]:
    """(steps that ended in an error, steps that found a lake that is not as it must be), a line each."""
    errors, refused = list[str](), list[str]()
    for event in finished.get_step_failure_events():
        error = event.step_failure_data.error
        while error is not None and error.cause is not None and (error.cls_name or "").startswith("Dagster"):
            error = error.cause  # below Dagster's own frames is the error that an asset raised
        line = f"{event.step_key}: {_OUR_CLASS.sub('', ' '.join(error.message.split())) if error else 'failed'}"
        (refused if error is not None and error.cls_name in _REFUSED else errors).append(line)
    if not finished.success and not finished.get_step_failure_events():
        errors.append("the run failed")
    return errors, refused
