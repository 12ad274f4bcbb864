"""Releases through Dagster: what the UI shows, what it must not, and how the budget is watched."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from audit_pipeline.components import privacy_summaries, specs
from audit_pipeline.components.charts import interval_chart
from audit_pipeline.components.privacy_summaries import CHART, MANIFEST, NUMBERS, PRICE, judge_budget
from audit_pipeline.definitions import build_definitions
from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import load_policy
from audit_pipeline.privacy.unit import Window
from audit_pipeline.releasing.due import LOOK_BACK, due_releases, fell_due
from audit_pipeline.releasing.state import BudgetState
from audit_pipeline.verify import verify
from tests.components.conftest import QUIET, YESTERDAY, metadata, run_job
from tests.privacy.annotated import put_annotations, seal_empty_day
from tests.privacy.audits import Stub
from tests.privacy_rows import adversaries, base_rows

RELEASE = "annotator_summaries"


@pytest.fixture
def daily(project: Path) -> Path:
    """The project with daily releases, and yesterday sealed."""
    file = project / "assets/privacy/defs.yaml"
    file.write_text(file.read_text().replace("window: weekly", "window: daily"))
    assert run_job(build_definitions(project)).success
    return project


def publish(project: Path, instance: dg.DagsterInstance, day: date = YESTERDAY) -> dg.ExecuteInProcessResult:
    job = build_definitions(project).resolve_job_def("daily_releases")
    return job.execute_in_process(
        partition_key=day.isoformat(), instance=instance, run_config=QUIET, raise_on_error=False
    )


def test_a_release_is_shown_as_a_table_and_a_chart_with_its_price(daily: Path) -> None:
    put_annotations(open_lake(load_policy(daily, {}).places), base_rows(), YESTERDAY)

    with dg.DagsterInstance.ephemeral() as instance:
        finished = publish(daily, instance)
        shown = metadata(finished, RELEASE)
        again = metadata(publish(daily, instance), RELEASE)

    assert finished.success
    rows = [row.data for row in shown[NUMBERS].records]
    assert {row["statistic"] for row in rows} >= {"annotators", "judgements", "outcomes", "agreement"}
    assert all(row["lower"] and row["upper"] for row in rows if row["value"])
    assert "●" in str(shown[CHART])
    assert str(shown[PRICE]).startswith("rho 0.0096 of 0.5 a year (epsilon 0.6")
    assert shown[MANIFEST]["privacy_loss"]["privacy_unit"].startswith("one annotator")
    assert (shown[specs.IS_NEW], again[specs.IS_NEW]) == (True, False)
    assert again[NUMBERS] == shown[NUMBERS]
    assert len(open_lake(load_policy(daily, {}).places).open(LEDGER).read(["number"])) == 1


def test_what_was_released_is_sealed_and_verifies(daily: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert publish(daily, instance).success
    assert run_job(build_definitions(daily)).success

    lake = open_lake(load_policy(daily, {}).places)
    found = verify(lake)

    assert found.problems == ()
    sources = lake.find_named("sources").read(["stream", "path"]).to_pylist()  # type: ignore[union-attr]
    audited = {row["path"].split("/")[0] for row in sources if row["stream"] == "_audit"}
    assert audited >= {"privacy_ledger", "releases"}


def told(instance: dg.DagsterInstance, finished: dg.ExecuteInProcessResult, root: Path) -> list[str]:
    """Everything that Dagster keeps of a run, but for ids, times and places, which no row decides."""
    kept = []
    for record in instance.get_records_for_run(finished.run_id).records:
        entry = record.event_log_entry
        event = entry.dagster_event
        said: dict[str, Any] = {"message": entry.user_message, "type": event and event.event_type_value}
        if event is not None and event.is_step_materialization:
            said["metadata"] = _values(event.step_materialization_data.materialization.metadata)
        if event is not None and event.is_failure:
            said["error"] = str(event.event_specific_data)
        text = json.dumps(said, sort_keys=True, default=str)
        for id_ in (finished.run_id, str(root)):
            text = text.replace(id_, "-")
        if "Finished execution of step" in text or "Executing steps in process" in text or "pid" in text:
            continue  # times and process ids
        kept.append(text)
    return kept


def _values(found: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    values = {key: str(value.value) for key, value in found.items()}
    manifest = dict(found[MANIFEST].value)  # type: ignore[call-overload]
    # The one thing of the rows: a digest of which were read, hidden by a nonce.
    manifest["reservation"] = {**manifest["reservation"], "input": "-"}
    return {**values, MANIFEST: json.dumps(manifest)}


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_that_dagster_keeps_depends_on_rows_but_through_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """With a mechanism that says nothing, and with an engine that fails and quotes the row it fails at."""
    from audit_pipeline.privacy import statistics

    monkeypatch.setattr(privacy_summaries, "OpenDpNoise", Stub)
    if fails:
        monkeypatch.setattr(
            statistics.Count, "exact", lambda self, query: query("SELECT question::INTEGER FROM chosen")
        )
    seen = []
    for name in ("alone", "floods many keys", "says inf", "has no name"):
        root = tmp_path / name.replace(" ", "-")
        make_daily_project(root)
        lake = open_lake(load_policy(root, {}).places)
        put_annotations(lake, base_rows(rows=60), YESTERDAY)
        if name != "alone":
            put_annotations(lake, adversaries(flood=60)[name], YESTERDAY)
        with dg.DagsterInstance.ephemeral() as instance:
            finished = publish(root, instance)
            assert finished.success is not fails
            seen.append(told(instance, finished, root))

    assert all(public == seen[0] for public in seen), "EVE can be seen in Dagster's event log"
    if fails:
        assert any("the bounded rows could not be aggregated" in line for line in seen[0])
        assert not any("rare" in line or "helpful" in line for line in seen[0])


def make_daily_project(root: Path) -> None:
    import os

    from audit_pipeline.lake.keys import make_keys
    from audit_pipeline.policy import init_project
    from tests.privacy.annotated import seal_empty_day

    init_project(root)
    file = root / "assets/privacy/defs.yaml"
    file.write_text(file.read_text().replace("window: weekly", "window: daily"))
    policy = load_policy(root, {})
    make_keys(policy.places.keys, "example.com/audit", os.urandom, None)
    policy.places.landing.mkdir()
    seal_empty_day(open_lake(policy.places), policy.digest, YESTERDAY)


def test_a_release_beyond_the_budget_fails_in_one_line(daily: Path) -> None:
    file = daily / "assets/privacy/defs.yaml"
    file.write_text(file.read_text().replace("rho: 0.5", "rho: 0.0097").replace("max_windows: 52", "max_windows: 1"))
    raised = file.read_text()

    with dg.DagsterInstance.ephemeral() as instance:
        assert publish(daily, instance, YESTERDAY - timedelta(days=1)).success
        file.write_text(raised.replace("max_rows: 50", "max_rows: 49"))  # another question about the same window
        refused = publish(daily, instance, YESTERDAY - timedelta(days=1))

    (failure,) = refused.get_step_failure_events()
    assert "nothing more of it is released" in str(failure.step_failure_data.error)
    lake = open_lake(load_policy(daily, {}).places)
    assert len(lake.open(RELEASES).read(["release"])) == 1


@pytest.mark.parametrize(
    ("left", "passed", "severity"),
    [("0.5", True, None), ("0.03", False, dg.AssetCheckSeverity.WARN), ("0.009", False, dg.AssetCheckSeverity.ERROR)],
)
def test_the_check_warns_before_the_budget_ends_and_fails_after(
    project: Path, left: str, passed: bool, severity: dg.AssetCheckSeverity | None
) -> None:
    plan = load_policy(project, {}).summaries
    assert plan is not None
    state = BudgetState(
        "2026", Fraction("0.5"), Fraction("0.5") - Fraction(left), Fraction(0), Fraction(0), Fraction(1), 1e-6, 9
    )

    found, how_bad = judge_budget(state, plan.releases[0])

    assert found is passed
    assert severity is None or how_bad is severity


def test_the_sensor_tells_of_the_budget_when_it_changed(daily: Path) -> None:
    definitions = build_definitions(daily)
    sensor = definitions.get_repository_def().get_sensor_def("privacy_budget")

    with dg.DagsterInstance.ephemeral() as instance:
        first = sensor(dg.build_sensor_context(instance=instance))
        same = sensor(dg.build_sensor_context(instance=instance, cursor=first.cursor))
        assert publish(daily, instance).success
        after = sensor(dg.build_sensor_context(instance=instance, cursor=first.cursor))

    assert isinstance(first, dg.SensorResult)
    assert isinstance(same, dg.SkipReason)
    (event,) = after.asset_events
    assert (event.check_name, event.passed) == ("budget_left", True)
    (row,) = event.metadata[privacy_summaries.BUDGET].value.records
    assert (row.data["spent"], row.data["left"]) == ("0.0096", "0.4904")


def test_the_schedule_asks_for_weeks_that_are_over_and_for_revisions_that_are_due(project: Path) -> None:
    policy = load_policy(project, {})
    seal_empty_day(open_lake(policy.places), policy.digest, date(2026, 2, 2))
    file = project / "assets/privacy/defs.yaml"
    file.write_text(file.read_text().replace("max_windows: 52", "max_windows: 26\n      revisions: [28]"))
    repository = build_definitions(project).get_repository_def()
    schedule = repository.get_schedule_def("weekly_releases_schedule")
    at = datetime(2026, 3, 9, 4, tzinfo=UTC)

    tick = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository))

    assert schedule.cron_schedule == "0 4 * * 1"
    assert [(r.partition_key, r.run_key) for r in tick.run_requests] == [
        ("2026-02-02", f"{RELEASE} 2026-02-02 1"),
        ("2026-02-09", f"{RELEASE} 2026-02-09 0"),
        ("2026-02-16", f"{RELEASE} 2026-02-16 0"),
        ("2026-02-23", f"{RELEASE} 2026-02-23 0"),
        ("2026-03-02", f"{RELEASE} 2026-03-02 0"),
    ]


def test_a_window_is_due_until_it_is_published_and_none_from_before_the_first_seal(daily: Path) -> None:
    policy = load_policy(daily, {})
    assert policy.summaries is not None
    today = datetime.now(UTC).date()
    lake = open_lake(policy.places)
    before = due_releases(lake, policy.summaries, "daily", today)
    with dg.DagsterInstance.ephemeral() as instance:
        assert publish(daily, instance).success

    assert [window for _, window in before] == [Window("daily", YESTERDAY)]
    assert due_releases(lake, policy.summaries, "daily", today) == []
    assert len(fell_due(policy.summaries, "daily", today)) == LOOK_BACK.days


def test_a_chart_has_a_line_for_each_number_and_says_where_there_is_none() -> None:
    numbers = [
        {"statistic": "wins", "key": "a / b", "value": 0.5, "lower": 0.0, "upper": 1.0},
        {"statistic": "wins", "key": "a / c", "value": None, "lower": None, "upper": None},
        {"statistic": "mean", "key": "", "value": 3.0, "lower": 3.0, "upper": 3.0},
    ]

    lines = interval_chart(numbers).splitlines()

    assert lines[0] == "```text"
    assert lines[1] == "wins  (0 to 1)"
    assert lines[2].startswith("  a / b ├")
    assert lines[2].count("●") == 1
    assert lines[3].endswith("too few to say")
    assert len(lines) == 7
