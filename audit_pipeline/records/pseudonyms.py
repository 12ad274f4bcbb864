"""Keyed pseudonyms: who is the same person, and nothing else, to a reader of the event tables.

HMAC-SHA256 under a key that is kept with the log's key and never stored in the lake. Without it, a table of all e-mail
addresses turns a plain hash back into the person.
"""

import hashlib
import hmac
from dataclasses import dataclass

KEY_BYTES = 32
_SHOWN_BYTES = 16


@dataclass(frozen=True, slots=True)
class PersonKeys:
    """The secrets by which event tables name people and bound their rows."""

    pseudonyms: bytes
    """32 bytes; whoever has it can tell whether a guessed name is a given pseudonym's."""
    bounding: bytes
    """32 bytes; whoever has it can tell which of a person's rows a private summary counts."""

    @property
    def key_id(self) -> str:
        """Names the pseudonym key in public: 16 hex digits that tell nothing of it."""
        return hmac.digest(self.pseudonyms, b"audit-pseudonym-key-id/v1", hashlib.sha256).hex()[:16]

    def pseudonym(self, raw: str) -> str:
        """32 hex digits, the same for an id wherever it occurs: the `7` of two tools is one, which errs for privacy."""
        return self._digest(self.pseudonyms, b"audit-pseudonym/v1", raw)

    def bounding_hash(self, event_id: str) -> str:
        """32 hex digits by which a private summary chooses among one person's rows, before it has seen their values."""
        return self._digest(self.bounding, b"audit-bounding/v1", event_id)

    @staticmethod
    def _digest(key: bytes, label: bytes, text: str) -> str:
        message = label + b"\0" + text.encode(errors="surrogatepass")
        return hmac.digest(key, message, hashlib.sha256)[:_SHOWN_BYTES].hex()
