"""Receivers on loopback that stop by themselves, and a message."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MailHandler

from audit_pipeline.alerts import Message, Severity


@dataclass
class Receiver:
    """An HTTP server that answers what it is told to."""

    url: str = ""
    status: int = 202
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def posted(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.status < 300:
                receiver.bodies.append(body)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(receiver.status)
            if receiver.status == 302:
                self.send_header("Location", receiver.url + "elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@dataclass
class Mailbox:
    port: int = 0
    mails: list[Mail] = field(default_factory=list)


@contextmanager
def mail_server(**arguments: Any) -> Iterator[Mailbox]:
    mailbox = Mailbox()

    class Keep(MailHandler):
        def handle_message(self, message: Mail) -> None:
            mailbox.mails.append(message)

    class AnyPort(Controller):
        def _trigger_server(self) -> None:
            """Port 0 becomes the one that the system chose before the controller calls it."""
            self.port = self.server.sockets[0].getsockname()[1]
            super()._trigger_server()

    controller = AnyPort(Keep(), hostname="127.0.0.1", port=0, **arguments)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


def make_message(reason: str = "raised", severity: Severity = Severity.CRITICAL, **changes: Any) -> Message:
    at = datetime(2026, 3, 5, 12, tzinfo=UTC)
    return Message(
        **{
            "key": "example.com/audit/1/verification_failed/daily_merkle_root:evidence_holds",
            "name": "0123456789ab-1",
            "alert": "0123456789ab",
            "kind": "verification_failed",
            "subject": "daily_merkle_root:evidence_holds",
            "reason": reason,
            "severity": severity,
            "title": "[CRITICAL] stored evidence does not hold: daily_merkle_root:evidence_holds",
            "lines": ("Which: 2026-03-04", "Do: run <verify> & restore"),
            "runbook": "https://example.com/runbooks#verification_failed",
            "at": at,
            "sent_at": at,
            **changes,
        }
    )
