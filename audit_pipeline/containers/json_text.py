"""JSON texts read without loss, fast where a plain reading is exact and by `canonical.load_json` where it is not."""

import json
import re
from itertools import accumulate
from typing import Any

from audit_pipeline.records import canonical

MAX_DEPTH = 256
"""Objects and lists within each other. Deeper texts are refused, as one limit for every Python, however deep its own
stack is: canonical JSON takes two frames a level and Python stops at 1,000 frames."""

LEAST_DEEP = 2 * (MAX_DEPTH + 1)
"""Bytes of the shortest JSON text that nests too deep."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z|\\\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def nests_too_deep(text: bytes) -> bool:
    """Whether brackets outside strings open more than MAX_DEPTH levels, valid JSON or not."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH


def check_syntax(text: str) -> None:
    """Check that `text` is one JSON text, where NaN and the infinities may stand for numbers.

    Raises:
        ValueError: it is not.
        RecursionError: it is nested deeper than the interpreter goes.
    """
    _SYNTAX.decode(text)


def read_value(text: str, start: int = 0) -> tuple[Any, int, bool]:
    """The value that starts at `start`, equal to what `canonical.load_json` gives, its end, and whether it is plain.

    A plain value holds nothing but what `json` itself gives: no repeated keys, no number beyond a double.

    Raises:
        json.JSONDecodeError: no JSON value starts here, or it is cut off.
        RecursionError: it is nested deeper than the interpreter goes.
    """
    try:
        value, end = _PLAIN.raw_decode(text, start)
    except json.JSONDecodeError:
        raise
    except ValueError:  # _NotPlainError, or int() refused more than 4300 digits
        _, end = _SYNTAX.raw_decode(text, start)
        return canonical.load_json(text[start:end]), end, False
    return value, end, True


def dump_plain(value: Any) -> bytes:
    """`canonical.dump_canonical` for a plain value, or one of dicts, lists, texts, numbers, bytes and decimals."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, TypeError):  # a NaN or infinity; bytes or a decimal
        return canonical.dump_canonical(value)
    return text.encode("utf-8", "backslashreplace")


class _NotPlainError(ValueError):
    pass


def _plain_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _NotPlainError
    return members


def _plain_float(text: str) -> float:
    number = float(text)
    if number - number != 0:  # an infinity, from a number no double holds
        raise _NotPlainError
    return number


_SYNTAX = json.JSONDecoder(parse_int=str, parse_float=str)
_PLAIN = json.JSONDecoder(parse_float=_plain_float, object_pairs_hook=_plain_object)
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
