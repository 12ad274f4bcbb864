"""What is loaded from the policy folder: an empty load would be silent otherwise."""

import json
import re
import textwrap
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from audit_pipeline.alerts import KINDS
from audit_pipeline.components.alerts import TELL_SENSOR, WATCHES
from audit_pipeline.components.compliance_report import check_name, month_of
from audit_pipeline.components.daily_audit import REHASH_CONFIG
from audit_pipeline.components.run_logs import EVENT_TABLES
from audit_pipeline.definitions import assets_module, build_definitions, defs
from audit_pipeline.errors import PolicyError
from audit_pipeline.policy import load_policy
from audit_pipeline.policy.suites import load_suites
from audit_pipeline.records.events import EVENT_SCHEMAS
from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.facts import Period

REPOSITORY = Path(__file__).resolve().parents[2]
EVIDENCE = {"records", "sources", "daily_merkle_root", "audit_trail", "inventory"}
REPORT = {"control_findings", "compliance_report"}
CLOSING = {"audit_trail", "inventory", "control_findings"}
EVENTS = set(
    "runs annotations generations reward_scores training_metrics policy_updates model_checkpoints log_findings".split()
)
PRIVACY = {"annotator_summaries"}
OWN_FORMAT = (REPOSITORY / "docs" / "your-own-format.md").read_text()


def key_names(keys: object) -> set[str]:
    return {key.to_user_string() for key in keys}  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", ["repository", "project"])
def test_exactly_these_assets_checks_jobs_and_schedules_are_loaded(where: str, project: Path) -> None:
    loaded = build_definitions(REPOSITORY if where == "repository" else project)

    graph = loaded.resolve_asset_graph()
    repository = loaded.get_repository_def()
    quality = where == "repository"
    suites = load_suites(REPOSITORY / "expectations", EVENT_SCHEMAS) if quality else ()
    judged = {f"{suite.table}:{one.name}" for suite in suites for one in suite.expectations}
    controls = {f"control_findings:{check_name(control)}" for control in load_catalogue().controls}
    assets = EVIDENCE | EVENTS | PRIVACY | REPORT
    assert key_names(graph.get_all_asset_keys()) == assets | ({"quality_findings"} if quality else set())
    assert len(controls) == 75
    assert key_names(graph.asset_check_keys) == controls | judged | {
        "records:nothing_lost",
        "daily_merkle_root:evidence_holds",
        "annotator_summaries:budget_left",
    }
    assert {name for name in repository.job_names if not name.startswith("__")} == {
        "daily_audit",
        "daily_closing",
        "weekly_releases",
        "monthly_report",
        "verify_evidence",
    }
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "daily_audit_schedule",
        "daily_closing_schedule",
        "nightly_verification_schedule",
        "weekly_rehash_schedule",
        "weekly_releases_schedule",
        "monthly_report_schedule",
        "weekly_verification_schedule",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "new_logs",
        "privacy_budget",
        TELL_SENSOR,
        *(w.name for w in WATCHES),
    }


def test_what_starts_runs_is_off_and_what_only_looks_is_on(project: Path) -> None:
    repository = build_definitions(project).get_repository_def()

    on = {sensor.name for sensor in repository.sensor_defs if sensor.default_status is dg.DefaultSensorStatus.RUNNING}

    assert on == {TELL_SENSOR, "privacy_budget", *(watch.name for watch in WATCHES)}
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.STOPPED}


def test_each_kind_of_fault_has_one_sensor_that_answers_for_it() -> None:
    assert sorted(kind for watch in WATCHES for kind in watch.kinds) == sorted(KINDS.keys() - {"channel_dead"})


def test_the_code_location_finds_the_policy_that_the_environment_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_POLICY", str(project))

    loaded = defs()

    assert key_names(loaded.resolve_asset_graph().get_all_asset_keys()) == EVIDENCE | EVENTS | PRIVACY | REPORT


def test_the_event_assets_are_the_event_tables() -> None:
    assert EVENT_TABLES.keys() == EVENT_SCHEMAS.keys()


def test_groups_and_dependencies_keep_the_seal_free_of_the_typed_view(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    groups = {node.key.to_user_string(): node.group_name for node in graph.asset_nodes}
    parents = {node.key.to_user_string(): key_names(node.parent_keys) for node in graph.asset_nodes}
    of_group = {"evidence": EVIDENCE, "events": EVENTS, "privacy": PRIVACY, "report": REPORT}
    assert groups == {name: group for group, names in of_group.items() for name in names}
    assert parents["control_findings"] == {"audit_trail", "inventory"}
    assert parents["compliance_report"] == {"control_findings"}
    assert parents["daily_merkle_root"] == {"records", "sources"}
    assert parents["audit_trail"] == {"daily_merkle_root"}
    assert parents["inventory"] == {"daily_merkle_root", "audit_trail", *EVENTS}
    assert [parents[name] for name in EVENTS] == [{"records"}] * len(EVENTS)


def test_partitions_are_the_days_from_the_policys_start_to_today(definitions: dg.Definitions, project: Path) -> None:
    for node in definitions.resolve_asset_graph().asset_nodes:
        if node.key.to_user_string() in {"compliance_report", *PRIVACY}:
            continue  # have months and weeks
        days = node.partitions_def.get_partition_keys(current_time=datetime(2026, 3, 5, 10, tzinfo=UTC))

        assert date.fromisoformat(days[0]) == load_policy(project, {}).start
        assert days[-1] == "2026-03-05"


def test_the_nightly_run_is_for_the_day_before(definitions: dg.Definitions) -> None:
    """With `end_offset=1` the last partition is the day that has only begun."""
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("daily_audit_schedule")
    at = datetime(2026, 3, 5, 0, 30, tzinfo=UTC)
    tick = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)

    requests = schedule.evaluate_tick(tick).run_requests

    assert len({request.run_key for request in requests}) == len(requests)
    assert schedule.cron_schedule == "30 0 * * *"
    assert schedule.execution_timezone == "UTC"
    assert [request.partition_key for request in requests] == ["2026-03-04"]


def test_nights_that_were_missed_and_late_files_are_caught_up_each_day_once(project: Path) -> None:
    """After some nights Dagster ticks for each that it missed, all at once."""
    landing = load_policy(project, {}).places.landing
    for day in ("2026-02-10", "2026-03-02", "2026-03-03"):
        (landing / "runs" / day).mkdir(parents=True)
        (landing / "runs" / day / "a.jsonl").write_text("{}\n")
    repository = build_definitions(project).get_repository_def()
    schedule = repository.get_schedule_def("daily_audit_schedule")
    keys: dict[str, set[str | None]] = {}

    for tick in (3, 4, 5):
        at = datetime(2026, 3, tick, 0, 30, tzinfo=UTC)
        context = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
        requests = schedule.evaluate_tick(context).run_requests
        for request in requests:
            keys.setdefault(request.partition_key or "", set()).add(request.run_key)

    days = [request.partition_key for request in requests]
    # From the first day with files on, none is left out: a day without files is sealed as empty.
    assert days == [str(date(2026, 2, 10) + timedelta(days=n)) for n in range(23)]
    assert {len(found) for found in keys.values()} == {1}


def test_the_weekly_run_reads_every_day_that_still_has_files(project: Path) -> None:
    """Days before the policy's start and days to come are not its own."""
    for day in ("2025-12-31", "2026-02-01", "2026-02-07", "2026-03-09"):
        path = load_policy(project, {}).places.landing / "runs" / day / "a.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("{}\n")
    repository = build_definitions(project).get_repository_def()
    schedule = repository.get_schedule_def("weekly_rehash_schedule")
    at = datetime(2026, 3, 8, 3, 0, tzinfo=UTC)
    tick = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)

    requests = schedule.evaluate_tick(tick).run_requests

    assert schedule.cron_schedule == "0 3 * * 0"
    assert [request.partition_key for request in requests] == ["2026-02-01", "2026-02-07"]
    assert {str(request.run_config) for request in requests} == {str(REHASH_CONFIG)}


def test_the_monthly_report_is_of_the_month_that_has_ended(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def("monthly_report_schedule")
    at = datetime(2026, 3, 2, 4, tzinfo=UTC)
    tick = dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)

    requests = schedule.evaluate_tick(tick).run_requests

    assert [request.partition_key for request in requests] == ["2026-02-01"]
    assert month_of(date(2026, 2, 1)) == Period(date(2026, 2, 1), date(2026, 2, 28))
    assert month_of(date(2026, 12, 1)) == Period(date(2026, 12, 1), date(2026, 12, 31))


def test_own_controls_and_thresholds_of_the_policy_are_checks_too(project: Path) -> None:
    file = project / "assets/report/defs.yaml"
    file.write_text(
        file.read_text()
        + "  thresholds:\n    EUA-14-01: {max_stop_s: 60}\n"
        + "  controls:\n    - {id: OWN-1, framework: House rules, reference: R1, binding: own, severity: low,"
        + " requirement: A board paper is on file., document: board_paper, cannot_show: What it says.}\n"
    )

    checks = key_names(build_definitions(project).resolve_asset_graph().asset_check_keys)

    assert "control_findings:own_1" in checks
    file.write_text(file.read_text().replace("OWN-1", "INT-01"))
    with pytest.raises(PolicyError, match="id is there twice"):
        build_definitions(project)


def test_the_job_runs_everything_in_one_process(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("daily_audit")

    assert job.executor_def is dg.in_process_executor
    assert key_names(job.asset_layer.selected_asset_keys) == EVIDENCE | EVENTS
    assert key_names(job.asset_layer.asset_graph.asset_check_keys) == {
        "records:nothing_lost",
        "daily_merkle_root:evidence_holds",
    }


def test_controls_are_judged_when_the_day_has_had_its_closing_seal(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    job = definitions.resolve_job_def("daily_closing")
    schedule = repository.get_schedule_def("daily_closing_schedule")
    at = datetime(2026, 3, 5, 6, tzinfo=UTC)

    requests = schedule.evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository)
    ).run_requests

    assert key_names(job.asset_layer.selected_asset_keys) == CLOSING
    assert len(job.asset_layer.asset_graph.asset_check_keys) == 75
    assert [request.partition_key for request in requests] == ["2026-03-04"]


def test_unknown_attributes_are_refused_with_file_and_line(project: Path) -> None:
    file = project / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text().replace("path:", "pth:"))

    with pytest.raises(PolicyError, match=r"defs\.yaml:9: streams\.0\.pth: unknown key; did you mean path\?"):
        build_definitions(project)


def test_a_component_alone_refuses_unknown_attributes_too(project: Path) -> None:
    """A project that is no policy folder has Dagster alone to read its YAML."""
    file = project / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text().replace("path:", "pth:"))

    tree = dg.ComponentTree.from_module(defs_module=assets_module(project), project_root=project)

    with pytest.raises(Exception, match="run_logs") as refused:
        tree.build_defs()
    assert f"{file}:7" in str(refused.value.__cause__)


@pytest.mark.parametrize("start", ['"2026-02-01"', "2026-02-01"])
def test_a_start_may_be_written_with_or_without_quotes(project: Path, start: str) -> None:
    for name in ("run_logs", "seal", "privacy", "report"):
        file = project / "assets" / name / "defs.yaml"
        file.write_text(file.read_text().replace('"2026-01-01"', start))

    graph = build_definitions(project).resolve_asset_graph()

    firsts = {
        node.partitions_def.get_first_partition_key()
        for node in graph.asset_nodes
        if node.key.to_user_string() != "compliance_report"
    }
    assert firsts == {"2026-02-01", "2026-02-02"}  # a Sunday; weeks of summaries begin with the Monday in it


def test_the_columns_of_the_docs_example_load_as_policy_and_component(project: Path) -> None:
    example = re.search(r"^```yaml\n(.*?)^```$", OWN_FORMAT, re.MULTILINE | re.DOTALL)
    assert example is not None
    file = project / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text().rstrip("\n") + "\n" + textwrap.indent(example[1], "    "))

    build_definitions(project).resolve_asset_graph()

    crowd = next(stream for stream in load_policy(project, {}).streams if stream.name == "crowd")
    assert crowd.format == "mapped_csv"
    assert json.loads(crowd.mapping or "")["outcomes"] == {"left": "a", "right": "b", "tie": "tie"}
