"""Evidence bundles: some records with all that joins them to a signed checkpoint.

docs/evidence-format.md section 7 has the grammar. A bundle is canonical JSON, and what is parsed here gives its bytes
again, so it has one form. Parsing shows nothing yet: `audit_pipeline.check` does.

A bundle may have very many records, so their part is written and read without a general encoder's calls for each.
"""

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from audit_pipeline.errors import ProofError
from audit_pipeline.records.canonical import dump_canonical
from audit_pipeline.tlog.encoding import MAX_DECIMAL, format_base64, shown

BUNDLE_FORMAT = "audit-bundle/v1"


@dataclass(frozen=True, slots=True)
class BundledRecord:
    """A record and the salt of its leaf."""

    position: int
    salt: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class BundledSource:
    """Some records of one snapshot."""

    index: int
    """In the day tree."""
    entry: bytes
    path: str
    exceptions: tuple[tuple[int, str, str], ...]
    """(position, status, reason) of all records of the snapshot that are not ok."""
    nodes: bytes
    """Of the source tree."""
    records: tuple[BundledRecord, ...]


@dataclass(frozen=True, slots=True)
class BundledSeal:
    """Some snapshots under one seal."""

    index: int
    """In the log."""
    entry: bytes
    nodes: bytes
    """Of the day tree."""
    sources: tuple[BundledSource, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Seals, sources and records are some each, in rising order of index or position."""

    checkpoint: bytes
    """A signed note, not opened yet."""
    nodes: bytes
    """Of the log."""
    consistency: tuple[int, bytes] | None
    """Size of a held checkpoint, and the hashes that join it to this one."""
    seals: tuple[BundledSeal, ...]
    handovers: tuple[bytes, ...] = ()
    """From the log's first key on to the one that signed, not opened yet."""


def format_bundle(bundle: Bundle) -> bytes:
    members: dict[str, Any] = {
        "format": BUNDLE_FORMAT,
        "checkpoint": bundle.checkpoint.decode(),
        "nodes": format_base64(bundle.nodes),
        "consistency": None
        if bundle.consistency is None
        else {"size": bundle.consistency[0], "nodes": format_base64(bundle.consistency[1])},
    }
    if bundle.handovers:
        members["handovers"] = [handover.decode() for handover in bundle.handovers]
    return b"".join(_object(members, "seals", map(_seal_pieces, bundle.seals)))


def parse_bundle(encoded: bytes) -> Bundle:
    """The bundle that `format_bundle` wrote.

    Raises:
        ProofError: it could not have.
    """
    try:
        # A key that is repeated is lost here, and missed when the bytes are compared.
        value = json.loads(encoded.decode())
    except (ValueError, RecursionError) as err:
        raise ProofError(f"bundle: not JSON ({type(err).__name__}): give a file that `prove` wrote") from err
    rotated = ["handovers"] if isinstance(value, dict) and "handovers" in value else []
    fields = _fields(value, "bundle", "format", "checkpoint", "nodes", "consistency", *rotated, "seals")
    handovers = _some(fields["handovers"], "handovers") if rotated else []
    if (found := _text(fields["format"], "bundle: format")) != BUNDLE_FORMAT:
        raise ProofError(f"bundle: expected the format {BUNDLE_FORMAT}, got {shown(found)}")
    consistency = fields["consistency"]
    if consistency is not None:
        given = _fields(consistency, "consistency", "size", "nodes")
        consistency = _number(given["size"], "consistency: size"), _base64(given["nodes"], "consistency: nodes")
    seals = [_seal(item) for item in _some(fields["seals"], "seals")]
    _check_rising([seal.index for seal in seals], "seals")
    bundle = Bundle(
        checkpoint=_text(fields["checkpoint"], "checkpoint").encode(),
        nodes=_base64(fields["nodes"], "nodes"),
        consistency=consistency,
        seals=tuple(seals),
        handovers=tuple(_text(handover, "handovers").encode() for handover in handovers),
    )
    if format_bundle(bundle) != encoded:
        raise ProofError("bundle: not canonical JSON, and a bundle has one form: give the file as `prove` wrote it")
    return bundle


def _seal_pieces(seal: BundledSeal) -> Iterator[bytes]:
    members = {"index": seal.index, "entry": seal.entry.decode(), "nodes": format_base64(seal.nodes)}
    return _object(members, "sources", map(_source_pieces, seal.sources))


def _source_pieces(source: BundledSource) -> Iterator[bytes]:
    members = {
        "index": source.index,
        "entry": source.entry.decode(),
        "path": source.path,
        "exceptions": source.exceptions,
        "nodes": format_base64(source.nodes),
    }
    return _object(members, "records", [[b",".join(map(_record_text, source.records))]])


def _record_text(found: BundledRecord) -> bytes:
    salt, record = b2a_base64(found.salt, newline=False), b2a_base64(found.record, newline=False)
    return b'{"position":%d,"record":"%b","salt":"%b"}' % (found.position, record, salt)


def _object(members: dict[str, Any], last: str, items: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Pieces of the canonical JSON of an object with these members, and under its last key a list of such pieces."""
    yield dump_canonical({**members, last: []}).removesuffix(b"]}")
    for number, pieces in enumerate(items):
        if number:
            yield b","
        yield from pieces
    yield b"]}"


def _seal(value: Any) -> BundledSeal:
    fields = _fields(value, "seal", "index", "entry", "nodes", "sources")
    index = _number(fields["index"], "seal: index")
    what = f"seal {index}"
    sources = [_source(item, what) for item in _some(fields["sources"], f"{what}: sources")]
    _check_rising([source.index for source in sources], f"{what}: sources")
    entry = _text(fields["entry"], f"{what}: entry").encode()
    return BundledSeal(index, entry, _base64(fields["nodes"], f"{what}: nodes"), tuple(sources))


def _source(value: Any, seal: str) -> BundledSource:
    fields = _fields(value, f"{seal}, source", "index", "entry", "path", "exceptions", "nodes", "records")
    index = _number(fields["index"], f"{seal}, source: index")
    what = f"{seal}, source {index}"
    if not isinstance(fields["exceptions"], list):
        raise ProofError(f"{what}: exceptions: expected a list, got {_kind(fields['exceptions'])}")
    exceptions = [_exception(item, what) for item in fields["exceptions"]]
    _check_rising([position for position, _, _ in exceptions], f"{what}: exceptions")
    records = _records(_some(fields["records"], f"{what}: records"), f"{what}, record")
    _check_rising([record.position for record in records], f"{what}: records")
    return BundledSource(
        index=index,
        entry=_text(fields["entry"], f"{what}: entry").encode(),
        path=_text(fields["path"], f"{what}: path"),
        exceptions=tuple(exceptions),
        nodes=_base64(fields["nodes"], f"{what}: nodes"),
        records=tuple(records),
    )


def _exception(value: Any, source: str) -> tuple[int, str, str]:
    if not isinstance(value, list) or len(value) != 3:
        raise ProofError(f"{source}: exceptions: expected [position, status, reason], got {_kind(value)}")
    what = f"{source}: exception"
    return _number(value[0], what), _text(value[1], what), _text(value[2], what)


def _records(items: Sequence[Any], what: str) -> list[BundledRecord]:
    """Other keys, and base64 written another way, are refused when the whole bundle's bytes are compared."""
    try:
        return [
            BundledRecord(
                _number(item["position"], what),
                a2b_base64(item["salt"], strict_mode=True),
                a2b_base64(item["record"], strict_mode=True),
            )
            for item in items
        ]
    except (ValueError, TypeError, LookupError) as err:
        raise ProofError(f"{what}: expected a position, and salt and record in base64 ({type(err).__name__})") from err


def _fields(value: Any, what: str, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ProofError(f"{what}: expected an object with {', '.join(names)}, got {_kind(value)}")
    return value


def _some(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ProofError(f"{what}: expected a list of at least one, got {_kind(value)}")
    return value


def _number(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_DECIMAL:  # True and False are of another type
        raise ProofError(f"{what}: expected a number from 0, below 10**18, got {_kind(value)}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ProofError(f"{what}: expected text, got {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as err:
        raise ProofError(f"{what}: character {err.start} is not Unicode") from err
    return value


def _base64(value: Any, what: str) -> bytes:
    """The bytes of a text in base64; another text of the same bytes is refused with the whole bundle."""
    try:
        return a2b_base64(_text(value, what), strict_mode=True)
    except ValueError as err:
        raise ProofError(f"{what}: expected base64, got {shown(value)}") from err


def _check_rising(numbers: Sequence[int], what: str) -> None:
    if any(before >= after for before, after in pairwise(numbers)):
        raise ProofError(f"{what}: expected rising numbers, none twice")


def _kind(value: Any) -> str:
    """What a value of a wrong shape is, without what may be long, deep, or somebody's record."""
    return f"an object with {shown(', '.join(value))}" if isinstance(value, dict) else f"a {type(value).__name__}"
