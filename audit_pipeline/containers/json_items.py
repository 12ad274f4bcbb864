"""Items of one JSON document: the elements of an array, streamed, or the parts of an object, read whole."""

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from audit_pipeline.containers.item import Item, rest
from audit_pipeline.containers.json_text import dump_plain, nests_too_deep, read_value
from audit_pipeline.records import canonical

MAX_ELEMENT = 64 << 20  # characters of one array element
MAX_OBJECT = 64 << 20  # bytes of a document that is not an array, because it is held whole
MAX_HELD = 900 << 20  # bytes of memory that the values of one text may take, by what was measured of each kind
_COSTLY = 16 << 20  # characters; what is shorter cannot take so much
_WINDOW_BYTES = 1 << 20
_LONGEST_WORD = 16  # a cut-off `-Infinity` or `\\uXXXX` is reported at its start, this close to the end at most
_AFTER_NUMBER = frozenset(" \t\n\r,]")
_SPACE = re.compile(r"[ \t\n\r]*")

_Part = tuple[Any, bool] | str
"""(value, whether it is plain) of one item, or the reason why there are no more."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The items of a JSON object, as far as another version of it is compared with them."""

    header: Item
    arrays: dict[str, tuple[int, bytes]]
    """(length, digest of its first elements) of each array of objects that is not empty, in document order."""


def iter_json(file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """Items of the JSON document in `file`, without the first `skip`."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    window = _Window(file)
    parts = _elements(window) if window.next_char() == "[" else _document(window, size_bytes)
    for position, part in enumerate(parts):
        if position >= skip:
            yield rest(part) if isinstance(part, str) else _item(*part)


def starts_object(stream: BinaryIO) -> bool:
    """Whether the document in `stream`, read from here on, is an object if it is anything."""
    return _Window(stream).next_char() == "{"


def read_object(file: BinaryIO, lengths: Mapping[str, int] | None = None) -> JsonObject | None:
    """The JSON object in `file`; None where it is something else, cannot be read, or has one of its own keys twice.

    `lengths`: how many elements of each array are digested; none of an array that is not named. Without it, all are.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    window = _Window(file)
    value, reason = _read_document(window, size_bytes) if window.next_char() == "{" else (None, "")
    if reason or not isinstance(value, dict):
        return None
    arrays = {}
    for key, member in value.items():
        if _is_array_of_objects(member):
            first = member if lengths is None else member[: lengths.get(key, 0)]
            arrays[key] = len(member), _digest(_item(element, False) for element in first)
    return JsonObject(_item(next(split_object(value)), False), arrays)


def split_object(value: dict[str, Any] | canonical.RepeatedKeys) -> Iterator[Any]:
    """The parts of an object: itself with its top-level arrays of objects emptied, then the elements of these."""
    members = list(value.items()) if isinstance(value, dict) else list(value)
    emptied = [(key, [] if _is_array_of_objects(member) else member) for key, member in members]
    yield dict(emptied) if isinstance(value, dict) else canonical.RepeatedKeys(emptied)
    for _, member in members:
        if _is_array_of_objects(member):
            yield from member


class _Window:
    """A UTF-8 file as text that grows as it is needed: `text[at:]` is what was read and not yet consumed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = b""
        self._is_at_start = True
        self.text = ""
        self.at = 0
        self.is_at_end = False
        self.failure = ""
        """Why the text ends before the file does, or empty."""

    def grow(self) -> bool:
        """Drop what was consumed and double what is left, at least by a window. False when there is no more text."""
        if self.is_at_end:
            return False
        self.text, self.at = self.text[self.at :], 0
        piece = self._file.read(max(_WINDOW_BYTES, len(self.text)))
        text, self._pending, is_broken = _decode_start(self._pending + piece, is_final=not piece)
        self.failure = "invalid_utf8" if is_broken else ""
        self.is_at_end = is_broken or not piece
        if self._is_at_start and text:
            text, self._is_at_start = text.removeprefix("\ufeff"), False
        self.text += text
        return bool(text) or not self.is_at_end

    def next_char(self) -> str:
        """The next character that is not white space, left where it is; empty at the end."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def take_value(self) -> _Part:
        """The element that starts here, consumed."""
        while True:
            if len(self.text) - self.at > _COSTLY and not _can_be_held(self.text[self.at :]):
                return "oversize"
            try:
                value, end, is_plain = read_value(self.text, self.at)
            except json.JSONDecodeError as err:
                # An error well before the end would be there however much more was read.
                may_be_cut = err.msg.startswith("Unterminated string") or err.pos > len(self.text) - _LONGEST_WORD
                if not may_be_cut:
                    return "invalid_json"
                if len(self.text) - self.at > MAX_ELEMENT:
                    return "oversize"
                if not self.grow():
                    return self.failure or "invalid_json"
                continue
            except RecursionError:
                return "depth"
            if isinstance(value, int | float | canonical.OutOfRange) and self.text[end : end + 1] not in _AFTER_NUMBER:
                # 12 may be the start of 123, and the 1 of `1.` or `1e+` that of a longer number.
                if len(self.text) - end > 2:
                    return "invalid_json"
                if self.grow():
                    continue
                return self.failure or "invalid_json"
            if end - self.at > MAX_ELEMENT:
                return "oversize"
            if nests_too_deep(self.text[self.at : end].encode()):
                return "depth"
            self.at = end
            return value, is_plain


def _decode_start(piece: bytes, *, is_final: bool) -> tuple[str, bytes, bool]:
    """(text, bytes of a character that goes on in the next piece, whether the text stops before bytes not UTF-8)."""
    try:
        return piece.decode(), b"", False
    except UnicodeDecodeError as err:
        is_cut = not is_final and err.reason == "unexpected end of data"
        return piece[: err.start].decode(), piece[err.start :] if is_cut else b"", not is_cut


def _elements(window: _Window) -> Iterator[_Part]:
    window.at += 1
    is_closed = window.next_char() == "]"
    while not is_closed:
        window.next_char()
        found = window.take_value()
        yield found
        if isinstance(found, str):
            return
        char = window.next_char()
        if char not in {",", "]"}:
            yield "invalid_json" if char else window.failure or "invalid_json"
            return
        is_closed = char == "]"
        window.at += not is_closed
    window.at += 1
    if window.next_char():
        yield "invalid_json"
    elif window.failure:
        yield window.failure


def _document(window: _Window, size_bytes: int) -> Iterator[_Part]:
    value, reason = _read_document(window, size_bytes)
    if reason:
        yield reason
        return
    parts = split_object(value) if isinstance(value, dict | canonical.RepeatedKeys) else iter([value])
    for part in parts:
        yield part, False


def _read_document(window: _Window, size_bytes: int) -> tuple[Any, str]:
    """(value, empty) of the whole document, or (None, reason)."""
    if size_bytes > MAX_OBJECT:
        return None, "oversize"
    while window.grow():
        pass
    if window.failure:
        return None, window.failure
    if not _can_be_held(window.text):
        return None, "oversize"
    if nests_too_deep(window.text.encode()):
        return None, "depth"
    try:
        return canonical.load_json(window.text[window.at :]), ""
    except RecursionError:
        return None, "depth"
    except ValueError:
        return None, "invalid_json"


def _can_be_held(text: str) -> bool:
    """Whether the values of this text take at most MAX_HELD: few characters can stand for a large object each."""
    containers, members = text.count("{") + text.count("["), text.count(",")
    return 220 * containers + 100 * members + 3 * sys.getsizeof(text) <= MAX_HELD


def _item(value: Any, is_plain: bool) -> Item:
    if is_plain:
        return dump_plain(value), "ok", ""
    record = canonical.dump_canonical(value)
    return (record, "quarantined", "duplicate_key") if canonical.has_repeated_keys(value) else (record, "ok", "")


def _digest(items: Iterable[Item]) -> bytes:
    hasher = hashlib.sha256()
    for record, status, reason in items:
        hasher.update(f"{len(record)} {status} {reason}\n".encode() + record)
    return hasher.digest()


def _is_array_of_objects(value: Any) -> bool:
    """Whether its elements are items of their own."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and not isinstance(value, canonical.RepeatedKeys)
        and all(isinstance(element, dict | canonical.RepeatedKeys) for element in value)
    )
