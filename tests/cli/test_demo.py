"""demo."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import YESTERDAY, Command, evidence_files


def test_the_demo_finds_its_own_tampering(demo_home: tuple[Path, Result]) -> None:
    home, done = demo_home

    assert done.exit_code == 0, done.output
    (changed,) = [line for line in done.stdout.splitlines() if "one bit changed" in line]
    found = [line for line in done.stdout.splitlines() if "FOUND" in line]
    assert str(home / "tampered/lake/restricted/records/runs") in changed
    assert found
    for part in (f"day {YESTERDAY}", "source ", "position "):
        assert part in found[0]


def test_a_second_run_of_the_whole_policy_adds_no_evidence(
    command: Command, demo_home: tuple[Path, Result], tmp_path: Path
) -> None:
    """Suites, controls and releases write about each day; that is sealed once, and then there is nothing new."""
    home = tmp_path / "copy"
    shutil.copytree(demo_home[0], home)
    first = command("run", AUDIT_POLICY=str(home))
    before = evidence_files(home)

    second = command("run", AUDIT_POLICY=str(home))

    assert first.exit_code == 1, "the sample logs have a run that diverges"
    assert second.exit_code == 0, second.output
    assert sorted(evidence_files(home).keys() ^ before.keys()) == []
    assert evidence_files(home) == before


@pytest.mark.slow
def test_the_demo_runs_again_and_with_a_passphrase(command: Command, tmp_path: Path) -> None:
    first = command("demo", "--records", "100")
    (tmp_path / "audit-demo/lake/stray").write_text("of the first run")

    second = command("demo", "--records", "100", AUDIT_KEY_PASSPHRASE="secret")

    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    assert not (tmp_path / "audit-demo/lake/stray").exists()


def test_the_demo_leaves_a_folder_that_works_by_itself(
    command: Command, demo_home: tuple[Path, Result], tmp_path: Path
) -> None:
    """Whatever AUDIT_HOME says elsewhere."""
    done = command("status", "--json", AUDIT_POLICY=str(demo_home[0]), AUDIT_HOME=str(tmp_path))

    places = json.loads(done.stdout)["places"]
    assert places["lake"] == str(demo_home[0] / "lake")


def test_the_demo_takes_no_folder_of_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep me")

    done = command("demo", "--home", "mine")

    assert done.exit_code == 2
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]
