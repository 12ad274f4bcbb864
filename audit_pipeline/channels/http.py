"""HTTP posts of JSON, and the webhook: a body signed as Standard Webhooks says (standardwebhooks.com, version 1)."""

import base64
import hashlib
import hmac
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from audit_pipeline.alerts import Message
from audit_pipeline.errors import StorageError

TIMEOUT_S = 10.0
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how such secrets are written


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A receiver that moved is not followed: the address carries the secret."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


@dataclass(frozen=True, slots=True)
class Post:
    """Where JSON is posted to. `url` may be a secret, so no error names it."""

    channel: str
    url: str

    def send(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Post the body.

        Raises:
            StorageError: no answer of the 200s came.
        """
        request = urllib.request.Request(  # noqa: S310 - the policy's models let http and https through alone
            self.url, data=body, headers={"Content-Type": "application/json", **(headers or {})}, method="POST"
        )
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
                answer.read()
        except urllib.error.HTTPError as err:
            err.close()
            self._refuse(f"answered {err.code}", err)
        except urllib.error.URLError as err:
            self._refuse(f"cannot be reached ({type(err.reason).__name__})", err)
        except (OSError, http.client.HTTPException) as err:
            self._refuse(f"gave no answer ({type(err).__name__})", err)

    def _refuse(self, what: str, err: Exception) -> NoReturn:
        raise StorageError(f"channel {self.channel}: {what}; check its address and secret") from err


def as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sign_webhook(secret: bytes, name: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: the MAC covers the id, the time and the body."""
    mac = hmac.new(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac.digest()).decode()}"


def webhook_secret(text: str) -> bytes:
    """The bytes of a secret, `whsec_` and base64, or the text itself."""
    encoded = text.removeprefix(_SECRET_PREFIX)
    return base64.b64decode(encoded, validate=True) if text.startswith(_SECRET_PREFIX) else text.encode()


@dataclass(frozen=True, slots=True)
class Webhook:
    """Any receiver of yours. `webhook-id` is the same when a message is sent again."""

    post: Post
    secret: bytes

    def send(self, message: Message) -> None:
        body = as_json(
            {
                "type": f"audit.alert.{message.reason}",
                "timestamp": message.at.isoformat(),
                "data": {
                    "alert": message.alert,
                    "key": message.key,
                    "kind": message.kind,
                    "subject": message.subject,
                    "severity": message.severity.word,
                    "title": message.title,
                    "text": "\n".join(message.lines),
                    "runbook": message.runbook,
                },
            }
        )
        sent_at = int(message.sent_at.timestamp())
        self.post.send(
            body,
            {
                "webhook-id": message.name,
                "webhook-timestamp": str(sent_at),
                "webhook-signature": sign_webhook(self.secret, message.name, sent_at, body),
            },
        )
