"""Slack, by an incoming webhook: `text` for notifications, blocks for the channel (docs.slack.dev, Block Kit)."""

from dataclasses import dataclass

from audit_pipeline.alerts import Message
from audit_pipeline.channels.http import Post, as_json

_MOST_HEADER = 150  # characters of a header block
_MOST_SECTION = 3000


@dataclass(frozen=True, slots=True)
class Slack:
    """The channel that the webhook was made for."""

    post: Post

    def send(self, message: Message) -> None:
        header = {"type": "plain_text", "text": message.title[:_MOST_HEADER]}
        text = _escape("\n".join(message.lines))[:_MOST_SECTION]
        blocks = [
            {"type": "header", "text": header},
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        ]
        self.post.send(as_json({"text": _escape(message.title), "blocks": blocks}))


def _escape(text: str) -> str:
    """Slack reads `<!channel>` and links in what is not escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
