"""Canonical bytes of records: names, leaves, digests and JSON, as docs/evidence-format.md sections 1 to 3 say.

Standard library only, so that an auditor can read and run it beside nothing else.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

RECORD_LEAF_PREFIX = b"\x00\x01"  # RFC 6962 leaf prefix, then the mark of a record leaf
CONTENT_PREFIX = b"\x02"
SALT_BYTES = 16
NONCE_BYTES = 32


class RepeatedKeys(list[tuple[str, Any]]):
    """The members of a JSON object that repeats a key, in document order."""


class OutOfRange(str):
    """The text of a JSON number that no double holds, such as 1e400."""

    __slots__ = ()


def source_id(stream: str, path: str) -> str:
    """Name of a source: 64 hex digits. `path` is relative to the stream's fixed folder; buckets may move."""
    return hashlib.sha256(f"{stream}\n{path}".encode()).hexdigest()


def record_leaf(salt: bytes, record: bytes) -> bytes:
    """Leaf hash of one record (32 bytes).

    Raises:
        ValueError: the salt is not 16 bytes, so salt and record could not be told apart.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, this one has {len(salt)}")
    return hashlib.sha256(RECORD_LEAF_PREFIX + salt + record).digest()


def content_hasher(nonce: bytes) -> "hashlib._Hash":
    """A SHA-256 that has taken in the prefix and the nonce and waits for the content's bytes."""
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"a content nonce has {NONCE_BYTES} bytes, this one has {len(nonce)}")
    return hashlib.sha256(CONTENT_PREFIX + nonce)


def exceptions_digest(exceptions: Iterable[tuple[int, str, str]]) -> str:
    """Digest of (position, status, reason) of all records that are not ok, in order of position."""
    text = "".join(f"{position} {status} {reason or '-'}\n" for position, status, reason in exceptions)
    return hashlib.sha256(text.encode()).hexdigest()


def load_json(text: str) -> Any:
    """The value of one JSON text, with nothing lost that `dump_canonical` could keep.

    NaN and the infinities are floats; integers are exact; a number no double holds is `OutOfRange`; an object that
    repeats a key is `RepeatedKeys`.

    Raises:
        ValueError: not one JSON text.
        RecursionError: nested deeper than the interpreter goes.
    """
    return json.loads(text, parse_float=_parse_float, parse_int=_parse_int, object_pairs_hook=_object)


def dump_canonical(value: Any) -> bytes:
    """Canonical JSON of `value`: equal values give equal bytes."""
    text = json.dumps(_encodable(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    # A lone surrogate has no UTF-8; backslashreplace writes exactly its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def has_repeated_keys(value: Any) -> bool:
    """Whether any object inside `value` repeats a key."""
    if isinstance(value, RepeatedKeys):
        return True
    if isinstance(value, dict):
        return any(has_repeated_keys(member) for member in value.values())
    return isinstance(value, list) and any(has_repeated_keys(member) for member in value)


def _parse_float(text: str) -> float | OutOfRange:
    number = float(text)
    return number if math.isfinite(number) else OutOfRange(text)


def _parse_int(text: str) -> int | OutOfRange:
    # int() refuses more than 4300 digits by default, to spare time quadratic in length.
    return int(text) if len(text) <= 4300 else OutOfRange(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | RepeatedKeys:
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedKeys(pairs)


def _encodable(value: Any) -> Any:
    if isinstance(value, OutOfRange):
        return {"$number": str(value)}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"$nonfinite": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, dict):
        return {key: _encodable(member) for key, member in value.items()}
    if isinstance(value, RepeatedKeys):
        return {"$pairs": [[key, _encodable(member)] for key, member in value]}
    if isinstance(value, list | tuple):
        return [_encodable(member) for member in value]
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    raise TypeError(f"no canonical JSON for {type(value).__name__}")
