"""What the pages say is what the code does."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import duckdb_extension_delta

from audit_pipeline.lake.query import connect
from audit_pipeline.policy import load_policy
from audit_pipeline.records.canonical import record_leaf
from audit_pipeline.samples import write_sample_logs

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SHOWN_ELSEWHERE = {
    "make demo": "run by hand and in continuous integration",
    "make test": "is what runs this test",
    "pip install .": "test_wheel.py",
    "audit-pipeline ui": "test_ui.py",
    "audit-pipeline alerts test": "cli/test_alerts.py",
    "audit-pipeline alerts ack 3f2a": "cli/test_alerts.py",
    "audit-pipeline doctor": "cli/test_alerts.py",
    "dg scaffold defs audit_pipeline.components.RunLogs run_logs": "components/test_dg.py",
    "dg scaffold defs audit_pipeline.components.DailySeal seal": "components/test_dg.py",
    "dg scaffold defs audit_pipeline.components.ComplianceReport report": "components/test_dg.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line not in SHOWN_ELSEWHERE]
    write_sample_logs(tmp_path / "sample", [date(2026, 3, 5)], records=300, seed=1)
    shutil.copytree(tmp_path / "sample" / "runs" / "2026-03-05", tmp_path / "my-runs")
    for path in (path for path in (tmp_path / "my-runs").rglob("*.json*") if b"NaN" in path.read_bytes()):
        path.write_bytes(path.read_bytes().replace(b"NaN", b"0.5"))  # a run that diverges fails the day, as it must
    (tmp_path / "my-runs" / "a.jsonl").write_text('{"a":1}\n')
    scripts = str(Path(sys.executable).parent)
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("AUDIT_", "DAGSTER_HOME"))}

    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(lines)],
        cwd=tmp_path,
        env={**environ, "PATH": f"{scripts}:{environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=1200,  # some thirty commands, on a machine that may be busy
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "the evidence holds" in done.stdout
    _check_engines(tmp_path / "my-audit")


def _check_engines(project: Path) -> None:
    """The README's SQL and Python, word for word but for INSTALL, which would need the network."""
    with connect(load_policy(project, {}).places) as database:
        expected = database.sql("SELECT count(*) FROM sources").fetchone()
    (sql,) = blocks("sql")
    query = sql.replace("INSTALL delta; LOAD delta;", "").replace("audit-home/", f"{project}/audit-home/")
    with duckdb.connect() as plain:
        (extension,) = Path(duckdb_extension_delta.__path__[0]).rglob("delta.duckdb_extension")
        plain.execute(f"LOAD '{extension}'")
        assert sum(row[1] for row in plain.sql(query).fetchall()) == expected[0]  # type: ignore[index]
    (python,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", python], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "grad_norm" in done.stdout


def test_the_pages_made_from_the_code_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    assert spec is not None
    assert spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)

    assert (ROOT / "docs" / "tables.md").read_text() == pages.tables_page(), "run `make docs`"
    assert (ROOT / "docs" / "formats.md").read_text() == pages.formats_page(), "run `make docs`"
    assert (ROOT / "docs" / "registers.md").read_text() == pages.registers_page(), "run `make docs`"


def test_the_worked_example_of_the_evidence_format_is_right() -> None:
    page = (ROOT / "docs" / "evidence-format.md").read_text()

    leaf = record_leaf(bytes(range(16)), b'{"step":1}')

    assert leaf.hex() in page
    assert leaf == hashlib.sha256(b"\0\1" + bytes(range(16)) + b'{"step":1}').digest()


def test_pages_link_to_files_that_exist() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_page_or_code_names_a_machine_or_a_registry() -> None:
    """Built from parts, so that this file does not match itself."""
    banned = re.compile("|".join(["index" + "-url", "find" + "-links", "/ro" + "ot/", "/wo" + "rk/"]))
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return  # not a checkout: nothing is published from here
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png",):
            assert not banned.search(path.read_text(errors="replace")), name
