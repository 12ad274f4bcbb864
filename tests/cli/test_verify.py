"""verify: what it says, what it believes, how it ends."""

import inspect
import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result

from audit_pipeline.cli.looking import CURES
from audit_pipeline.verify import Verification
from tests.cli.conftest import YESTERDAY, Command, land


def test_verify_says_what_holds(command: Command, demo_home: tuple[Path, Result]) -> None:
    home = str(demo_home[0])

    text, machine = command("verify", AUDIT_POLICY=home), command("verify", "--json", AUDIT_POLICY=home)

    assert (text.exit_code, machine.exit_code) == (0, 0)
    assert "self-consistent, extends-own-mark" in text.stdout
    found = json.loads(machine.stdout)
    assert (found["holds"], found["problems"], found["days"], found["unsealed_records"]) == (True, [], 3, 0)
    assert "signed" not in found["levels"]


def test_a_trusted_key_shows_more(command: Command, demo_home: tuple[Path, Result], tmp_path: Path) -> None:
    vkey = (demo_home[0] / "keys/vkey").read_text().strip()
    trust = tmp_path / "trust"
    trust.write_text(f"# ours\n\nlog {vkey}\n")

    done = command("verify", "--json", "--trust", str(trust), AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 0
    assert "signed" in json.loads(done.stdout)["levels"]


def test_a_key_that_did_not_sign_is_a_problem(
    command: Command, demo_home: tuple[Path, Result], project: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    trust.write_text(f"log {(project / 'audit-home/keys/vkey').read_text().strip()}\n")

    done = command("verify", "--trust", str(trust), AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 1


@pytest.mark.parametrize("text", ["", "# log nothing\n", "log\n", "witness abc\n", "log a b\n"])
def test_a_trust_file_without_a_key_is_refused(
    command: Command, demo_home: tuple[Path, Result], tmp_path: Path, text: str
) -> None:
    """Taken as "no key given" it would mean the key beside the lake."""
    (tmp_path / "trust").write_text(text)

    assert command("verify", "--trust", "trust", AUDIT_POLICY=str(demo_home[0])).exit_code == 2


def test_before_the_first_run_there_is_nothing_to_verify(command: Command, project: Path) -> None:
    done = command("verify", folder="project")

    assert done.exit_code == 2
    assert done.stdout == ""
    assert "nothing was taken in yet; run `audit-pipeline run` first" in done.stderr


@pytest.mark.parametrize(
    "name", ["lake/restricted/records", "lake/audit/seals", "log/checkpoint", "keys/marks/1", "keys/marks/x"]
)
def test_whatever_is_left_of_a_lake_is_verified(command: Command, project: Path, name: str) -> None:
    """Who empties a lake must not have it pass for a new one."""
    path = project / "audit-home" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")

    done = command("verify", folder="project")

    assert done.exit_code == 1
    assert "does NOT hold" in done.stdout


def test_an_emptied_lake_does_not_hold_against_a_checkpoint_that_is_held(command: Command, project: Path) -> None:
    command("run", "--date", str(YESTERDAY), folder="project")
    command("verify", "--save-trust", "../trust", folder="project")
    for name in ("lake", "log", "evidence", "keys/marks"):
        shutil.rmtree(project / "audit-home" / name)

    alone, with_trust = command("verify", folder="project"), command("verify", "--trust", "../trust", folder="project")

    assert (alone.exit_code, with_trust.exit_code) == (2, 1)


def test_days_in_the_wrong_order_are_wrong_use(command: Command, project: Path) -> None:
    done = command("verify", "--from", "2026-03-05", "--to", "2026-03-04", folder="project")

    assert done.exit_code == 2


def test_a_damaged_key_in_the_trust_file_is_wrong_input_and_not_broken_evidence(
    command: Command, demo_home: tuple[Path, Result], tmp_path: Path
) -> None:
    (tmp_path / "trust").write_text("log foo+123+abc\n")

    said = command("verify", "--trust", str(tmp_path / "trust"), folder=str(demo_home[0]))

    assert said.exit_code == 2
    assert "vkey of 'foo'" in said.stderr


def test_what_was_believed_is_kept_with_the_checkpoint_of_now(command: Command, project: Path, tmp_path: Path) -> None:
    land(project, "a.jsonl", b"{}\n")
    command("run", "--date", str(YESTERDAY), folder="project")

    first = command("verify", "--save-trust", "../trust", folder="project")
    again = command("verify", "--trust", "../trust", "--save-trust", "../trust", folder="project")

    assert (first.exit_code, again.exit_code) == (0, 0), first.stderr + again.stderr
    assert "compare with the vkey you were told" in first.stdout
    assert "signed, extends-held" in again.stdout
    checkpoint = (project / "audit-home/log/checkpoint").read_bytes()
    assert (tmp_path / "trust").read_bytes().endswith(checkpoint)


def test_a_trust_file_of_somebody_is_never_overwritten(command: Command, project: Path, tmp_path: Path) -> None:
    land(project, "a.jsonl", b"{}\n")
    command("run", "--date", str(YESTERDAY), folder="project")
    (tmp_path / "trust").write_text("mine")

    done = command("verify", "--save-trust", "../trust", folder="project")

    assert done.exit_code == 2
    assert (tmp_path / "trust").read_text() == "mine"


@pytest.mark.parametrize(("level", "code"), [("self-consistent", 0), ("signed", 1), ("witnessed", 1)])
def test_a_level_that_is_required_and_not_shown_ends_with_1(
    command: Command, demo_home: tuple[Path, Result], level: str, code: int
) -> None:
    done = command("verify", "--require", level, "--json", AUDIT_POLICY=str(demo_home[0]))

    assert (done.exit_code, json.loads(done.stdout)["holds"]) == (code, code == 0)


def test_levels_that_are_missing_are_named_with_the_cure(command: Command, demo_home: tuple[Path, Result]) -> None:
    asked = ("verify", "--require", "self-consistent", "--require", "signed", "--require", "witnessed")

    machine, text = (command(*asked, *more, AUDIT_POLICY=str(demo_home[0])) for more in (["--json"], []))

    assert json.loads(machine.stdout)["missing"] == ["signed", "witnessed"]
    assert [line.split(":")[1].split()[0] for line in text.stderr.splitlines()] == ["signed", "witnessed"]
    assert all("--trust FILE" in line for line in text.stderr.splitlines())


@pytest.mark.parametrize("level", sorted(CURES))
def test_every_level_that_can_be_required_has_a_cure(level: str) -> None:
    """The levels are those that a verification can show."""
    assert f"`{level}`" in inspect.getsource(Verification)
    assert CURES[level]


def test_a_level_that_nothing_shows_cannot_be_required(command: Command, project: Path) -> None:
    assert command("verify", "--require", "notarised", folder="project").exit_code == 2


def test_nothing_is_saved_of_a_lake_that_does_not_hold(command: Command, project: Path, tmp_path: Path) -> None:
    land(project, "a.jsonl", b"{}\n")
    command("run", "--date", str(YESTERDAY), folder="project")
    (project / "audit-home/log/vkey").write_text("x")

    assert command("verify", "--save-trust", "../trust", folder="project").exit_code == 1
    assert not (tmp_path / "trust").exists()
