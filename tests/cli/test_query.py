"""query and status, and how values are printed."""

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from audit_pipeline.cli.printing import as_json, as_text, csv_line
from audit_pipeline.policy import load_policy
from tests.cli.conftest import Command, evidence_files


def test_tables_are_there_by_name(command: Command, demo_home: tuple[Path, Result]) -> None:
    tables = "records sources seals runs annotations generations reward_scores training_metrics".split()
    sql = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS rows FROM {table}" for table in tables)

    done = command("query", "--json", sql, AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 0, done.stderr
    rows = {row["name"]: row["rows"] for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == tables
    assert min(rows.values()) > 0


def test_a_query_gives_lines_json_or_csv(command: Command, demo_home: tuple[Path, Result]) -> None:
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
    assert list(csv.reader(io.StringIO(table.stdout)))[1] == ["2026-03-05", "a,\t\x1b[31m", '{"$base64":"/w=="}', ""]


def test_csv_has_the_values_as_they_are(command: Command, demo_home: tuple[Path, Result]) -> None:
    texts = "'a' || chr(10) || 'b' AS two, 'a\\nb' AS one, chr(13) AS r, '\"' AS q, '' AS e"

    done = command("query", f"SELECT 2.3456789012::DOUBLE AS score, {texts}", "--csv", AUDIT_POLICY=str(demo_home[0]))

    assert done.stdout == 'score,two,one,r,q,e\n2.3456789012,"a\nb",a\\nb,"\r","""",""\n'


def test_csv_on_a_terminal_has_nothing_that_it_would_obey() -> None:
    values = ["\x1b[31m", b"a\nb\xff", 1.5, None, {"a": "\x9b"}]

    assert csv_line(values, is_terminal=True) == '\\x1b[31m,a\\nb\\xff,1.5,,"{""a"": ""\\u009b""}"'


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
        (2.3456789012, "2.3456789012", 2.3456789012),
        (1e20, "1e+20", 1e20),
        ([1, {"a": b"\xff"}], '[1, {"a": {"$base64": "/w=="}}]', [1, {"a": {"$base64": "/w=="}}]),
        ("two\nlines", "two\\nlines", "two\nlines"),
        ("one\\nline", "one\\\\nline", "one\\nline"),
        (b"\x9b", "\\x9b", {"$base64": "mw=="}),
        (b"\\x9b", "\\\\x9b", "\\x9b"),
        ("\x9b", "\\u009b", "\x9b"),
        ("\U000e0001\u2028", "\\U000e0001\\u2028", "\U000e0001\u2028"),
        ("\udcff", "\\xff", "\udcff"),
        (["a\n\x9b"], '["a\\n\\u009b"]', ["a\n\x9b"]),
        (True, "True", True),
        (timedelta(seconds=1), "0:00:01", "0:00:01"),
    ],
)
def test_values_are_printed_on_one_line(value: object, text: str, as_value: object) -> None:
    assert as_text(value) == text
    assert as_json(value) == as_value


def test_status_counts_what_is_there(command: Command, demo_home: tuple[Path, Result]) -> None:
    home = demo_home[0]

    state = json.loads(command("status", "--json", AUDIT_POLICY=str(home)).stdout)

    assert list(state) == ["ingest", "seals", "privacy", "quality", "controls", "places"]
    landed = [path for path in (home / "landing").rglob("*") if path.is_file()]
    assert state["ingest"]["input_bytes"] == sum(path.stat().st_size for path in landed)
    assert state["ingest"]["streams"]["runs"]["sources"] == len(landed)
    assert state["ingest"]["streams"]["runs"]["quarantined"] > 0
    kept = [path for name in ("lake", "evidence") for path in (home / name).rglob("*") if path.is_file()]
    assert state["ingest"]["lake_bytes"] == sum(path.stat().st_size for path in kept)
    # A second seal of each day for what was found of it, and one for the release.
    seals = state["seals"]
    assert (seals["log_size"], seals["days"], seals["unsealed_records"]) == (7, 3, 0)
    assert (state["quality"]["days"], state["quality"]["error"]) == (3, 0)
    assert sum(state["controls"][name] for name in ("pass", "fail", "not_evidenced", "not_applicable")) == 75
    privacy = state["privacy"]
    assert (privacy["releases"], privacy["reserved"]) == (1, 0)
    assert privacy["budget"] == pytest.approx(privacy["spent"] + privacy["left"])
    assert 0.0095 < privacy["spent"] <= 0.0096


def test_status_of_an_empty_project_writes_nothing(command: Command, project: Path) -> None:
    before = sorted(project.rglob("*"))

    done = command("status", folder="project")

    assert done.exit_code == 0
    assert "records: 0" in done.stdout
    assert "none in this policy" not in done.stdout
    assert sorted(project.rglob("*")) == before


def test_a_table_that_nothing_was_written_to_is_empty(command: Command, project: Path) -> None:
    question = "SELECT count(*) AS n, typeof(max(day)) AS type FROM releases"

    said = command("query", question, "--json", folder="project")

    assert json.loads(said.stdout) == {"n": 0, "type": "DATE"}


def test_a_query_without_a_statement_ends_with_2(command: Command, project: Path) -> None:
    said = command("query", "", folder=str(project))

    assert said.exit_code == 2
    assert "no statement" in said.stderr


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{lake}/x.csv'",
        "COPY (SELECT 1) TO '{elsewhere}/x.csv'",
        "SELECT 1; ATTACH '{lake}/x.db'",
        "SELECT * FROM read_text('{elsewhere}/secret')",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_a_query_reads_the_lake_and_nothing_else(
    command: Command, demo_home: tuple[Path, Result], tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    lake = load_policy(demo_home[0], {}).places.lake
    before = evidence_files(demo_home[0])

    done = command("query", sql.format(lake=lake, elsewhere=tmp_path), AUDIT_POLICY=str(demo_home[0]))

    assert done.exit_code == 2
    assert "secret" not in done.stdout
    assert evidence_files(demo_home[0]) == before
