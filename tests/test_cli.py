import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from audit_pipeline.cli import main
from audit_pipeline.cli.printing import as_json, as_text
from audit_pipeline.cli.running import ui_command
from audit_pipeline.demo import flip_bit
from audit_pipeline.formats.detect import HEAD_BYTES
from audit_pipeline.policy import load_policy
from audit_pipeline.samples import write_sample_logs
from audit_pipeline.samples.tools import trl_completions

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
"""Commands read the clock themselves, and a day after today is refused."""
HEAVY = ("dagster", "duckdb", "datafusion", "deltalake", "pyarrow", "pandas", "pydantic", "rich", "yaml", "numpy")

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `audit-pipeline` in `tmp_path`, or in a folder below it, with nothing in the environment."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME", "AUDIT_PROFILE", "AUDIT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str, folder: str = ".", **environ: str) -> Result:
        monkeypatch.chdir(tmp_path / folder)
        return CliRunner().invoke(main, arguments, env=environ)

    return call


@pytest.fixture
def project(command: Command, tmp_path: Path) -> Path:
    """A project with a key."""
    assert command("init", "project").exit_code == 0
    return tmp_path / "project"


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, float]:
    """A demo's home, what the demo printed, and its seconds."""
    home = tmp_path_factory.mktemp("demo") / "home"
    began = time.monotonic()
    done = CliRunner().invoke(main, ["demo", "--home", str(home), "--records", "300"])
    return home, done, time.monotonic() - began


def evidence_files(root: Path) -> dict[str, bytes]:
    places = load_policy(root, {}).places
    folders = (places.lake, places.evidence, places.log, places.keys)
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


def land(project: Path, name: str, content: bytes) -> Path:
    path = load_policy(project, {}).places.landing / "runs" / YESTERDAY.isoformat() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Every command


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
    assert set(main.commands) == set("init add-stream keygen demo run ui verify prove check query status".split())


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
    assert f"{file}:8:" in done.stderr


def test_the_environment_names_the_policy_and_the_home(command: Command, project: Path, tmp_path: Path) -> None:
    done = command("status", "--json", AUDIT_POLICY=str(project), AUDIT_HOME=str(tmp_path / "home"))

    assert json.loads(done.stdout)["places"]["lake"] == str(tmp_path / "home/lake")


# init, add-stream, keygen


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
    assert [stream.name for stream in load_policy(project, {}).streams] == ["runs", "votes"]


# run


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


def test_a_failed_check_ends_with_1(command: Command, project: Path) -> None:
    land(project, "a.jsonl", b'{"a": 1}\n')
    command("run", "--date", str(YESTERDAY), folder="project")
    (data,) = (project / "audit-home/lake/restricted/records/runs").rglob("*.parquet")
    flip_bit(data)

    done = command("run", "--date", str(YESTERDAY), folder="project")

    assert done.exit_code == 1
    assert "evidence_holds" in done.stderr


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


# verify


def test_verify_says_what_holds(command: Command, demo_home: tuple[Path, Result, float]) -> None:
    home = str(demo_home[0])

    text, machine = command("verify", AUDIT_POLICY=home), command("verify", "--json", AUDIT_POLICY=home)

    assert (text.exit_code, machine.exit_code) == (0, 0)
    assert "self-consistent, extends-own-mark" in text.stdout
    found = json.loads(machine.stdout)
    assert (found["holds"], found["problems"], found["days"], found["unsealed_records"]) == (True, [], 3, 0)
    assert "signed" not in found["levels"]


def test_a_trusted_key_shows_more(command: Command, demo_home: tuple[Path, Result, float], tmp_path: Path) -> None:
    vkey = (demo_home[0] / "keys/vkey").read_text().strip()
    trust = tmp_path / "trust"
    trust.write_text(f"# ours\n\nlog {vkey}\n")

    done = command("verify", "--json", "--trust", str(trust), AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 0
    assert "signed" in json.loads(done.stdout)["levels"]


def test_a_key_that_did_not_sign_is_a_problem(
    command: Command, demo_home: tuple[Path, Result, float], project: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust"
    trust.write_text(f"log {(project / 'audit-home/keys/vkey').read_text().strip()}\n")

    done = command("verify", "--trust", str(trust), AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 1


@pytest.mark.parametrize("text", ["", "# log nothing\n", "log\n", "witness abc\n", "log a b\n"])
def test_a_trust_file_without_a_key_is_refused(
    command: Command, demo_home: tuple[Path, Result, float], tmp_path: Path, text: str
) -> None:
    """Taken as "no key given" it would mean the key beside the lake."""
    (tmp_path / "trust").write_text(text)

    assert command("verify", "--trust", "trust", AUDIT_POLICY=str(demo_home[0])).exit_code == 2


def test_a_lake_where_nothing_was_run_does_not_hold(command: Command, project: Path) -> None:
    assert command("verify", folder="project").exit_code == 1


def test_days_in_the_wrong_order_are_wrong_use(command: Command, project: Path) -> None:
    done = command("verify", "--from", "2026-03-05", "--to", "2026-03-04", folder="project")

    assert done.exit_code == 2


# query


def test_tables_are_there_by_name(command: Command, demo_home: tuple[Path, Result, float]) -> None:
    tables = "records sources seals runs annotations generations reward_scores training_metrics".split()
    sql = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS rows FROM {table}" for table in tables)

    done = command("query", "--json", sql, AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 0, done.stderr
    rows = {row["name"]: row["rows"] for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == tables
    assert min(rows.values()) > 0


def test_a_query_gives_lines_json_or_csv(command: Command, demo_home: tuple[Path, Result, float]) -> None:
    sql = "SELECT DATE '2026-03-05' AS day, 'a,\t\x1b[31m' AS text, '\\xFF'::BLOB AS bytes, NULL AS nothing"
    home = str(demo_home[0])

    lines, rows, table = (command("query", sql, *style, AUDIT_POLICY=home) for style in ([], ["--json"], ["--csv"]))

    assert lines.stdout.splitlines() == ["day\ttext\tbytes\tnothing", "2026-03-05\ta,\\t\\x1b[31m\t\\xff\t-"]
    assert json.loads(rows.stdout) == {
        "day": "2026-03-05",
        "text": "a,\t\x1b[31m",
        "bytes": {"$base64": "/w=="},
        "nothing": None,
    }
    assert list(csv.reader(io.StringIO(table.stdout)))[1] == ["2026-03-05", "a,\\t\\x1b[31m", "\\xff", ""]


def test_a_wrong_query_ends_with_2_and_one_line(command: Command, project: Path) -> None:
    done = command("query", "SELECT * FROM nowhere", folder="project")

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


def test_nothing_is_installed_from_the_network(command: Command, project: Path) -> None:
    """DuckDB would fetch an extension that a query needs; ours comes with the package."""
    settings = "autoinstall_known_extensions", "autoload_known_extensions"
    sql = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in settings)

    done = command("query", "--json", sql, folder="project")
    missing = command("query", "SELECT * FROM ST_Read('x')", folder="project")

    assert json.loads(done.stdout) == dict.fromkeys(settings, False)
    assert missing.exit_code == 2


@pytest.mark.parametrize(
    ("value", "text", "as_value"),
    [
        (b"plain", "plain", "plain"),
        (float("nan"), "nan", {"$nonfinite": "NaN"}),
        ([1, {"a": b"\xff"}], '[1, {"a": {"$base64": "/w=="}}]', [1, {"a": {"$base64": "/w=="}}]),
        ("two\nlines", "two\\nlines", "two\nlines"),
        (True, "True", True),
        (timedelta(seconds=1), "0:00:01", "0:00:01"),
    ],
)
def test_values_are_printed_on_one_line(value: object, text: str, as_value: object) -> None:
    assert as_text(value) == text
    assert as_json(value) == as_value


# status


def test_status_counts_what_is_there(command: Command, demo_home: tuple[Path, Result, float]) -> None:
    home = demo_home[0]

    state = json.loads(command("status", "--json", AUDIT_POLICY=str(home)).stdout)

    assert list(state) == ["ingest", "seals", "privacy", "quality", "controls", "places"]
    landed = [path for path in (home / "landing").rglob("*") if path.is_file()]
    assert state["ingest"]["input_bytes"] == sum(path.stat().st_size for path in landed)
    assert state["ingest"]["streams"]["runs"]["sources"] == len(landed)
    assert state["ingest"]["streams"]["runs"]["quarantined"] > 0
    kept = [path for name in ("lake", "evidence") for path in (home / name).rglob("*") if path.is_file()]
    assert state["ingest"]["lake_bytes"] == sum(path.stat().st_size for path in kept)
    assert (state["seals"]["log_size"], state["seals"]["days"], state["seals"]["unsealed_records"]) == (3, 3, 0)
    assert (state["privacy"], state["quality"], state["controls"]) == (None, None, None)


def test_status_of_an_empty_project_writes_nothing(command: Command, project: Path) -> None:
    before = sorted(project.rglob("*"))

    done = command("status", folder="project")

    assert done.exit_code == 0
    assert "records: 0" in done.stdout
    assert sorted(project.rglob("*")) == before


# demo


def test_the_demo_finds_its_own_tampering(demo_home: tuple[Path, Result, float]) -> None:
    home, done, seconds = demo_home

    assert done.exit_code == 0, done.output
    (changed,) = [line for line in done.stdout.splitlines() if "one bit changed" in line]
    found = [line for line in done.stdout.splitlines() if "FOUND" in line]
    assert str(home / "tampered/lake/restricted/records/runs") in changed
    assert found
    for part in (f"day {YESTERDAY}", "source ", "position "):
        assert part in found[0]
    assert seconds < 90


def test_the_demo_runs_again_and_with_a_passphrase(command: Command, tmp_path: Path) -> None:
    first = command("demo", "--records", "100")
    (tmp_path / "audit-demo/lake/stray").write_text("of the first run")

    second = command("demo", "--records", "100", AUDIT_KEY_PASSPHRASE="secret")

    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    assert not (tmp_path / "audit-demo/lake/stray").exists()


def test_the_demo_leaves_a_folder_that_works_by_itself(
    command: Command, demo_home: tuple[Path, Result, float], tmp_path: Path
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


def test_a_query_without_a_statement_ends_with_2(command: Command, project: Path) -> None:
    said = command("query", "", folder=str(project))

    assert said.exit_code == 2
    assert "no statement" in said.stderr


def test_a_damaged_key_in_the_trust_file_is_wrong_input_and_not_broken_evidence(
    command: Command, demo_home: tuple[Path, Result, float], tmp_path: Path
) -> None:
    (tmp_path / "trust").write_text("log foo+123+abc\n")

    said = command("verify", "--trust", str(tmp_path / "trust"), folder=str(demo_home[0]))

    assert said.exit_code == 2
    assert "vkey of 'foo'" in said.stderr


def test_a_missing_key_file_ends_with_2_before_anything_runs(command: Command, project: Path) -> None:
    (project / "audit-home" / "keys" / "key.pem").unlink()

    said, again = command("run", folder=str(project)), command("keygen", folder=str(project))

    assert (said.exit_code, again.exit_code) == (2, 2)
    assert "restore it from your backup" in said.stderr
    assert "restore what is missing" in again.stderr
