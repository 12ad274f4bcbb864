"""run and ui."""

import errno
import json
import os
import shutil
import signal
import socket
from datetime import timedelta
from pathlib import Path
from random import Random

import dagster as dg
import pytest

from audit_pipeline.cli.running import ui_command
from audit_pipeline.demo import flip_bit
from audit_pipeline.formats.detect import HEAD_BYTES
from audit_pipeline.policy import load_policy
from audit_pipeline.samples import write_sample_logs
from audit_pipeline.samples.tools import trl_completions
from audit_pipeline.sources.zones import FolderZone
from tests.cli.conftest import YESTERDAY, Command, evidence_files, land


def test_a_run_takes_in_and_seals_the_days_with_work(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')

    done = command("run", folder="project")

    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.stdout.splitlines()[:2]] == [
        [YESTERDAY.isoformat(), "done"],
        [(YESTERDAY + timedelta(days=1)).isoformat(), "done"],
    ]
    state = json.loads(command("status", "--json", folder="project").stdout)
    assert (state["ingest"]["records"], state["seals"]["days"]) == (1, 2)


def test_a_second_run_adds_no_evidence(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", folder="project")
    before = evidence_files(project)

    every_day, one_day = command("run", folder="project"), command("run", "--date", str(YESTERDAY), folder="project")

    assert (every_day.exit_code, one_day.exit_code) == (0, 0)
    assert evidence_files(project) == before


def test_date_and_to_name_the_days(command: Command, project: Path) -> None:
    first = YESTERDAY - timedelta(days=2)

    done = command("run", "--date", str(first), "--to", str(YESTERDAY), folder="project")

    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == [
        str(first),
        str(first + timedelta(days=1)),
        str(YESTERDAY),
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--date", "2999-01-01"],
        ["--date", "2020-01-01"],
        ["--date", "yesterday"],
        ["--to", str(YESTERDAY)],
        ["--date", str(YESTERDAY), "--to", str(YESTERDAY - timedelta(days=1))],
    ],
)
def test_days_that_cannot_be_run_end_with_2(command: Command, project: Path, arguments: list[str]) -> None:
    assert command("run", *arguments, folder="project").exit_code == 2


def test_a_day_that_no_calendar_has_is_told_with_one_as_it_must_be(command: Command, project: Path) -> None:
    done = command("run", "--date", "2026-11-31", folder="project")

    assert done.exit_code == 2
    assert "'2026-11-31': expected a date such as 2026-01-01" in done.stderr
    assert "%Y" not in done.stderr


def test_a_run_without_a_key_ends_with_2_and_names_keygen(command: Command, project: Path, tmp_path: Path) -> None:
    done = command("run", folder="project", AUDIT_HOME=str(tmp_path / "empty"))

    assert done.exit_code == 2
    assert "audit-pipeline keygen" in done.stderr


def test_a_failed_run_ends_with_1_and_says_why(command: Command, project: Path) -> None:
    """Here the log was cut behind the back of its mark."""
    command("run", "--date", str(YESTERDAY), folder="project")
    seals = project / "audit-home/lake/audit/seals"
    (seals / "_delta_log" / f"{1:020}.json").unlink()
    (seals / "0.parquet").unlink()
    shutil.rmtree(project / "audit-home/evidence/_seals")
    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 1
    assert f"{YESTERDAY}  FAILED" in done.stdout
    assert "older backup" in done.stderr


def test_a_key_that_does_not_open_ends_with_2_before_anything_runs(command: Command, project: Path) -> None:
    for name in ("key.pem", "vkey"):
        (project / "audit-home/keys" / name).unlink()
    command("keygen", folder="project", AUDIT_KEY_PASSPHRASE="secret")

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 2
    assert "AUDIT_KEY_PASSPHRASE" in done.stderr


def test_a_key_file_of_garbage_may_be_damaged(command: Command, project: Path) -> None:
    (project / "audit-home/keys/key.pem").write_text("garbage")

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 2
    assert "key.pem: does not open; set AUDIT_KEY_PASSPHRASE" in done.stderr
    assert "damaged: restore it from your backup" in done.stderr


def deny(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a landed file unreadable, also for root, as whom tests may run."""
    whole = os.open

    def opened(name: str | Path, *arguments: int, **options: int | None) -> int:
        if Path(name) == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return whole(name, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)


def test_an_unreadable_landed_file_is_told_with_its_cure(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land(project, "secret.jsonl", b'{"a": 1}\n')
    deny(path, monkeypatch)

    listed = command("run", "--dry-run", folder="project")
    done = command("run", "--date", str(YESTERDAY), folder="project")

    said = f"{path}: cannot be read (Permission denied); give this user read access and run again"
    assert (listed.exit_code, listed.stderr) == (2, f"audit-pipeline: {said}\n")
    assert done.exit_code == 2
    assert f"  ingest_day: {said}" in done.stderr.splitlines()


def test_a_dry_run_passes_over_a_file_that_goes_meanwhile(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = land(project, "a.jsonl", b'{"a": 1}\n')
    whole = FolderZone.open
    monkeypatch.setattr(FolderZone, "open", lambda zone, name: (path.unlink(), whole(zone, name))[1])

    done = command("run", "--dry-run", folder="project")

    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].endswith("\tgone")


def test_a_failed_check_ends_with_1(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    (data,) = (project / "audit-home/lake/restricted/records/runs").rglob("*.parquet")
    flip_bit(data)

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 1
    assert "check evidence_holds on daily_merkle_root: does not hold: records: " in done.stderr


def test_a_dry_run_lists_files_with_formats_and_writes_nothing(command: Command, project: Path) -> None:
    write_sample_logs(load_policy(project, {}).places.landing, [YESTERDAY], 200, seed=1)
    large = land(project, "large.parquet", trl_completions(Random(1), 1, 9000))
    before = sorted(project.rglob("*"))

    done = command("run", "--dry-run", folder="project")
    other_day = command("run", "--dry-run", "--date", str(YESTERDAY - timedelta(days=1)), folder="project")

    assert done.exit_code == 0
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows[0] == ["day", "stream", "path", "bytes", "format"]
    formats = {row[2].removeprefix(f"{YESTERDAY}/"): row[4] for row in rows[1:]}
    assert formats["verl/rollouts/1.jsonl"] == "verl_rollouts"
    assert formats["trl/grpo/completions/completions_00001.parquet"] == "trl_completions"
    assert formats["preferences/pairs.jsonl.gz"] == "preference_pairs"
    assert large.stat().st_size > HEAD_BYTES  # its schema, at its end, is not in what is read from its start
    assert formats["large.parquet"] == "trl_completions"
    assert len(other_day.stdout.splitlines()) == 1
    assert sorted(project.rglob("*")) == before


def test_the_ui_would_show_the_runs(command: Command, project: Path) -> None:
    """Runs are on the instance that `ui` opens, without telemetry, and on this machine alone."""
    command("run", "--date", str(YESTERDAY), folder="project")

    policy = load_policy(project, {})
    arguments, environ = ui_command(policy, 3210)
    with dg.DagsterInstance.from_config(environ["DAGSTER_HOME"]) as instance:
        (run,) = instance.get_runs()
        assert not instance.telemetry_enabled
    assert (run.job_name, run.status) == ("daily_audit", dg.DagsterRunStatus.SUCCESS)
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert arguments[arguments.index("--port") + 1] == "3210"
    assert environ["AUDIT_POLICY"] == str(project)


def test_settings_of_the_instance_are_written_once(command: Command, project: Path) -> None:
    settings = project / "audit-home/dagster/dagster.yaml"
    command("run", "--date", str(YESTERDAY), folder="project")
    settings.write_text(settings.read_text() + "# mine\n")

    command("run", "--date", str(YESTERDAY), folder="project")

    assert settings.read_text().endswith("# mine\n")


def test_files_that_no_run_takes_are_named(command: Command, project: Path) -> None:
    for name in ("runs/2025-12-31/old.jsonl", "runs/2999-01-01/new.jsonl", "runs/latest/x.jsonl", "stray.txt"):
        path = project / "audit-home" / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")

    said = command("run", "--date", "2026-03-05", folder=str(project))

    assert said.exit_code == 0
    for expected in (
        "4 landed files are NOT taken in",
        "runs/2025-12-31/old.jsonl: 2025-12-31 is before the policy's start",
        "runs/2999-01-01/new.jsonl: a day to come",
        "runs/latest/x.jsonl: no stream's path matches",
        "stray.txt: no stream's path matches",
    ):
        assert expected in said.stderr


def test_a_run_says_how_much_of_its_input_is_odd(command: Command, project: Path) -> None:
    path = project / "audit-home" / "landing" / "runs" / "2026-03-05" / "a.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{}\nnot json\n{"a":1}')

    said = command("run", "--date", "2026-03-05", folder=str(project))

    assert "3 records, of which 1 quarantined and 1 last lines without a newline" in said.stdout


def test_a_port_in_use_ends_with_2(command: Command, project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        said = command("ui", "--port", str(taken.getsockname()[1]), folder=str(project))

    assert said.exit_code == 2
    assert "choose another with --port" in said.stderr


def test_a_missing_key_file_ends_with_2_before_anything_runs(command: Command, project: Path) -> None:
    (project / "audit-home" / "keys" / "key.pem").unlink()

    said, again = command("run", folder=str(project)), command("keygen", folder=str(project))

    assert (said.exit_code, again.exit_code) == (2, 2)
    assert "restore it from your backup" in said.stderr
    assert "restore what is missing" in again.stderr


@pytest.mark.parametrize("name", ["pseudonym.pem", "bounding.pem"])
def test_a_missing_key_for_people_ends_with_2_before_anything_runs(command: Command, project: Path, name: str) -> None:
    land(project, "a.jsonl", b'{"a":1}\n')
    (project / "audit-home" / "keys" / name).unlink()

    said = command("run", folder=str(project))

    assert said.exit_code == 2
    assert f"{name}: missing; restore it from your backup" in said.stderr
    assert not (project / "audit-home" / "lake").exists()


def test_a_rehash_finds_a_file_that_was_changed_and_looks_as_it_did(command: Command, project: Path) -> None:
    path = land(project, "a.jsonl", b'{"a":1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    times = path.stat()
    path.write_bytes(b'{"a":2}\n')
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    landed = "source_id IN (SELECT source_id FROM sources WHERE stream = 'runs')"
    question = f"SELECT generation, decode(record) AS record FROM records WHERE {landed} ORDER BY ALL"

    command("run", folder="project")
    before = command("query", question, "--json", folder="project").stdout
    done = command("run", "--rehash", folder="project")
    after = command("query", question, "--json", folder="project").stdout

    assert done.exit_code == 0
    assert [json.loads(line)["generation"] for line in before.splitlines()] == [0]
    assert [json.loads(line)["record"] for line in after.splitlines()] == ['{"a":1}', '{"a":2}']
    assert command("verify", folder="project").exit_code == 0


def test_a_run_says_what_was_rewritten(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a":1}\n')
    first = command("run", "--date", str(YESTERDAY), folder="project")
    land(project, "a.jsonl", b'{"a":2}\n')

    again, later = (command("run", "--date", str(YESTERDAY), folder="project") for _ in range(2))

    assert "rewritten" not in first.stdout
    assert "rewritten, and the bytes before are kept: runs: " in again.stdout
    assert "a.jsonl (generation 1)" in again.stdout
    assert "rewritten" not in later.stdout


def test_a_run_says_which_files_give_no_events_and_what_was_found_in_others(command: Command, project: Path) -> None:
    land(project, "scores.csv", b"who,stars\nme,5\n")
    land(project, "pairs.jsonl", b'{"prompt":"mail jo@example.com","chosen":"a","rejected":"b"}\n' * 3)

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert "of no tool's format: 1 generic_csv snapshots" in done.stdout
    assert "docs/your-own-format.md" in done.stdout
    assert "log_findings has 6 withheld" in done.stdout


def test_a_format_that_the_policy_names_later_is_told_to_come_too_late(command: Command, project: Path) -> None:
    land(project, "scores.csv", b"who,stars\nme,5\n")
    command("run", "--date", str(YESTERDAY), folder="project")
    policy = project / "assets/run_logs/defs.yaml"
    columns = "      format: mapped_csv\n      columns: {annotator_id: who, value: stars}\n"
    text = policy.read_text()
    path = '      path: "runs/{date}/**"\n'
    assert path in text
    policy.write_text(text.replace(path, path + columns))

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 0, done.output
    assert "of another format than the policy says since; land them under a new name: runs: " in done.stdout


def test_a_landing_zone_that_is_not_there_is_no_day_without_logs(command: Command, project: Path) -> None:
    shutil.rmtree(project / "audit-home/landing")

    said = [command(*arguments, folder="project") for arguments in (["run"], ["run", "--dry-run"])]

    assert [one.exit_code for one in said] == [2, 2]
    assert all("the landing zone is not there; mount it" in one.stderr for one in said)


def test_the_ui_is_ended_as_any_other_program(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what runs in the background of a script the shell has SIGINT ignored, and Dagster's SIGTERM is its SIGINT."""
    before, found = signal.signal(signal.SIGINT, signal.SIG_IGN), []
    monkeypatch.setattr(os, "execve", lambda *_: found.append(signal.getsignal(signal.SIGINT)))
    try:
        command("ui", "--port", "3999", folder="project")
    finally:
        signal.signal(signal.SIGINT, before)

    assert found == [signal.SIG_DFL]
