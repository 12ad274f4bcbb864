"""The commands `alerts` and `doctor`, as a person types them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from audit_pipeline.alert_rows import append_alerts
from audit_pipeline.alerts import Fault, Rules, Severity, raise_and_resolve
from audit_pipeline.cli import main
from audit_pipeline.ingest import system_entropy
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import init_project, load_policy
from tests.channels.conftest import receiving


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("AUDIT_")]:
        monkeypatch.delenv(name)
    init_project(tmp_path / "project")
    make_keys(load_policy(tmp_path / "project", {}).places.keys, "example.com/audit", os.urandom, None)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def raise_alert(root: Path) -> str:
    now = datetime.now(UTC)
    fault = Fault("check_failed", "records:nothing_lost", "2026-03-05", Severity.ERROR)
    (row,) = append_alerts(
        open_lake(load_policy(root, {}).places),
        lambda book: raise_and_resolve(book, ["check_failed"], [fault], Rules({}), now),
        now=now,
        entropy=system_entropy,
    )
    return row.alert


def add_channels(root: Path, *names: str) -> None:
    channels = ", ".join(f"{{name: {n}, kind: slack, url_env: {n.upper()}_URL}}" for n in names)
    file = root / "assets/alerts/defs.yaml"
    routes = f"{{critical: [{names[0]}], error: [{names[0]}]}}"
    file.write_text(file.read_text() + f"  channels: [{channels}]\n  routes: {routes}\n")


def test_open_alerts_are_listed_until_they_are_over(root: Path) -> None:
    assert json.loads(call("alerts", "list", "--json").output or "null") is None
    assert "no alert is open" in call("alerts", "list").output
    name = raise_alert(root)

    (line,) = call("alerts", "list", "--json").output.splitlines()

    said = json.loads(line)
    assert (said["alert"], said["severity"], said["items"]) == (name, "error", ["2026-03-05"])
    assert name in call("alerts", "list").output


def test_an_alert_is_acknowledged_by_its_first_letters(root: Path) -> None:
    name = raise_alert(root)

    first, second = call("alerts", "ack", name[:5], "--by", "ada"), call("alerts", "ack", name)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"{name}: acknowledged by ada" in first.output
    assert "was acknowledged before" in second.output
    assert json.loads(call("alerts", "list", "--json").output)["acknowledged_by"] == "ada"


def test_an_alert_that_is_not_there_is_exit_code_2(root: Path) -> None:
    found = call("alerts", "ack", "ffff")

    assert found.exit_code == 2
    assert "alerts list" in found.output


def test_test_sends_one_message_to_each_channel(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_channels(root, "one", "two")
    with receiving() as receiver:
        monkeypatch.setenv("ONE_URL", receiver.url)
        monkeypatch.setenv("TWO_URL", receiver.url)

        found = call("alerts", "test")

    assert (found.exit_code, found.output) == (0, "one: sent\ntwo: sent\n")
    assert ["[TEST] this channel works" in body["text"] for body in receiver.posted] == [True, True]


def test_test_fails_when_one_channel_does(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_channels(root, "one", "two")
    with receiving() as receiver:
        receiver.status = 404
        monkeypatch.setenv("ONE_URL", receiver.url)

        found = call("alerts", "test")

    assert found.exit_code == 1
    assert "one: FAILED" in found.output
    assert "answered 404" in found.output
    assert "TWO_URL is not set" in found.output


def test_test_without_a_channel_is_exit_code_2(root: Path) -> None:
    assert call("alerts", "test").exit_code == 2


def doctor() -> dict[str, str]:
    """By what was looked at: `ok` or `WRONG`."""
    lines = [line.split(maxsplit=1) for line in call("doctor").output.splitlines() if ": " in line]
    return {rest.split(": ")[0]: word for word, rest in lines}


def test_the_doctor_names_what_a_new_project_lacks(root: Path) -> None:
    found = doctor()

    assert call("doctor").exit_code == 1
    assert {what for what, word in found.items() if word == "WRONG"} == {"landing", "channels", "instance"}


def test_the_doctor_finds_keys_that_others_can_read(root: Path) -> None:
    load_policy(root, {}).places.keys.chmod(0o755)

    assert doctor()["keys are apart"] == "WRONG"


def test_the_doctor_finds_a_missing_key(root: Path) -> None:
    (load_policy(root, {}).places.keys / "key.pem").unlink()

    assert doctor()["signing key"] == "WRONG"


def test_the_doctor_finds_a_secret_that_is_not_set_and_a_daemon_that_does_not_run(root: Path) -> None:
    from audit_pipeline.cli.jobs import prepare_instance

    add_channels(root, "one")
    prepare_instance(load_policy(root, {}).places.dagster)

    found = doctor()

    assert found["channel one"] == "WRONG"
    assert (found["instance"], found["telemetry"], found["daemon"]) == ("ok", "ok", "WRONG")
