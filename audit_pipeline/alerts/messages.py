"""What a message says: what happened, to what, how bad, what to do. Never contents of records."""

from dataclasses import dataclass
from datetime import datetime

from audit_pipeline.alerts.book import Alert, Notice
from audit_pipeline.alerts.faults import KINDS, MANY, Severity

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Message:
    """A notice in words, for a channel to put into its own shape."""

    key: str
    """The same for all notices about the same thing: channels that know incidents make one of them."""
    name: str
    """The same however often this notice is sent: receivers can tell a repetition."""
    alert: str
    kind: str
    subject: str
    reason: str
    severity: Severity
    title: str
    lines: tuple[str, ...]
    runbook: str
    at: datetime
    """When it was decided to tell this."""
    sent_at: datetime
    """When it is told."""

    @property
    def is_resolved(self) -> bool:
        return self.reason == "resolved"

    @property
    def text(self) -> str:
        return "\n".join((self.title, *self.lines))


def make_message(alert: Alert, notice: Notice, origin: str, runbooks: str, now: datetime) -> Message:
    """`origin`: the name of the log, so that who has several knows which. `runbooks`: where they are read."""
    kind = KINDS[alert.kind]
    about = "several" if alert.subject == MANY else alert.subject
    word = "RESOLVED" if notice.reason == "resolved" else notice.severity.word.upper()
    shown = ", ".join(alert.items[:_SHOWN])
    more = f" and {len(alert.items) - _SHOWN} more" if len(alert.items) > _SHOWN else ""
    runbook = f"{runbooks}#{alert.kind}"
    lines = [f"Which: {shown}{more}", f"Since: {alert.raised_at:%Y-%m-%d %H:%M} UTC", f"Log: {origin}"]
    if alert.summary:
        lines.insert(1, alert.summary)
    if notice.reason in ("grown", "repeated", "escalated"):
        lines.insert(0, _WHY[notice.reason])
    if notice.reason == "resolved":
        lines.append(f"Over since: {alert.resolved_at:%Y-%m-%d %H:%M} UTC")
    else:
        lines += [f"Do: {kind.todo}", f"Runbook: {runbook}", f"Acknowledge: audit-pipeline alerts ack {alert.name}"]
    return Message(
        key=f"{origin}/{alert.kind}/{alert.subject}",
        name=f"{alert.name}-{notice.number}",
        alert=alert.name,
        kind=alert.kind,
        subject=alert.subject,
        reason=notice.reason,
        severity=notice.severity,
        title=f"[{word}] {kind.says}: {about}",
        lines=tuple(lines),
        runbook=runbook,
        at=notice.at,
        sent_at=now,
    )


_WHY = {
    "grown": "There is more of it.",
    "repeated": "It is still there, and nobody has acknowledged it.",
    "escalated": "Nobody has acknowledged it.",
}
