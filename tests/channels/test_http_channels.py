"""What is posted has the shape that the receiver documents; what goes wrong is one line without the secret."""

import base64
import hashlib
import hmac
from datetime import datetime

import pytest

from audit_pipeline.alerts import Severity
from audit_pipeline.channels import PagerDuty, Post, Slack, Teams, Webhook
from audit_pipeline.channels.http import webhook_secret
from audit_pipeline.errors import StorageError
from tests.channels.conftest import Receiver, make_message


def test_slack_gets_a_text_and_blocks_within_its_limits(receiver: Receiver) -> None:
    Slack(Post("chat", receiver.url)).send(make_message(title="[ERROR] " + "x" * 200, lines=("y" * 4000,)))

    (body,) = receiver.posted
    assert body.keys() == {"text", "blocks"}
    header, section = body["blocks"]
    assert (header["type"], header["text"]["type"]) == ("header", "plain_text")
    assert 0 < len(header["text"]["text"]) <= 150
    assert (section["type"], section["text"]["type"]) == ("section", "mrkdwn")
    assert 0 < len(section["text"]["text"]) <= 3000


def test_slack_cannot_be_made_to_call_everybody(receiver: Receiver) -> None:
    Slack(Post("chat", receiver.url)).send(make_message(title="<!channel>", lines=("<!here> & <https://x|y>",)))

    (body,) = receiver.posted
    assert body["text"] == "&lt;!channel&gt;"
    assert body["blocks"][1]["text"]["text"] == "&lt;!here&gt; &amp; &lt;https://x|y&gt;"


@pytest.mark.parametrize("severity", list(Severity))
def test_pagerduty_gets_an_event_of_version_2(receiver: Receiver, severity: Severity) -> None:
    PagerDuty(Post("pager", receiver.url), "R" * 32).send(make_message(severity=severity))

    (body,) = receiver.posted
    assert body.keys() <= {
        "routing_key",
        "event_action",
        "dedup_key",
        "payload",
        "links",
        "images",
        "client",
        "client_url",
    }
    assert (body["routing_key"], body["event_action"]) == ("R" * 32, "trigger")
    assert len(body["dedup_key"]) <= 255
    payload = body["payload"]
    assert {"summary", "source", "severity"} <= payload.keys()
    assert payload.keys() <= {
        "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"
    }  # fmt: skip
    assert payload["severity"] in ("critical", "error", "warning", "info")
    assert len(payload["summary"]) <= 1024
    assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
    assert [link.keys() for link in body["links"]] == [{"href", "text"}]


def test_pagerduty_resolves_the_incident_that_it_made(receiver: Receiver) -> None:
    pager = PagerDuty(Post("pager", receiver.url), "R" * 32)
    pager.send(make_message("raised"))
    pager.send(make_message("repeated"))
    pager.send(make_message("resolved"))

    assert [body["event_action"] for body in receiver.posted] == ["trigger", "trigger", "resolve"]
    assert len({body["dedup_key"] for body in receiver.posted}) == 1
    assert "payload" not in receiver.posted[-1]


def test_teams_gets_one_adaptive_card(receiver: Receiver) -> None:
    Teams(Post("team", receiver.url)).send(make_message())

    (body,) = receiver.posted
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["$schema"]) == (
        "AdaptiveCard",
        "http://adaptivecards.io/schemas/adaptive-card.json",
    )
    assert all(block["type"] == "TextBlock" and block["text"] for block in card["body"])
    assert [(action["type"], action["url"][:8]) for action in card["actions"]] == [("Action.OpenUrl", "https://")]


def test_a_runbook_that_is_no_address_is_no_link(receiver: Receiver) -> None:
    message = make_message(runbook="deploy/runbooks.md#verification_failed")
    Teams(Post("team", receiver.url)).send(message)
    PagerDuty(Post("pager", receiver.url), "R" * 32).send(message)

    assert "actions" not in receiver.posted[0]["attachments"][0]["content"]
    assert "links" not in receiver.posted[1]


def test_a_webhook_is_signed_as_standard_webhooks_says(receiver: Receiver) -> None:
    """The receiver's side, written from the specification: MAC over id, time and body, base64, `v1,` before it."""
    key = b"k" * 24
    secret = webhook_secret("whsec_" + base64.b64encode(key).decode())

    Webhook(Post("hook", receiver.url), secret).send(make_message())

    (headers,), (body,) = receiver.headers, receiver.bodies
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(signature) == hmac.new(key, signed, hashlib.sha256).digest()
    assert receiver.posted[0].keys() == {"type", "timestamp", "data"}
    assert receiver.posted[0]["data"]["severity"] == "critical"


def test_standard_webhooks_own_example_gives_its_signature() -> None:
    """From the libraries' tests of the specification."""
    from audit_pipeline.channels.http import sign_webhook

    secret = webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    signature = sign_webhook(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500])
def test_any_other_answer_is_an_error_that_does_not_tell_the_address(receiver: Receiver, status: int) -> None:
    receiver.status = status

    with pytest.raises(StorageError, match=f"channel chat: answered {status}") as refused:
        Slack(Post("chat", receiver.url + "services/SECRET")).send(make_message())
    assert "SECRET" not in str(refused.value)
    assert receiver.bodies == []


def test_a_receiver_that_is_not_there_is_an_error() -> None:
    with pytest.raises(StorageError, match="channel chat: cannot be reached"):
        Slack(Post("chat", "http://127.0.0.1:9/SECRET")).send(make_message())
