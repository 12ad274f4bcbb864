"""E-mail by SMTP. Notices of one alert are one thread, and a message that is sent twice has one Message-ID."""

import hashlib
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime

from audit_pipeline.alerts import Message
from audit_pipeline.errors import StorageError

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """A mailbox or several. `security`: starttls, tls, or none for a server on this machine."""

    channel: str
    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password: str | None = None

    def send(self, message: Message) -> None:
        try:
            with self._connect() as server:
                if self.user is not None and self.password is not None:
                    server.login(self.user, self.password)
                refused = server.send_message(self._mail(message))
        except (OSError, smtplib.SMTPException) as err:
            raise StorageError(
                f"channel {self.channel}: {self.host}:{self.port} did not take the mail ({type(err).__name__}); "
                "check server, user and password"
            ) from err
        if refused:
            raise StorageError(f"channel {self.channel}: {len(refused)} addresses were refused; correct `to`")

    def _connect(self) -> smtplib.SMTP:
        tls = ssl.create_default_context()
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=tls)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        if self.security == "starttls":
            server.starttls(context=tls)
        return server

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, ", ".join(self.to), message.title
        mail["Date"] = format_datetime(message.sent_at)
        mail["Message-ID"] = self._id(f"{message.name} {message.key}")
        mail["References"] = self._id(message.alert)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notes in answer
        if not message.is_resolved and message.severity.word == "critical":
            mail["Importance"] = "high"
        mail.set_content(message.text + "\n")
        return mail

    def _id(self, text: str) -> str:
        host = self.sender.rpartition("@")[2].rstrip(">")
        return f"<{hashlib.sha256(text.encode()).hexdigest()[:32]}@{host}>"
