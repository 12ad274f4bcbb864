"""Marks: what a log has signed, kept outside the lake, as docs/evidence-format.md section 5 defines them.

Marks form a chain of objects that are only ever created: each names the SHA-256 of the bytes of the one before.
Nothing is signed that does not extend the newest.
"""

import re
from dataclasses import dataclass

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import decode_ascii, shown
from audit_pipeline.tlog.entries import DIGEST, NUMBER

_ORIGIN = "([!-*,-~]{1,255})"  # a key name in ASCII
_PATTERN = re.compile(
    "audit-mark/v1\n"
    f"origin {_ORIGIN}\n"
    f"previous (?:-|{DIGEST})\n"
    f"size {NUMBER}\n"
    f"root {DIGEST}\n"
    f"inventory (?:-|{DIGEST})\n"
    f"ledger (?:-|{DIGEST})\n"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a log has come. Digests are 64 lower-case hex digits."""

    origin: str
    previous: str | None
    """SHA-256 of the mark before."""
    size: int
    """Leaves of the log."""
    root: str
    inventory: str | None
    ledger: str | None


def format_mark(mark: Mark) -> bytes:
    """The mark's bytes.

    Raises:
        InputError: a field is outside the grammar.
    """
    text = _text(mark)
    match = _PATTERN.fullmatch(text)
    # A digest that is not None but looks like it, such as "-", would be read as none.
    if match is None or _mark_of(match) != mark:
        raise InputError(f"mark: a field is outside the grammar of docs/evidence-format.md: {mark}")
    return text.encode("ascii")


def parse_mark(encoded: bytes) -> Mark:
    """The mark that `format_mark` wrote.

    Raises:
        ProofError: it could not have.
    """
    text = decode_ascii(encoded, "mark")
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ProofError(f"mark: expected the fields of audit-mark/v1 in their order, got {shown(text)}")
    mark = _mark_of(match)
    if _text(mark) != text:
        raise ProofError(f"mark of {mark.origin}: its size has leading zeros: expected {mark.size}")
    return mark


def _mark_of(match: re.Match[str]) -> Mark:
    origin, previous, size, root, inventory, ledger = match.groups()
    return Mark(origin, previous, int(size), root, inventory, ledger)


def _text(mark: Mark) -> str:
    return (
        f"audit-mark/v1\norigin {mark.origin}\nprevious {mark.previous or '-'}\nsize {mark.size}\nroot {mark.root}\n"
        f"inventory {mark.inventory or '-'}\nledger {mark.ledger or '-'}\n"
    )
