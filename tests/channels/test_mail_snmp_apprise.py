"""Mail, SNMP traps and Apprise, each to a real receiver on loopback."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import pytest

from audit_pipeline.alerts import Severity
from audit_pipeline.channels import AppriseChannel, EmailChannel, SnmpTrap
from audit_pipeline.errors import StorageError
from tests.channels.conftest import Mailbox, Receiver, make_message

ENGINE = "80001f8804617564697401"


def mail_channel(port: int) -> EmailChannel:
    return EmailChannel(
        "mail", "127.0.0.1", port, "none", "Audit <audit@example.com>", ("a@example.com", "b@example.com")
    )


def test_a_mail_says_what_and_what_to_do(mailbox: Mailbox) -> None:
    mail_channel(mailbox.port).send(make_message())

    (mail,) = mailbox.mails
    assert " ".join(mail["Subject"].split()) == make_message().title
    assert mail["To"] == "a@example.com, b@example.com"
    assert (mail["Importance"], mail["Auto-Submitted"]) == ("high", "auto-generated")
    assert parsedate_to_datetime(mail["Date"]) == make_message().sent_at
    text = mail.get_payload(decode=True).decode()
    assert "Which: 2026-03-04" in text


def test_a_mail_that_is_sent_again_has_the_same_id_and_all_of_an_alert_are_a_thread(mailbox: Mailbox) -> None:
    channel = mail_channel(mailbox.port)
    for message in (make_message(), make_message(), make_message("resolved", name="0123456789ab-2")):
        channel.send(message)

    first, again, resolved = mailbox.mails
    assert first["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]
    assert {mail["References"] for mail in mailbox.mails} == {first["References"]}


def test_a_mail_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(StorageError, match=r"channel mail: 127\.0\.0\.1:9 did not take the mail"):
        mail_channel(9).send(make_message())


def test_a_password_is_never_sent_to_a_server_that_cannot_encrypt(mailbox: Mailbox) -> None:
    channel = EmailChannel("mail", "127.0.0.1", mailbox.port, "starttls", "a@b.c", ("d@e.f",), "user", "SECRET")

    with pytest.raises(StorageError, match="SMTPNotSupportedError") as refused:
        channel.send(make_message())
    assert "SECRET" not in str(refused.value)
    assert mailbox.mails == []


@dataclass
class Traps:
    """A receiver of SNMPv3 notifications with the user `audit`, for one message."""

    port: int = 0
    values: dict[str, str] = field(default_factory=dict)


async def receive_trap(channel_of: object, auth: str = "auth-secret") -> Traps:
    """Start a receiver, send one message through `channel_of(port)` and give back what came."""
    from pysnmp.carrier.asyncio.dgram import udp
    from pysnmp.entity import config, engine
    from pysnmp.entity.rfc3413 import ntfrcv
    from pysnmp.proto.api import v2c

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        traps = Traps(probe.getsockname()[1])
    receiver = engine.SnmpEngine()
    config.add_transport(receiver, udp.DOMAIN_NAME, udp.UdpTransport().open_server_mode(("127.0.0.1", traps.port)))
    config.add_v3_user(
        receiver,
        "audit",
        config.USM_AUTH_HMAC192_SHA256,
        auth,
        config.USM_PRIV_CFB128_AES,
        "priv-secret",
        securityEngineId=v2c.OctetString(hexValue=ENGINE),
    )
    came = asyncio.Event()

    def keep(engine: object, reference: object, context: object, name: object, values: list, extra: object) -> None:
        traps.values = {str(oid): str(value) for oid, value in values}
        came.set()

    ntfrcv.NotificationReceiver(receiver, keep)
    try:
        await asyncio.to_thread(channel_of(traps.port).send, make_message(severity=Severity.ERROR))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(came.wait(), 3)
    finally:
        receiver.close_dispatcher()
    return traps


def snmp_channel(port: int) -> SnmpTrap:
    return SnmpTrap("noc", "127.0.0.1", port, "audit", "auth-secret", "priv-secret", ENGINE)


def test_a_trap_is_read_by_a_receiver_that_has_the_keys() -> None:
    traps = asyncio.run(receive_trap(snmp_channel))

    base = snmp_channel(0).oid
    assert traps.values["1.3.6.1.6.3.1.1.4.1.0"] == f"{base}.0.1"  # snmpTrapOID.0
    assert [traps.values[f"{base}.1.{n}"] for n in (1, 2, 3, 5)] == [
        make_message().key,
        "error",
        make_message().title,
        "raised",
    ]


def test_a_trap_is_not_read_with_another_key() -> None:
    assert asyncio.run(receive_trap(snmp_channel, auth="other-secret")).values == {}


def test_apprise_posts_to_what_its_url_names(receiver: Receiver) -> None:
    AppriseChannel("other", receiver.url.replace("http:", "json:")).send(make_message())

    (body,) = receiver.posted
    assert (body["title"], body["type"]) == (make_message().title, "failure")


def test_apprise_says_when_its_service_did_not_take_it(receiver: Receiver) -> None:
    receiver.status = 500

    with pytest.raises(StorageError, match="channel other: its service did not take the message"):
        AppriseChannel("other", receiver.url.replace("http:", "json:") + "SECRET").send(make_message())


def test_apprise_says_that_it_does_not_know_a_url() -> None:
    with pytest.raises(StorageError, match="does not know its URL") as refused:
        AppriseChannel("other", "nothing-of-the-kind://SECRET").send(make_message())
    assert "SECRET" not in str(refused.value)
