"""The component ExpectationSuites on a real Dagster instance: on this lake, and alone on another project's tables."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake

from audit_pipeline.components import specs
from audit_pipeline.components.expectation_suites import CHECKS_OP
from audit_pipeline.definitions import assets_module, build_definitions
from audit_pipeline.errors import PolicyError
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import load_policy
from audit_pipeline.verify import verify
from tests.components.conftest import QUIET, land, metadata, run_job

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "quality.md").read_text()
DIVERGED = (
    b'{"loss": 0.7, "grad_norm": 1.5, "learning_rate": 1e-05, "epoch": 0.1, "step": 1}\n'
    b'{"loss": 0.0, "grad_norm": NaN, "learning_rate": 1e-05, "epoch": 0.2, "step": 2}\n'
)


@pytest.fixture
def judged_project(project: Path) -> Path:
    """The project with the shipped component, and the suites of two tables."""
    shutil.copytree(REPOSITORY / "assets/quality", project / "assets/quality")
    for file in (project / "expectations").glob("*.json"):
        if file.stem not in ("policy_updates", "training_metrics"):
            file.unlink()
    return project


def evaluations(finished: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{found.asset_key.to_user_string()}:{found.check_name}": found
        for found in finished.get_asset_check_evaluations()
    }


def value(evaluation: dg.AssetCheckEvaluation, key: str) -> object:
    return evaluation.metadata[key].value


def test_the_daily_job_judges_the_day_and_each_expectation_is_a_check(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)

    finished = run_job(build_definitions(judged_project))

    assert finished.success
    found = evaluations(finished)
    hidden = found["policy_updates:divergence_hidden"]
    assert (hidden.passed, hidden.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert (value(hidden, specs.STATE), value(hidden, specs.FAILING), value(hidden, specs.RECORDS)) == ("failed", 1, 2)
    (row,) = value(hidden, specs.FAILING_ROWS).records  # type: ignore[attr-defined]
    assert row.data["event_id"].startswith(f"{row.data['source_id']}-0-0-1")
    assert row.data["position"] == "1"
    assert "unexpected_rows_query" in value(hidden, specs.EXPECTED)  # type: ignore[operator]
    assert Path(str(value(hidden, specs.PAGE))).is_file()
    warned = found["training_metrics:metrics_finite"]
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found["policy_updates:lr_in_range"].passed


def test_what_is_not_judged_says_so_and_is_no_failure(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)

    finished = run_job(build_definitions(judged_project))

    volume = evaluations(finished)["policy_updates:volume"]
    assert volume.passed
    assert value(volume, specs.STATE) == "not_judged"
    assert (volume.description or "").startswith("NOT JUDGED: too little history")
    assert metadata(finished, "quality_findings")["audit/not_judged"] > 0  # type: ignore[operator]


def test_the_evidence_never_waits_and_findings_are_sealed_in_the_same_run(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)

    finished = run_job(build_definitions(judged_project))

    assert metadata(finished, "inventory")
    lake = open_lake(load_policy(judged_project, {}).places)
    found = verify(lake)
    assert (found.problems, found.unsealed_records) == ((), 0)
    paths = lake.find_named("sources").read(["stream", "path"]).to_pylist()  # type: ignore[union-attr]
    assert ("_audit", "quality_findings/00000000000000000001.jsonl") in [(r["stream"], r["path"]) for r in paths]
    checks = build_definitions(judged_project).resolve_asset_graph()
    assert not [key for key in checks.asset_check_keys if checks.get_check_spec(key).blocking]


def test_a_second_run_judges_nothing_again(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)
    definitions = build_definitions(judged_project)
    run_job(definitions)

    finished = run_job(definitions)

    assert metadata(finished, "quality_findings")[specs.IS_NEW] is False
    assert metadata(finished, "quality_findings")[specs.ROUND] == 1
    assert not evaluations(finished)["policy_updates:divergence_hidden"].passed


def test_a_waiver_turns_the_check_into_a_warning_that_names_it(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)
    (judged_project / "expectations/waivers").mkdir()
    (judged_project / "expectations/waivers/node.yaml").write_text(
        f"table: policy_updates\nexpectation: divergence_hidden\nwho: Ada\nwhy: node 7\nuntil: {date(2999, 1, 1)}\n"
    )

    hidden = evaluations(run_job(build_definitions(judged_project)))["policy_updates:divergence_hidden"]

    assert (hidden.passed, hidden.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "Ada: node 7" in (hidden.description or "")


def test_the_checks_alone_can_be_run_on_a_day(judged_project: Path) -> None:
    land(judged_project, "trl/log_history.jsonl", DIVERGED)
    definitions = build_definitions(judged_project)
    run_job(definitions)

    finished = run_job(definitions, op_selection=[CHECKS_OP])

    assert evaluations(finished)["policy_updates:divergence_hidden"].passed is False


def test_one_check_alone_looks_at_the_newest_judged_day(judged_project: Path) -> None:
    """So the UI runs it: Dagster gives a check that is run without its asset no partition."""
    land(judged_project, "trl/log_history.jsonl", DIVERGED)
    definitions = build_definitions(judged_project)
    run_job(definitions)
    key = dg.AssetCheckKey(dg.AssetKey("policy_updates"), "divergence_hidden")
    alone = dg.define_asset_job("alone", dg.AssetSelection.checks(key), executor_def=dg.in_process_executor)
    job = dg.Definitions.merge(definitions, dg.Definitions(jobs=[alone])).resolve_job_def("alone")

    finished = job.execute_in_process(run_config=QUIET)

    assert {name: found.passed for name, found in evaluations(finished).items()} == {
        "policy_updates:divergence_hidden": False
    }


def test_a_wrong_suite_stops_the_load_with_file_and_line(judged_project: Path) -> None:
    file = judged_project / "expectations/policy_updates.json"
    file.write_text(file.read_text().replace('"column": "kl"', '"column": "kll"'))

    line = next(at for at, text in enumerate(file.read_text().splitlines(), 1) if '"kll"' in text)
    with pytest.raises(
        PolicyError, match=rf"policy_updates\.json:{line}: the table policy_updates has no column 'kll'"
    ):
        build_definitions(judged_project)


def test_the_start_is_the_run_logs_start(judged_project: Path) -> None:
    file = judged_project / "assets/quality/defs.yaml"
    file.write_text(file.read_text().replace("2026-01-01", "2026-02-01"))

    with pytest.raises(PolicyError, match=r"quality/defs\.yaml:6: ExpectationSuites starts 2026-02-01"):
        build_definitions(judged_project)


def docs_block(language: str, at: int) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[at]


def other_project(folder: Path) -> dg.Definitions:
    """The example of docs/quality.md: a project without lake or policy that judges its table `orders`."""
    (folder / "defs/checks").mkdir(parents=True)
    (folder / "expectations").mkdir()
    (folder / "defs/checks/defs.yaml").write_text(docs_block("yaml", 0))
    (folder / "expectations/orders.json").write_text(docs_block("json", 0))

    @dg.asset(key="orders", partitions_def=dg.DailyPartitionsDefinition("2026-03-01"))
    def orders() -> None:
        """Written elsewhere."""

    tree = dg.ComponentTree.from_module(defs_module=module_of(folder / "defs"), project_root=folder)
    return dg.Definitions.merge(tree.build_defs(), dg.Definitions(assets=[orders]))


def module_of(folder: Path) -> object:
    assert folder.name == "defs"
    (folder.parent / "assets").symlink_to(folder)
    return assets_module(folder.parent)


def write_orders(folder: Path) -> None:
    rows = pa.table(
        {
            "order_id": ["a", "b", "c", "d"],
            "ordered_on": pa.array([date(2026, 3, 4)] * 2 + [date(2026, 3, 5)] * 2),
            "amount": [10.0, 12.0, -1.0, 5.0],
            "country": ["de", "fr", "de", "fr"],
        }
    )
    write_deltalake(str(folder / "data/orders"), rows, partition_by=["ordered_on"])


def run_checks(definitions: dg.Definitions, day: str) -> dict[str, dg.AssetCheckEvaluation]:
    checks = dg.define_asset_job("checks", dg.AssetSelection.assets("orders"), executor_def=dg.in_process_executor)
    job = dg.Definitions.merge(definitions, dg.Definitions(jobs=[checks])).resolve_job_def("checks")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, run_config=QUIET, partition_key=day)
    return evaluations(done)


def test_another_project_judges_its_own_delta_table_a_partition_at_a_time(tmp_path: Path) -> None:
    write_orders(tmp_path)
    definitions = other_project(tmp_path)

    before, on_the_day = run_checks(definitions, "2026-03-04"), run_checks(definitions, "2026-03-05")

    assert {name: found.passed for name, found in before.items()} == dict.fromkeys(before, True)
    failed = {name: found for name, found in on_the_day.items() if not found.passed}
    assert list(failed) == ["orders:amount_positive"]
    (row,) = value(failed["orders:amount_positive"], specs.FAILING_ROWS).records  # type: ignore[attr-defined]
    assert row.data == {"row": "c"}


def test_another_projects_suite_is_read_before_its_table_is_there(tmp_path: Path) -> None:
    """Its first deployment loads before its first run; columns are looked at once the table is there."""
    definitions = other_project(tmp_path)
    assert len(list(definitions.resolve_asset_graph().asset_check_keys)) == len(
        json.loads(docs_block("json", 0))["expectations"]
    )

    write_orders(tmp_path)
    file = tmp_path / "expectations/orders.json"
    file.write_text(file.read_text().replace('"column": "country"', '"column": "contry"'))
    with pytest.raises(PolicyError, match=r"orders\.json:\d+: the table orders has no column 'contry'"):
        run_checks(definitions, "2026-03-04")


def test_the_docs_waiver_is_one(judged_project: Path) -> None:
    (judged_project / "expectations/waivers").mkdir()
    (judged_project / "expectations/waivers/example.yaml").write_text(docs_block("yaml", 1))
    assert yaml.safe_load(docs_block("yaml", 1))["table"] == "policy_updates"

    build_definitions(judged_project).resolve_asset_graph()
