"""key rotate and freeze, as users call them; and a profile whose keys lie elsewhere."""

import shutil
from pathlib import Path

import pytest

from audit_pipeline.demo import flip_bit
from tests.cli.conftest import Command, land


@pytest.fixture
def sealed(command: Command, project: Path) -> Path:
    land(project, "a.jsonl", b'{"a":1}\n')
    done = command("run", folder="project")
    assert done.exit_code == 0, done.stderr
    return project


def test_a_rotation_says_the_new_vkey_and_a_saved_trust_file_goes_over_to_it(
    command: Command, sealed: Path, tmp_path: Path
) -> None:
    old = (sealed / "audit-home/log/vkey").read_text().strip()
    assert command("verify", "--save-trust", str(tmp_path / "trust"), folder="project").exit_code == 0

    done = command("key", "rotate", folder="project")

    assert done.exit_code == 0, done.stderr
    new = done.stdout.splitlines()[0].removeprefix("new vkey: ")
    assert new != old
    assert "audit-home/log/keys/1" in done.stdout
    (sealed / "audit-home/keys/key.pem").unlink()
    land(sealed, "b.jsonl", b'{"b":1}\n')
    assert command("run", folder="project").exit_code == 0
    given = ("--trust", str(tmp_path / "trust"), "--save-trust", str(tmp_path / "trust"))
    done = command("verify", *given, "--require", "extends-held", folder="project")
    assert done.exit_code == 0, done.stdout
    assert (tmp_path / "trust").read_text().startswith(f"log {new}\n")
    assert command("verify", *given, folder="project").exit_code == 0
    assert (
        command(
            "prove", "--day", land(sealed, "c", b"").parent.name, "-o", "p", "--entry", "e", folder="project"
        ).exit_code
        == 0
    )
    offline = ("check", "p", "--entry", "e", "--trust", "old")
    (sealed / "old").write_text(f"log {old}\n")
    assert command(*offline, folder="project").exit_code == 1
    done = command(*offline, "--handover", "audit-home/log/keys/1", folder="project")
    assert done.exit_code == 0, done.stderr


def test_a_freeze_asks_and_then_ends_the_log(command: Command, sealed: Path) -> None:
    assert command("freeze", folder="project").exit_code == 1, "no answer is a no"
    done = command("freeze", "--yes", folder="project")

    assert done.exit_code == 0, done.stderr
    assert "docs/recovery.md" in done.stdout
    assert "note: the log was frozen" in command("verify", folder="project").stdout
    land(sealed, "b.jsonl", b"{}\n")
    done = command("run", folder="project")
    assert done.exit_code == 2
    assert "was frozen at" in done.stderr


def test_a_first_mark_is_written_once_where_all_are_lost(command: Command, sealed: Path) -> None:
    marks = sealed / "audit-home/keys/marks"
    refused = command("first-mark", folder="project")
    shutil.rmtree(marks)

    done = command("first-mark", folder="project")

    assert (refused.exit_code, done.exit_code) == (2, 0), done.stderr
    assert "extends-own-mark" in command("verify", folder="project").stdout
    shutil.rmtree(marks)
    (data,) = (sealed / "audit-home/lake/restricted/records/runs").rglob("*.parquet")
    flip_bit(data)
    assert command("first-mark", folder="project").exit_code == 1, "a mark would vouch for it"
    assert not marks.exists()
