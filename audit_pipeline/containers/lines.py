"""The status of each line of a line format: a fast check of many lines, and the exact one where that says no."""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from audit_pipeline.containers.items import json_line_status
from audit_pipeline.containers.json_text import LEAST_DEEP, nests_too_deep

_RAW = msgspec.json.Decoder(msgspec.Raw)
_CHUNK_BYTES = 128 << 10  # larger ones take little less time a line, and one odd line has all of its chunk looked at

Lengths = npt.NDArray[np.int64]
"""Bytes of each line, without its newline."""


def line_exceptions(
    piece: memoryview, lengths: Lengths, container: str, *, is_first: bool
) -> list[tuple[int, str, str]]:
    """(offset, status, reason) of each line in `piece` that cannot be read as what it is.

    `piece` is lines with their newlines; the last may lack its own. `is_first` says that the source starts here.
    """
    if container == "jsonl":
        return list(_json_exceptions(piece, lengths, is_first))
    if _is_utf8(piece):
        return []
    lines = bytes(piece).split(b"\n")[: len(lengths)]
    return [(at, "quarantined", "invalid_utf8") for at, line in enumerate(lines) if not _is_utf8(line)]


def _json_exceptions(piece: memoryview, lengths: Lengths, is_first: bool) -> Iterator[tuple[int, str, str]]:
    starts = np.concatenate([[0], np.cumsum(lengths + 1)])
    first = 0
    while first < len(lengths):
        last = int(np.searchsorted(starts, starts[first] + _CHUNK_BYTES, "right")) - 1
        last = min(len(lengths), max(first + 1, last))
        chunk = bytes(piece[starts[first] : starts[last]])
        if not fast_lines_ok(chunk, lengths[first:last]):
            for at, line in zip(range(first, last), chunk.split(b"\n"), strict=False):
                status, reason = _line_status(line, is_first and at == 0)
                if status != "ok":
                    yield at, status, reason
        first = last


def _line_status(line: bytes, is_first: bool) -> tuple[str, str]:
    """What `json_line_status` says, fast where the line is plain."""
    try:
        line.isascii() or line.decode()
        _RAW.decode(line)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return json_line_status(line, is_first)
    return ("quarantined", "depth") if len(line) >= LEAST_DEEP and nests_too_deep(line) else ("ok", "")


def fast_lines_ok(chunk: bytes, lengths: Lengths) -> bool:
    """Whether each line of `chunk` is one JSON text by `json_line_status`. False may also mean "look closer".

    The decoder takes values one after another, wherever lines end. But where as many values as lines are found, each as
    long as its line, each is its line: one that began later would end in its line's end, which no value does, or past
    it, and so would all that follow. Raw values skip UTF-8, so that is checked beside them.
    """
    if b"\r" in chunk:
        lengths = lengths - _has_return(chunk, lengths)
    try:
        chunk.isascii() or chunk.decode()
        values = _RAW.decode_lines(chunk)
    except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError):
        return False
    if len(values) != len(lengths) or not np.array_equal(np.fromiter(map(len, values), np.int64, len(values)), lengths):
        return False
    return not any(nests_too_deep(bytes(values[at])) for at in np.flatnonzero(lengths >= LEAST_DEEP))


def _has_return(chunk: bytes, lengths: Lengths) -> Lengths:
    """1 for each line that ends in a carriage return, else 0."""
    last = np.cumsum(lengths + 1) - 2
    is_return = np.frombuffer(chunk, np.uint8)[last] == ord("\r")
    return np.asarray(is_return & (lengths > 0), np.int64)


def _is_utf8(text: bytes | memoryview) -> bool:
    try:
        str(text, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
