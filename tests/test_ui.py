"""`audit-pipeline ui`: Dagster's own pages show our assets, checks and a day that was run from the command line."""

import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def screenshots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_screenshots", ROOT / "docs" / "make_screenshots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one day run."""
    root = tmp_path_factory.mktemp("ui") / "project"
    script = str(Path(sys.executable).parent / "audit-pipeline")
    subprocess.run([script, "init", str(root)], check=True, capture_output=True)
    for name in ("quality", "privacy", "report"):  # they take most of a run's time
        shutil.rmtree(root / "assets" / name)
    landing = root / "audit-home" / "landing" / "runs" / "2026-03-05"
    landing.mkdir(parents=True)
    (landing / "a.jsonl").write_bytes(b'{"step":1}\n{"step":\n')
    subprocess.run([script, "run", "--date", "2026-03-05"], cwd=root, check=True, capture_output=True)
    return root


def test_a_backfill_from_the_ui_takes_in_and_seals_its_days(screenshots: ModuleType, project: Path) -> None:
    landing = project / "audit-home" / "landing" / "runs"
    for day in ("2026-03-02", "2026-03-03"):
        (landing / day).mkdir()
        (landing / day / "a.jsonl").write_bytes(b'{"step":1}\n')
    backfill = """mutation { launchPartitionBackfill(backfillParams: {
        selector: {repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "audit_pipeline"},
                   partitionSetName: "daily_audit_partition_set"},
        partitionNames: ["2026-03-02", "2026-03-03"]}) { __typename ... on PythonError { message } } }"""

    with screenshots.running_ui(project) as address:
        assert "LaunchBackfillSuccess" in str(screenshots.ask(address, backfill))
        deadline = time.monotonic() + 600
        done = ""
        while done.count("SUCCESS") < 3 and "FAILURE" not in done and time.monotonic() < deadline:
            time.sleep(1)
            done = str(screenshots.ask(address, "{runsOrError{... on Runs{results{status}}}}"))

    assert done.count("SUCCESS") == 3  # the day that was run before, and the two
    script = str(Path(sys.executable).parent / "audit-pipeline")
    query = ["SELECT DISTINCT day FROM seals ORDER BY day", "--csv"]
    sealed = subprocess.run([script, "query", *query], cwd=project, check=True, capture_output=True, text=True).stdout
    assert sealed.split() == ["day", "2026-03-02", "2026-03-03", "2026-03-05"]
    verified = subprocess.run([script, "verify"], cwd=project, check=True, capture_output=True, text=True).stdout
    assert "the evidence holds" in verified


@pytest.mark.needs("chromium", "chromium")
def test_the_ui_shows_the_graph_and_a_day_that_was_run(screenshots: ModuleType, project: Path) -> None:
    with screenshots.running_ui(project) as address:
        screenshots.ask(address, "mutation { setNuxSeen }")
        window = "--window-size=1500,1500"  # what is out of the window is not in the page
        graph = screenshots.browse(
            f"{address}/locations/audit_pipeline/asset-groups/evidence/lineage", "--dump-dom", window
        )
        page = f"{address}/assets/records?view=partitions&partition=2026-03-05"
        day = screenshots.browse(page, "--dump-dom", window)

    for shown in ("records", "sources", "daily_merkle_root", "training_metrics", "1 / 1 Passed"):
        assert shown in graph
    for shown in ("audit/streams", "audit/quarantined", "runs"):
        assert shown in day
