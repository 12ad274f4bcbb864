"""The small texts that every format of this package is made of: decimals, base64, ASCII.

Each value has one text. A parser that finds another text for the same value refuses it, so two files that differ in a
byte differ in meaning.
"""

import base64

from audit_pipeline.errors import ProofError

MAX_DECIMAL_DIGITS = 18  # every number then fits a signed 64-bit column; a longer one is refused before it is read
MAX_DECIMAL = 10**MAX_DECIMAL_DIGITS - 1


def shown(value: object) -> str:
    """A hostile value, fit for one line of an error message."""
    text = repr(value[:80] if isinstance(value, str) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def decode_ascii(encoded: bytes, what: str) -> str:
    try:
        return encoded.decode("ascii")
    except UnicodeDecodeError as err:
        raise ProofError(f"{what}: byte {err.start} is not ASCII: fetch it again from its source") from err


def parse_decimal(text: str, what: str) -> int:
    """The number that `text` writes, from 0 to 10**18 - 1."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_DECIMAL_DIGITS or (text[0] == "0" and text != "0"):
        raise ProofError(f"{what}: expected a decimal without leading zeros, below 10**18, got {shown(text)}")
    return int(text)


def format_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def parse_base64(text: str, what: str) -> bytes:
    """The bytes that `text` writes in standard base64 (RFC 4648 section 4), padded, with zero trailing bits."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as err:
        raise ProofError(f"{what}: expected base64, got {shown(text)}") from err
    # b64decode drops the bits that padding leaves over, so several texts decode to the same bytes.
    if format_base64(raw) != text:
        raise ProofError(f"{what}: base64 {shown(text)} is not canonical, expected {shown(format_base64(raw))}")
    return raw
