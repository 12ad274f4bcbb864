"""The value of a record, for adapters: JSON read exactly, and what canonical JSON wrote as `{"$…":…}` turned back."""

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from audit_pipeline.containers.json_text import LEAST_DEEP, nests_too_deep, read_value
from audit_pipeline.records import canonical


def parse_record(record: bytes) -> Any:
    """The value of a JSON record, from a line or from a container.

    Raises:
        ValueError: not one JSON text in UTF-8.
    """
    text = record.decode("utf-8-sig").strip(" \t\r\n")
    value, end, _ = read_value(text)
    if end != len(text):
        raise ValueError("more than one JSON text")
    return _restored(value) if '"$' in text else value


def parse_objects(records: Sequence[bytes]) -> list[Any] | None:
    """What `parse_record` gives of each, where that is sure to be plain; None: ask it. Records that are JSON objects.

    msgspec reads numbers and texts as exactly as `json` does. Of a key that is there twice it keeps the last: then the
    values, written again, have fewer quotes.
    """
    text = b"\n".join(records)
    if b'"$' in text or b"\\u0022" in text:
        return None
    if any(len(record) >= LEAST_DEEP and nests_too_deep(record) for record in records):
        return None
    try:
        values = list(map(_DECODER.decode, records))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    is_plain = set(map(type, values)) == {dict} and _ENCODER.encode(values).count(b'"') == text.count(b'"')
    return values if is_plain else None


_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def _restored(value: Any) -> Any:
    if isinstance(value, canonical.RepeatedKeys):
        return canonical.RepeatedKeys((key, _restored(member)) for key, member in value)
    if isinstance(value, list):
        return [_restored(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, member)] = value.items()
        if key == "$pairs" and _is_pairs(member):
            return canonical.RepeatedKeys((name, _restored(one)) for name, one in member)
        if key in _FROM_TEXT and isinstance(member, str):
            return _from_text(key, member, value)
    return {key: _restored(member) for key, member in value.items()}


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
    )


def _nonfinite(text: str) -> float:
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[text]


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "$nonfinite": _nonfinite,
    "$number": canonical.OutOfRange,
    "$decimal": Decimal,
    "$base64": _bytes,
}


def _from_text(key: str, text: str, otherwise: dict[str, Any]) -> Any:
    """What canonical JSON wrote as `{key: text}`; `otherwise` where it would not have written this."""
    try:
        return _FROM_TEXT[key](text)
    except (KeyError, ArithmeticError, binascii.Error):
        return otherwise
