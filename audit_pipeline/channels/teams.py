"""Microsoft Teams, by a webhook of the Workflows app: a message with one Adaptive Card."""

from dataclasses import dataclass
from typing import Any

from audit_pipeline.alerts import Message, Severity
from audit_pipeline.channels.http import Post, as_json

_COLOURS = {Severity.WARNING: "warning", Severity.ERROR: "attention", Severity.CRITICAL: "attention"}


@dataclass(frozen=True, slots=True)
class Teams:
    """The team's channel that the workflow posts to."""

    post: Post

    def send(self, message: Message) -> None:
        colour = "good" if message.is_resolved else _COLOURS[message.severity]
        title = {"type": "TextBlock", "text": message.title, "weight": "bolder", "color": colour, "wrap": True}
        lines = [{"type": "TextBlock", "text": line, "wrap": True, "spacing": "small"} for line in message.lines]
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [title, *lines],
        }
        if message.runbook.startswith("https://"):
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Runbook", "url": message.runbook}]
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        self.post.send(as_json({"type": "message", "attachments": [attachment]}))
