"""What a landed file is: its container by its content, because names lie, then the tool that wrote it.

The order: marks that no other file has; one JSON document or JSON Lines; CSV; text; anything else. Then each adapter of
the container scores a sample, and wins with THRESHOLD and a MARGIN over the next. What a policy declares wins over all,
except facts that no declaration changes: an empty file, a Git LFS pointer, weights, a database, a TFRecord.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from audit_pipeline.containers.sqlite_items import SQLITE_MAGIC, created_tables
from audit_pipeline.containers.tfrecord_items import starts_tfrecord
from audit_pipeline.formats.adapters import ADAPTERS, adapter_named
from audit_pipeline.formats.generic import generic_name
from audit_pipeline.formats.paths import file_name
from audit_pipeline.formats.sample import (
    read_document,
    sample_csv,
    sample_document,
    sample_lines,
    sample_parquet,
    sample_text,
    sample_tfrecord,
    whole_lines,
)

HEAD_BYTES = 256 << 10
THRESHOLD = 0.7
MARGIN = 0.15
_FEW = 10

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")  # RFC 8878 section 3.1.2: a frame may come before
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_WEIGHTS = re.compile(r"\.(safetensors|pt|bin)$")
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_CSV = frozenset({".csv", ".tsv"})
_TEXT = frozenset({".txt", ".log", ".md", ".yaml", ".yml"})
_BINARY = frozenset({"tfrecord", "sqlite"})  # whose marks no line or document starts with
_UNDECODED_SHARE = 0.1
"""Bytes that may be no UTF-8 in a text: Latin-1 in a Western language has fewer."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What a file is."""

    container: str
    """`jsonl`, `text`, `json`, `csv`, `parquet`, `tfrecord`, `sqlite` or `whole`."""
    format: str
    """Name of an adapter."""
    evidence: str
    """Why, in a short sentence. Holds nothing of the content."""
    mapping: str | None = None
    """What the policy says of the columns, as canonical JSON, where the format needs it said."""


@dataclass(frozen=True, slots=True)
class _Content:
    container: str
    items: Sequence[Any]
    why: str


def compression_of(raw_head: bytes) -> str:
    """`gzip`, `zstd` or `none`, by the first bytes of a file."""
    if raw_head.startswith(_GZIP):
        return "gzip"
    return "zstd" if raw_head.startswith(_ZSTD) or _ZSTD_SKIPPABLE.match(raw_head) else "none"


def detect(path: str, head: bytes, size: int, declared: str | None = None, tail: bytes = b"") -> Detection:
    """What the file at `path` is.

    `head` is its start, decompressed, HEAD_BYTES or all there is; `size` its size as landed. The schema of a Parquet
    file is at its end: `tail` is its last bytes where `head` is not all of it; without them only the path tells.

    Raises:
        PolicyError: the declared format is not known.
    """
    adapter = None if declared is None else adapter_named(declared)
    if (fact := _fact(path, head)) is not None:
        return fact
    is_whole = size <= len(head) < HEAD_BYTES
    content = _content(path, head, is_whole, head if is_whole else tail)
    if adapter is not None and (content.container in adapter.containers or content.container not in _BINARY):
        container = content.container if content.container in adapter.containers else adapter.containers[0]
        return Detection(container, adapter.name, f"declared by the policy; by its content {content.container}")
    return _by_score(path, content)


def _fact(path: str, head: bytes) -> Detection | None:
    if not head:
        return Detection("text", "empty", "no bytes")
    if head.startswith(_LFS_POINTER):
        return Detection("text", "lfs_pointer", "a Git LFS pointer, not the file it stands for")
    if _WEIGHTS.search(path):
        return Detection("whole", "weights", f"weights by its name, {PurePosixPath(path).suffix}")
    return None


def _content(path: str, head: bytes, is_whole: bool, tail: bytes) -> _Content:
    extension = PurePosixPath(file_name(path)).suffix.lower()
    if head.startswith(b"PAR1"):
        return _Content("parquet", sample_parquet(tail), "Parquet by its first bytes")
    if head.startswith(SQLITE_MAGIC):
        return _Content("sqlite", created_tables(head), "SQLite by its first bytes")
    if starts_tfrecord(head):
        return _Content("tfrecord", sample_tfrecord(head), "TFRecord by the checksum of its first length")
    if compression_of(head) != "none":
        return _Content("whole", [], "compressed once more inside")
    lines = whole_lines(head, is_whole)
    found = _json_content(head, lines, extension, is_whole)
    if found is None and extension in _CSV and (rows := sample_csv(head)) is not None:
        found = _Content("csv", rows, f"{extension} with a header")
    if found is None and (extension in _TEXT or _looks_like_text(head)):
        found = _Content("text", sample_text(lines), "text")
    return found or _Content("whole", [], "no JSON, CSV, Parquet, TFRecord, SQLite or text")


def _json_content(head: bytes, lines: Sequence[bytes], extension: str, is_whole: bool) -> _Content | None:
    """JSON Lines or one JSON document; None where it is neither."""
    starts_as_json = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}
    if not starts_as_json and extension not in _JSON_LINES | {".json"}:
        return None
    sample = sample_lines(lines)
    good, all_ = len(sample.values), len(sample.lines)
    as_lines = _Content("jsonl", sample.values, f"{good} of {all_} sampled lines are JSON")
    try:
        document = read_document(head, is_whole)
    except ValueError:
        if 2 * good > all_ or extension in _JSON_LINES or (extension == ".json" and good):
            return as_lines
        is_named = extension == ".json" and starts_as_json
        return _Content("json", [], ".json, starts as JSON and cannot be read") if is_named else None
    if len(lines) > 1 or extension == ".json":
        return _Content("json", sample_document(document), "one JSON document")
    if extension not in _JSON_LINES and not isinstance(document, dict):
        return None  # a text that happens to be `[]`
    # One line may be the first of many: a document read as a line loses nothing, lines read as a document do.
    return _Content("jsonl", [document], "one line of JSON")


def _looks_like_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    undecoded = head.decode("utf-8", "replace").count("\ufffd") - head.count("\ufffd".encode())
    return undecoded <= _UNDECODED_SHARE * len(head)


def _by_score(path: str, content: _Content) -> Detection:
    readers = [adapter for adapter in ADAPTERS.values() if content.container in adapter.containers]
    items = _some(content.items)
    scores = sorted(((adapter.score(path, items), adapter.name) for adapter in readers), reverse=True)
    (best, name), (second, next_name) = scores[0], (*scores, (0.0, ""))[1]
    if best < THRESHOLD:
        why = f"no tool scored {THRESHOLD}"
        return Detection(content.container, generic_name(content.container), f"{content.why}; {why}")
    if best - second < MARGIN:
        why = f"{name} {best:.2f} and {next_name} {second:.2f} are too close"
        return Detection(content.container, generic_name(content.container), f"{content.why}; {why}")
    return Detection(content.container, name, f"{content.why}; scored {best:.2f}, the next {second:.2f}")


def _some(items: Sequence[Any]) -> Sequence[Any]:
    """Items to score: a few are enough where all are objects with the same keys, and every adapter looks at each."""
    kinds = {tuple(item) if isinstance(item, dict) else None for item in items}
    return items[:: len(items) // _FEW] if len(items) > 2 * _FEW and len(kinds) == 1 and None not in kinds else items
