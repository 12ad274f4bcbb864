"""init, add-stream, keygen, and what every command has in common."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from audit_pipeline.cli import main
from audit_pipeline.cli.keys import key
from audit_pipeline.policy import load_policy
from tests.cli.conftest import HEAVY, YESTERDAY, Command, land

KEY_FILES = ["bounding.pem", "key.pem", "pseudonym.pem", "vkey"]


def test_help_loads_no_heavy_library() -> None:
    program = (
        "import sys; from audit_pipeline.cli import main; main(['--help'], standalone_mode=False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    described = main.commands[name]

    assert described.help
    assert [option.name for option in described.params if option.param_type_name == "option" and not option.help] == []


def test_exactly_these_commands_exist() -> None:
    assert set(main.commands) == set(
        "init add-stream keygen demo run ui verify prove check query report status key freeze first-mark alerts"
        " doctor".split()
    )
    assert set(key.commands) == {"rotate"}


@pytest.mark.parametrize("arguments", [["run"], ["verify"], ["status"], ["query", "SELECT 1"], ["ui"], ["keygen"]])
def test_without_a_policy_every_command_ends_with_2_and_the_cure(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)

    assert done.exit_code == 2
    assert done.stdout == ""
    assert "audit-pipeline init" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_policy_ends_with_2_and_its_line(command: Command, project: Path) -> None:
    file = project / "assets/run_logs/defs.yaml"
    file.write_text(file.read_text().replace("path:", "pth:"))

    done = command("status", folder="project")

    assert done.exit_code == 2
    assert f"{file}:9:" in done.stderr


def test_the_environment_names_the_policy_and_the_home(command: Command, project: Path, tmp_path: Path) -> None:
    done = command("status", "--json", AUDIT_POLICY=str(project), AUDIT_HOME=str(tmp_path / "home"))

    assert json.loads(done.stdout)["places"]["lake"] == str(tmp_path / "home/lake")


def test_init_makes_a_project_with_a_key_and_says_what_losing_it_means(command: Command, tmp_path: Path) -> None:
    done = command("init", "project", "--origin-prefix", "example.com/audit")

    assert done.exit_code == 0
    assert "lost" in done.stdout
    vkey = (tmp_path / "project/audit-home/keys/vkey").read_text().strip()
    assert vkey.startswith("example.com/audit/")
    assert vkey in done.stdout
    assert (tmp_path / "project/workspace.yaml").is_file()


def test_a_key_is_never_made_twice(command: Command, project: Path) -> None:
    before = (project / "audit-home/keys/key.pem").read_bytes()

    again = command("init", "project")
    keygen = command("keygen", folder="project")

    assert (again.exit_code, keygen.exit_code) == (2, 2)
    assert (project / "audit-home/keys/key.pem").read_bytes() == before


def test_a_keygen_that_was_cut_off_is_finished_with_the_same_key(command: Command, project: Path) -> None:
    """Cut off between its two files, it left the key without the vkey."""
    keys = project / "audit-home/keys"
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    (keys / "vkey").unlink()

    done = command("keygen", folder="project")

    assert done.exit_code == 0, done.output
    assert before["vkey"].decode().strip() in done.stdout
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_a_keygen_that_cannot_write_the_vkey_has_written_the_key(command: Command, project: Path) -> None:
    """The key comes first: a vkey alone would be of a key that nobody has."""
    keys = project / "home/keys"
    (keys / ".vkey.tmp" / "in the way").mkdir(parents=True)

    first = command("keygen", folder="project", AUDIT_HOME=str(project / "home"))
    left = sorted(path.name for path in keys.iterdir())
    shutil.rmtree(keys / ".vkey.tmp")
    again = command("keygen", folder="project", AUDIT_HOME=str(project / "home"))

    assert (first.exit_code, again.exit_code) == (2, 0)
    assert left == [".vkey.tmp", "bounding.pem", "key.pem", "pseudonym.pem"]
    assert sorted(path.name for path in keys.iterdir()) == KEY_FILES


def test_a_keygen_that_was_cut_off_in_a_file_is_begun_again(command: Command, project: Path) -> None:
    keys = project / "home/keys"
    keys.mkdir(parents=True)
    (keys / ".key.pem.tmp").write_bytes(b"half a ke")

    done = command("keygen", folder="project", AUDIT_HOME=str(project / "home"))

    assert done.exit_code == 0
    assert sorted(path.name for path in keys.iterdir()) == KEY_FILES
    assert {(keys / name).stat().st_mode & 0o777 for name in KEY_FILES if name != "vkey"} == {0o600}


def test_a_home_of_before_the_keys_for_people_gets_them_from_keygen(command: Command, project: Path) -> None:
    keys = project / "audit-home/keys"
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    (keys / "pseudonym.pem").unlink()

    done = command("keygen", folder="project")

    assert done.exit_code == 0, done.output
    after = {path.name: path.read_bytes() for path in keys.iterdir()}
    assert after.keys() == before.keys()
    assert [name for name in KEY_FILES if after[name] != before[name]] == ["pseudonym.pem"]


def test_a_vkey_is_written_again_only_by_who_can_open_the_key(command: Command, project: Path) -> None:
    home = str(project / "home")
    command("keygen", folder="project", AUDIT_HOME=home, AUDIT_KEY_PASSPHRASE="secret")
    (project / "home/keys/vkey").unlink()

    wrong = command("keygen", folder="project", AUDIT_HOME=home, AUDIT_KEY_PASSPHRASE="other")
    right = command("keygen", folder="project", AUDIT_HOME=home, AUDIT_KEY_PASSPHRASE="secret")

    assert (wrong.exit_code, right.exit_code) == (2, 0)
    assert "AUDIT_KEY_PASSPHRASE" in wrong.stderr


def test_a_key_without_its_origin_and_vkey_is_left_as_it_is(command: Command, project: Path) -> None:
    keys = project / "audit-home/keys"
    (keys / "vkey").unlink()
    pem = (keys / "key.pem").read_bytes()
    (keys / "key.pem").write_bytes(pem[pem.index(b"-----BEGIN") :])

    done = command("keygen", folder="project")

    assert done.exit_code == 2
    assert "restore what is missing" in done.stderr
    assert sorted(path.name for path in keys.iterdir()) == [name for name in KEY_FILES if name != "vkey"]


def test_init_finishes_a_keygen_that_was_cut_off(command: Command, project: Path) -> None:
    keys = project / "audit-home/keys"
    before = (keys / "vkey").read_bytes()
    (keys / "vkey").unlink()

    done = command("init", "another", AUDIT_HOME=str(project / "audit-home"))

    assert done.exit_code == 0, done.output
    assert (keys / "vkey").read_bytes() == before


def test_init_with_a_wrong_origin_prefix_writes_nothing(command: Command, tmp_path: Path) -> None:
    wrong = command("init", "project", "--origin-prefix", "https://example.com")
    left = list(tmp_path.iterdir())
    right = command("init", "project", "--origin-prefix", "example.com")

    assert (wrong.exit_code, left, right.exit_code) == (2, [], 0)
    assert "without a scheme" in wrong.stderr


def test_init_keeps_a_key_that_the_home_has(command: Command, project: Path) -> None:
    home = project / "audit-home"
    before = (home / "keys/key.pem").read_bytes()

    done = command("init", "another", AUDIT_HOME=str(home))

    assert done.exit_code == 0
    assert "stays" in done.stdout
    assert (home / "keys/key.pem").read_bytes() == before


def test_keygen_makes_a_key_with_a_passphrase(command: Command, project: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "other-home")

    done = command("keygen", folder="project", AUDIT_HOME=home, AUDIT_KEY_PASSPHRASE="secret")

    assert done.exit_code == 0
    assert b"ENCRYPTED" in (tmp_path / "other-home/keys/key.pem").read_bytes()
    assert "secret" not in done.output


def test_add_stream_declares_a_stream(command: Command, project: Path) -> None:
    done = command("add-stream", "votes", "votes/{date}/*.csv", folder="project")
    taken = command("add-stream", "votes", "elsewhere", folder="project")

    assert (done.exit_code, taken.exit_code) == (0, 2)
    assert [stream.name for stream in load_policy(project, {}).streams] == ["runs", "registers", "votes"]


def test_the_version_is_the_packages(command: Command) -> None:
    assert version("rlhf-audit-pipeline") in command("--version").stdout


def test_a_key_that_was_lost_is_not_made_anew(command: Command, project: Path) -> None:
    """A new key could add nothing to the log that is there, and would look as if all were well."""
    land(project, "a.jsonl", b'{"a":1}\n')
    assert command("run", "--date", str(YESTERDAY), folder="project").exit_code == 0
    shutil.rmtree(project / "audit-home/keys")

    run, keygen = command("run", folder="project"), command("keygen", folder="project")

    assert (run.exit_code, keygen.exit_code) == (2, 2)
    assert "restore the folder from your backup" in run.stderr
    assert "restore this folder from your backup" in keygen.stderr
    assert not (project / "audit-home/keys").exists()
