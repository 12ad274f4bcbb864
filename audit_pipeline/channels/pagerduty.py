"""PagerDuty Events API v2: one incident for each key, resolved by the notice of recovery."""

from dataclasses import dataclass
from typing import Any

from audit_pipeline.alerts import Message
from audit_pipeline.channels.http import Post, as_json

EVENTS_V2 = "https://events.pagerduty.com/v2/enqueue"
_MOST_SUMMARY = 1024
_MOST_KEY = 255


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """A service's integration, named by its routing key."""

    post: Post
    routing_key: str

    def send(self, message: Message) -> None:
        event: dict[str, Any] = {
            "routing_key": self.routing_key,
            "event_action": "resolve" if message.is_resolved else "trigger",
            "dedup_key": message.key[-_MOST_KEY:],
        }
        if not message.is_resolved:
            event["payload"] = {
                "summary": message.title[:_MOST_SUMMARY],
                "source": message.subject,
                "severity": message.severity.word,
                "timestamp": message.at.isoformat(),
                "class": message.kind,
                "custom_details": {"text": "\n".join(message.lines)},
            }
            if message.runbook.startswith("https://"):
                event["links"] = [{"href": message.runbook, "text": "Runbook"}]
        self.post.send(as_json(event))
