"""What `assets/alerts/defs.yaml` may say, and what is refused with its line."""

from pathlib import Path

import pytest

from audit_pipeline.alerts import Severity
from audit_pipeline.channels import EmailChannel, PagerDuty, Slack
from audit_pipeline.errors import PolicyError
from audit_pipeline.policy import Policy, init_project, load_policy

EVERYTHING = """\
type: audit_pipeline.components.Alerts

attributes:
  channels:
    - {name: chat, kind: slack, url_env: CHAT_URL, fallback: mail}
    - {name: pager, kind: pagerduty, routing_key_env: PAGER_KEY, fallback: mail}
    - {name: mail, kind: email, host: smtp.example.com, sender: a@example.com, to: [b@example.com]}
    - {name: team, kind: teams, url_env: TEAM_URL}
    - {name: hook, kind: webhook, url_env: HOOK_URL, secret_env: HOOK_SECRET}
    - {name: noc, kind: snmp, host: noc, user: audit, auth_key_env: A, privacy_key_env: P, engine_id: 80001f8804}
    - {name: other, kind: apprise, url_env: OTHER_URL}
  routes:
    critical: [pager, chat]
    error: [chat]
  escalate: {after_minutes: 30, to: [pager]}
  quiet: {start: "20:00", end: "07:00", timezone: Europe/Berlin}
  watch: {silent_hours_of: {registers: 8784}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    init_project(tmp_path)
    return tmp_path


def load(root: Path, text: str = EVERYTHING, *, old: str = "", new: str = "") -> Policy:
    assert old in text
    (root / "assets/alerts/defs.yaml").write_text(text.replace(old, new) if old else text)
    return load_policy(root, {})


def test_the_rules_are_what_the_yaml_says(root: Path) -> None:
    rules = load(root).alerts.rules()

    assert rules.routes[Severity.CRITICAL] == ("pager", "chat")
    assert rules.routes[Severity.WARNING] == ()
    assert rules.fallbacks == {"chat": "mail", "pager": "mail"}
    assert rules.escalate_to == ("pager",)
    assert rules.quiet is not None


def test_the_shipped_policy_watches_and_has_no_channel(root: Path) -> None:
    policy = load_policy(root, {})

    assert policy.alerts.channels == ()
    assert policy.alerts.watch.sealed_by_hour == 6


def test_the_examples_in_the_shipped_policy_load_when_they_are_uncommented(root: Path) -> None:
    shipped = (root / "assets/alerts/defs.yaml").read_text()
    head, _, examples = shipped.partition("  # channels:")

    policy = load(root, head + ("  # channels:" + examples).replace("  # ", "  "))

    assert [channel.name for channel in policy.alerts.channels] == ["chat", "pager", "mail"]


def test_a_policy_without_the_component_has_no_alerts(root: Path) -> None:
    (root / "assets/alerts/defs.yaml").unlink()

    assert load_policy(root, {}).alerts.channels == ()


def test_secrets_come_from_the_environment_and_one_that_is_missing_silences_its_channel_alone(root: Path) -> None:
    opened = load(root).alerts.open_channels({"CHAT_URL": "https://hooks.example.com/x", "PAGER_KEY": "k"})

    assert {name for name, channel in opened.items() if not isinstance(channel, PolicyError)} == {
        "chat",
        "pager",
        "mail",
    }
    assert isinstance(opened["chat"], Slack)
    assert isinstance(opened["pager"], PagerDuty)
    assert isinstance(opened["mail"], EmailChannel)
    assert "TEAM_URL is not set" in str(opened["team"])


@pytest.mark.parametrize("url", ["http://hooks.example.com/x", "file:///etc/passwd", "ftp://x/"])
def test_a_secret_is_not_sent_in_the_clear_nor_a_file_opened(root: Path, url: str) -> None:
    opened = load(root).alerts.open_channels({"CHAT_URL": url})

    assert isinstance(opened["chat"], PolicyError)
    assert "expected an https:// address" in str(opened["chat"])
    assert url not in str(opened["chat"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("critical: [pager, chat]", "critical: [nobody]", "there is no channel 'nobody'"),
        ("fallback: mail}\n    - {name: pager", "fallback: chat}\n    - {name: pager", "cannot be its own"),
        ("name: team", "name: chat", "defs.yaml:8: channels.3.name: the channel 'chat' is declared 2 times"),
        ("error: [chat]", "warning: [chat]", "at least one channel each for critical and error"),
        ("kind: teams", "kind: pigeon", "kind"),
        ("url_env: CHAT_URL", "url_env: https://hooks.example.com/x", "url_env"),
        ("url_env: CHAT_URL", "url: https://hooks.example.com/x", "slack.url: unknown key; did you mean url_env?"),
        ("auth_key_env: A", "auth_key_envs: A", "snmp.auth_key_envs: unknown key; did you mean auth_key_env?"),
        ("url_env: TEAM_URL", "host: x", "teams.host: unknown key; remove it or correct its spelling"),
        (
            "silent_hours_of:",
            "silent_hour_of:",
            "defs.yaml:17: watch.silent_hour_of: unknown key; did you mean silent_hours_of?",
        ),
        ("Europe/Berlin", "Europe/Nowhere", "is no time zone"),
        ('end: "07:00"', 'end: "25:00"', "quiet.end"),
        ("sender: a@example.com", "sender: a@example.com, security: none, user_env: U, password_env: P", "as it is"),
        ("engine_id: 80001f8804", "engine_id: xyz", "engine_id"),
        ("{registers: 8784}", "{registers: 0}", "silent_hours_of"),
    ],
)
def test_what_is_wrong_is_refused_with_file_and_line(root: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(PolicyError, match=r"alerts/defs\.yaml:\d+: ") as refused:
        load(root, old=old, new=new)
    assert message in str(refused.value)
