"""Every other service, by an Apprise URL (github.com/caronc/apprise): about a hundred of them."""

from dataclasses import dataclass

from audit_pipeline.alerts import Message, Severity
from audit_pipeline.errors import PolicyError, StorageError

_TYPES = {Severity.WARNING: "warning", Severity.ERROR: "failure", Severity.CRITICAL: "failure"}


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """What the URL names. It is a secret, so no error has it."""

    channel: str
    url: str

    def send(self, message: Message) -> None:
        try:
            import apprise  # takes a second to load, and is an extra
        except ImportError as err:
            raise PolicyError(f"channel {self.channel}: needs Apprise; install rlhf-audit-pipeline[notify]") from err
        service = apprise.Apprise()
        if not service.add(self.url):
            raise StorageError(f"channel {self.channel}: Apprise does not know its URL; see Apprise's list of services")
        kind = apprise.NotifyType("success" if message.is_resolved else _TYPES[message.severity])
        if not service.notify(title=message.title, body="\n".join(message.lines), notify_type=kind):
            raise StorageError(f"channel {self.channel}: its service did not take the message; check its URL")
