"""One day through Dagster, as a run of the daily job sees it."""

import hashlib
import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.components import specs
from audit_pipeline.components.daily_seal import data_files_written
from audit_pipeline.components.run_logs import landed_days
from audit_pipeline.demo import flip_bit
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import load_policy
from audit_pipeline.verify import verify
from tests.components.conftest import QUIET, YESTERDAY, checks, land, metadata, run_job

ROLLOUTS = b'{"input": "a", "output": "b", "score": 1.0, "step": 1}\n' * 3


@pytest.fixture
def project(project: Path) -> Path:
    """Evidence alone: controls and summaries have tests of their own."""
    for name in ("privacy", "report"):
        shutil.rmtree(project / "assets" / name)
    return project


def evidence_files(project: Path) -> dict[str, bytes]:
    places = load_policy(project, {}).places
    folders = (places.lake, places.evidence, places.log, places.keys)
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_day_is_taken_in_sealed_and_verified(project: Path, definitions: dg.Definitions) -> None:
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    land(project, "notes.jsonl", b'{"a": 1}\nnot json\n')

    finished = run_job(definitions)

    assert finished.success
    assert checks(finished) == {"nothing_lost": True, "evidence_holds": True}
    found = verify(open_lake(load_policy(project, {}).places))
    assert found.problems == ()
    assert (found.days, found.records, found.unsealed_records) == (1, 5, 0)


def test_runs_say_what_a_person_wants_to_know(project: Path, definitions: dg.Definitions) -> None:
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    land(project, "notes.jsonl", b'{"a": 1}\nnot json\n')

    finished = run_job(definitions)

    records, sources = metadata(finished, "records"), metadata(finished, "sources")
    seal, scores = metadata(finished, "daily_merkle_root"), metadata(finished, "reward_scores")
    (stream,) = [row.data for row in records[specs.STREAMS].records]
    assert (stream["stream"], stream["files"], stream["records"], stream["quarantined"]) == ("runs", "2", "5", "1")
    assert (records[specs.RECORDS], records[specs.QUARANTINED]) == (5, 1)
    formats = {row.data["format"]: row.data["because"] for row in sources[specs.FORMATS].records}
    assert "verl_rollouts" in formats
    assert all(formats.values())
    assert (seal[specs.LOG_SIZE], seal[specs.LOG_INDEX], seal[specs.SEGMENT], seal[specs.IS_NEW]) == (1, 0, 1, True)
    assert len(str(seal[specs.DAY_ROOT])) == 64
    assert "example.com/audit" in str(seal[specs.CHECKPOINT])
    assert scores[specs.ROWS_ADDED] == 3
    assert all(key.startswith("audit/") for shown in (records, sources, seal, scores) for key in shown)


def test_the_seal_is_told_which_data_files_the_run_wrote(project: Path, definitions: dg.Definitions) -> None:
    """What the records asset says is what the seal finds; a file that was changed between the two is not signed."""
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    partition = {"partition_key": YESTERDAY.isoformat(), "raise_on_error": False, "run_config": QUIET}
    job = definitions.resolve_job_def("daily_audit")

    with dg.DagsterInstance.ephemeral() as instance:
        taken_in = job.execute_in_process(instance=instance, op_selection=["ingest_day"], **partition)
        said = metadata(taken_in, "records")[specs.DATA_FILES]
        with dg.build_asset_context(instance=instance, partition_key=YESTERDAY.isoformat()) as context:
            assert data_files_written(context) == said
        (path,) = (load_policy(project, {}).places.lake / "restricted/records").rglob("1.parquet")
        assert said == {f"runs/{YESTERDAY}/1.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}
        flip_bit(path)
        refused = job.execute_in_process(instance=instance, op_selection=["daily_merkle_root"], **partition)
        assert not refused.success
        flip_bit(path)
        sealed = job.execute_in_process(instance=instance, op_selection=["daily_merkle_root"], **partition)

    assert sealed.success


def test_a_second_run_changes_no_evidence(project: Path, definitions: dg.Definitions) -> None:
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    run_job(definitions)
    before = evidence_files(project)

    finished = run_job(definitions)

    assert finished.success
    assert evidence_files(project) == before
    assert metadata(finished, "daily_merkle_root")[specs.IS_NEW] is False


def test_the_seal_carries_the_policys_digest(project: Path, definitions: dg.Definitions) -> None:
    run_job(definitions)

    policy = load_policy(project, {})
    (draft,) = (policy.places.evidence / "_seals" / YESTERDAY.isoformat()).iterdir()
    assert f"\npolicy {policy.digest}\n" in draft.read_text()


def test_a_changed_row_fails_the_check_and_names_the_day(project: Path, definitions: dg.Definitions) -> None:
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    run_job(definitions)
    lake = load_policy(project, {}).places.lake
    (data,) = (lake / "restricted/records/runs").rglob("*.parquet")
    flip_bit(data)

    finished = run_job(definitions)

    assert checks(finished) == {"nothing_lost": True, "evidence_holds": False}
    (failed,) = [check for check in finished.get_asset_check_evaluations() if not check.passed]
    assert failed.severity is dg.AssetCheckSeverity.ERROR
    found = {(row.data["table"], row.data["day"]) for row in failed.metadata[specs.PROBLEMS].value.records}
    assert ("records", YESTERDAY.isoformat()) in found


@pytest.mark.parametrize("with_partition", [True, False])
def test_a_file_that_landed_too_late_fails_the_check(
    project: Path, definitions: dg.Definitions, with_partition: bool
) -> None:
    """A check of its own, as the UI can run it, looks at its partition's day, or without one at every day."""
    land(project, "verl/rollouts/1.jsonl", ROLLOUTS)
    run_job(definitions)
    land(project, "verl/rollouts/2.jsonl", ROLLOUTS)

    if with_partition:
        finished = run_job(definitions, op_selection=["records_nothing_lost"])
    else:
        check = dg.AssetCheckKey(dg.AssetKey("records"), "nothing_lost")
        alone = dg.define_asset_job("alone", dg.AssetSelection.checks(check), executor_def=dg.in_process_executor)
        job = dg.Definitions.merge(definitions, dg.Definitions(jobs=[alone])).resolve_job_def("alone")
        finished = job.execute_in_process(run_config=QUIET)

    assert checks(finished) == {"nothing_lost": False}
    (evaluation,) = finished.get_asset_check_evaluations()
    (row,) = evaluation.metadata[specs.LOST].value.records
    assert "verl/rollouts/2.jsonl" in row.data["file"]


def test_days_before_the_start_and_to_come_are_not_looked_at(project: Path) -> None:
    """No run takes them in, so a check over all days would never hold."""
    policy = load_policy(project, {})
    today = YESTERDAY + timedelta(days=1)
    for day in (policy.start - timedelta(days=1), policy.start, YESTERDAY, today, today + timedelta(days=1)):
        land(project, "a.jsonl", b"{}\n", day)

    assert landed_days(policy, today) == [policy.start, YESTERDAY, today]


def test_a_project_whose_streams_are_not_the_policys_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seal carries the digest of the policy, so what was audited must be what the policy says."""
    definitions = load_with_streams(tmp_path / "other", "votes")
    monkeypatch.setenv("AUDIT_POLICY", str(project))

    finished = run_job(definitions)

    (failure,) = finished.get_step_failure_events()
    error = failure.step_failure_data.error
    assert "make them the same" in str(error)
    assert not (load_policy(project, {}).places.lake / "restricted").exists()


def load_with_streams(root: Path, stream: str) -> dg.Definitions:
    """Definitions of a project that is no policy folder: it has no workspace.yaml."""
    from audit_pipeline.definitions import build_definitions
    from audit_pipeline.policy import init_project

    init_project(root)
    (root / "workspace.yaml").unlink()
    file = root / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text().replace("name: runs", f"name: {stream}"))
    return build_definitions(root)
