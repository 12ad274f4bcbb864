"""What never reaches an event table: secrets, e-mail addresses, IP addresses. The record keeps them, restricted.

Whole columns are searched at once; only rows where something is found are looked at one by one.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.formats.record import parse_record
from audit_pipeline.records import canonical

_MARK = "[withheld: {}]"
_LONG = 100  # bytes of a text that is searched sooner than compared with others
_NAMED = "api_?key|secret|secret_?key|password|passwd|passphrase|access_?key|private_?key|auth_?token|access_?token"
_TOKENS = "hub_token|hf_token|bearer_token|refresh_token|session_token|credentials?"
_SECRET_NAME = re.compile(rf"(?i:{_NAMED}|{_TOKENS})$")
_START = r"(?<![\w.%+\-])"  # of a token: tried once for each, so that a long one takes no longer than its length
_BY_NAME = "secret by its name"
_KINDS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "API key": r"\bsk-[A-Za-z0-9_\-]{20,}|\bAIza[0-9A-Za-z_\-]{35}|\bxox[abprs]-[0-9A-Za-z\-]{10,}",
    "cloud key": r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
    "repository token": r"\bgh[opsur]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[0-9A-Za-z_\-]{20,}",
    "signed token": _START + r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}",
    "password in a URL": r"://[^/\s:@\"]+:[^/\s:@\"]+@",
    _BY_NAME: "|".join(
        rf"(?i:{_NAMED}|{_TOKENS}){opened}{value}"
        for opened, value in (
            # A text after a key that says so, up to its quote, and no placeholder: in JSON, in JSON within a text, in
            # what Python prints.
            (r'"\s?:\s?"', r'(?:[^"\\<*\s]|\\.)(?:[^"\\]|\\.)*'),
            (r'\\"\s?:\s?\\"', r'[^"\\<*\s][^"\\]*'),
            (r"'\s?:\s?'", r"[^'\\<*\s][^'\\]*"),
        )
    ),
    "e-mail address": _START + r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){0,8}\.[A-Za-z]{2,}\b",
    "IP address": r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b",
}
# In escaped JSON a token may follow on the letter of `\n`, so where one starts is not asked for here.
_ANY = "|".join(f"(?:{pattern})" for pattern in _KINDS.values()).replace(_START, "").replace(r"\b", "")
_EACH = re.compile("|".join(f"(?P<k{at}>{pattern})" for at, pattern in enumerate(_KINDS.values())), re.ASCII)
_NAMES = tuple(_KINDS)
_NAME_END = re.compile(r"""\w*\\?["']\s?:\s?\\?["']""")
_NOBODY = re.compile(r"127(?:\.\d+){3}|0\.0\.0\.0")  # every machine's own
_OWN = frozenset(["source_id", "event_id", "source_format", "adapter_version", "event_time_quality", "score_state"])
"""Columns that hold no text of the log."""


class Withheld(NamedTuple):
    """Something that was taken out of a row."""

    row: int
    column: str
    kind: str


def withhold(rows: pa.Table) -> tuple[pa.Table, list[Withheld]]:
    """The rows without what must not be in an event table, and what was taken out."""
    found: list[Withheld] = []
    texts = {
        at: _texts(rows.column(at))
        for at, field in enumerate(rows.schema)
        if field.name not in _OWN and _has_text(field.type)
    }
    if not _may_hold_any(pa.concat_arrays(texts.values())):  # at once, because to read the pattern costs more
        return rows, found
    for at in (at for at, column_texts in texts.items() if _may_hold_any(column_texts)):
        field, column = rows.schema.field(at), rows.column(at)
        values = []
        for row, value in enumerate(column.to_pylist()):
            kinds: dict[str, None] = {}
            values.append(_without_json(value, kinds) if field.name.endswith("_json") else _without(value, kinds))
            found += [Withheld(row, field.name, kind) for kind in kinds]
        rows = rows.set_column(at, field, pa.chunked_array([pa.array(values, field.type)]))
    return rows, found


def _may_hold_any(texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, _ANY)).as_py())


def _has_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or any(_has_text(kind.field(i).type) for i in range(kind.num_fields))


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """All texts of a column, however deep; short ones once each, for they repeat more often than long ones."""
    found = [text for chunk in column.chunks for text in _flat(chunk)]
    texts = pa.concat_arrays(found) if found else pa.array([], pa.string())
    return texts.unique() if texts.nbytes < _LONG * len(texts) else texts


def _flat(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_string(kind):
        yield array
    elif pa.types.is_list(kind):
        yield from _flat(array.flatten())
    elif pa.types.is_struct(kind):
        for member in array.flatten():
            yield from _flat(member)


def _without(value: Any, kinds: dict[str, None]) -> Any:
    """A value of a column; in messages, JSON has a name that says so."""
    if isinstance(value, str):
        return _EACH.sub(_marking(kinds), value)
    if isinstance(value, list):
        return [_without(member, kinds) for member in value]
    if isinstance(value, dict):
        return {
            key: _without_json(member, kinds) if key.endswith("_json") else _without(member, kinds)
            for key, member in value.items()
        }
    return value


def _without_json(text: str | None, kinds: dict[str, None]) -> str | None:
    """Canonical JSON, looked at text by text: escapes hide where a token starts."""
    if text is None:
        return None
    value = parse_record(text.encode())
    without = _without_members(value, kinds)
    return text if without == value else canonical.dump_canonical(without).decode()


def _without_members(value: Any, kinds: dict[str, None]) -> Any:
    if isinstance(value, canonical.RepeatedKeys):
        return canonical.RepeatedKeys(_member(key, member, kinds) for key, member in value)
    if isinstance(value, dict):
        return dict(_member(key, member, kinds) for key, member in value.items())
    if isinstance(value, list):
        return [_without_members(member, kinds) for member in value]
    if isinstance(value, str) and not isinstance(value, canonical.OutOfRange):
        return _EACH.sub(_marking(kinds), value)
    return value


def _member(key: str, value: Any, kinds: dict[str, None]) -> tuple[str, Any]:
    is_text = isinstance(value, str) and not isinstance(value, canonical.OutOfRange)
    if is_text and value.strip() and value.lstrip()[0] not in "<*[" and _SECRET_NAME.search(key):
        kinds[_BY_NAME] = None
        return key, _MARK.format(_BY_NAME)
    return _EACH.sub(_marking(kinds), key), _without_members(value, kinds)


def _marking(kinds: dict[str, None]) -> Callable[[re.Match[str]], str]:
    def mark(match: re.Match[str]) -> str:
        kind = _NAMES[int((match.lastgroup or "k0")[1:])]
        if kind == "IP address" and _NOBODY.fullmatch(match[0]):
            return match[0]
        kinds[kind] = None
        if kind == _BY_NAME:  # the key and its quotes stay, so that JSON stays JSON
            begin = _NAME_END.match(match[0])
            return (begin[0] if begin else "") + _MARK.format(kind)
        if kind == "password in a URL":
            return "://" + _MARK.format(kind) + "@"
        return _MARK.format(kind)

    return mark
