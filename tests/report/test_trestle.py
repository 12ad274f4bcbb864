"""The OSCAL documents under compliance-trestle, which has rules beyond the schema: ids, references, roles."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit_pipeline.report.facts import Verified
from audit_pipeline.report.oscal import render_oscal
from tests.report.made import complete_facts
from tests.report.test_renderers import failing_facts

TRESTLE = ".venv-trestle/bin/trestle"

pytestmark = [pytest.mark.slow, pytest.mark.needs(TRESTLE, "compliance-trestle: make report-checks")]


def validate(documents: Mapping[str, bytes], folder: Path) -> tuple[int, str]:
    """(exit code, what is said) of `trestle validate` for these documents in a workspace of their own."""
    folder.mkdir()
    program = Path(__file__).resolve().parents[2] / TRESTLE
    environ = {**os.environ, "NO_COLOR": "1"}

    def trestle(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )

    assert trestle("init", "--local").returncode == 0
    for name, content in documents.items():
        where = folder / f"{name.removesuffix('.json')}s".replace("resultss", "results") / "ours"
        where.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(content)
    said = trestle("validate", "--all")
    return said.returncode, said.stdout + said.stderr


@pytest.mark.parametrize("is_notice", [False, True])
def test_trestle_finds_the_whole_set_valid(is_notice: bool, tmp_path: Path) -> None:
    wrong = Verified(datetime(2026, 11, 1, tzinfo=UTC), (), 3, "records: row 5 was changed")
    facts = replace(complete_facts(), verified=wrong) if is_notice else failing_facts()

    code, said = validate(render_oscal(facts), tmp_path / "workspace")

    assert code == 0, said
    assert said.count("VALID: Model") == 4
    assert "INVALID" not in said


def test_trestle_finds_an_id_that_is_there_twice(tmp_path: Path) -> None:
    documents = dict(render_oscal(complete_facts()))
    results = json.loads(documents["assessment-results.json"])
    (result,) = results["assessment-results"]["results"]
    result["observations"][1]["uuid"] = result["observations"][0]["uuid"]
    documents["assessment-results.json"] = json.dumps(results).encode()

    code, said = validate(documents, tmp_path / "workspace")

    assert code != 0
    assert "INVALID" in said
