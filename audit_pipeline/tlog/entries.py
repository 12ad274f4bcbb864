"""The entries of day trees and of the log, as docs/evidence-format.md sections 3 and 5 define them.

An entry is ASCII: its tag line, then one line `name value` for each field, in the order in which the dataclass here
lists them, `-` for none. The leaf of an entry is `leaf_hash` of these bytes. Both tags start with an `a`; what is
hashed of a record starts with 0x01, so neither kind of leaf can stand for the other.

`format_x` refuses (InputError) what its parser would not read; `parse_x` refuses (ProofError) what its formatter would
not write. What an entry says about other entries, such as a seal's `previous`, is checked where those are at hand.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import MAX_DECIMAL_DIGITS, decode_ascii, shown
from audit_pipeline.tlog.merkle import EMPTY_ROOT

MAX_ENTRY_BYTES = 65_535  # C2SP tlog-tiles writes the length of an entry in two bytes

NUMBER = f"([0-9]{{1,{MAX_DECIMAL_DIGITS}}})"  # leading zeros are found by encoding again
DIGEST = "([0-9a-f]{64})"
DAY = "([0-9]{4}-[0-9]{2}-[0-9]{2})"
LAKE = "([0-9a-f]{32})"
_WORD = "[!-,.-~][!-~]*"  # printable, no space, and not a lone `-`
_ADAPTER = "[!-,.-?A-~][!-?A-~]*@[!-?A-~]+"
_VKEY = "([!-*,-~]+[+][0-9a-f]{8}[+][A-Za-z0-9+/]+=*)"  # its key is read where it is used
SEAL_KINDS = ("seal", "erasure", "erased", "key", "freeze")
WITHOUT_SOURCES = ("key", "freeze")

SOURCE_PATTERN = re.compile(
    "audit-source/v1\n"
    f"lake {LAKE}\n"
    "stream ([a-z_][a-z0-9_-]{0,62})\n"
    f"source {DIGEST}\n"
    f"day {DAY}\n"
    f"generation {NUMBER}\n"
    f"snapshot {NUMBER}\n"
    f"position {NUMBER}\n"
    f"records {NUMBER}\n"
    f"bytes {NUMBER} {NUMBER}\n"
    "container (jsonl|text|json|csv|parquet|tfrecord|sqlite|whole|hash_only)\n"
    "compression (none|gzip|zstd)\n"
    "growth (new|appended|extended|rewritten)\n"
    f"supersedes (?:-|{NUMBER}/{NUMBER})\n"
    f"content {DIGEST}\n"
    f"exceptions {DIGEST}\n"
    f"root {DIGEST}\n"
)
SEAL_PATTERN = re.compile(
    "audit-seal/v1\n"
    f"kind ({'|'.join(SEAL_KINDS)})\n"
    f"lake {LAKE}\n"
    f"day {DAY}\n"
    f"segment {NUMBER}\n"
    f"previous (?:-|{DIGEST})\n"
    f"sources {NUMBER}\n"
    f"records {NUMBER}\n"
    f"size {NUMBER}\n"
    f"root {DIGEST}\n"
    f"adapters (?:-|({_ADAPTER}(?: {_ADAPTER})*))\n"
    f"pseudonym_key (?:-|({_WORD}))\n"
    f"policy {DIGEST}\n"
    "time ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\n"
    f"nonce {DIGEST}\n"
    f"(?:old {_VKEY}\nnew {_VKEY}\n)?"
)


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One snapshot of one source: a leaf of a day tree.

    Numbers are from 0 to 10**18 - 1, digests 64 lower-case hex digits.
    """

    lake: str
    """32 hex digits."""
    stream: str
    source: str
    """The source's id."""
    day: date
    generation: int
    snapshot: int
    position: int
    """Of the first record."""
    records: int
    """Size of the source tree."""
    start: int
    """First byte taken of the decompressed source."""
    end: int
    """The byte after the last one taken."""
    container: str
    compression: str
    growth: str
    supersedes: tuple[int, int] | None
    """(snapshot, position) of the record that the first one of this snapshot takes again."""
    content: str
    exceptions: str
    root: str
    """Of the source tree."""


@dataclass(frozen=True, slots=True)
class SealEntry:
    """A leaf of the log: one segment of one day, closed (`seal`), or a turn in the log's life (`key`, `freeze`).

    The kinds `erasure` and `erased` have no meaning so far.
    """

    kind: str
    lake: str
    day: date
    segment: int
    """From 1."""
    previous: str | None
    """Leaf hash of the day's seal before this one."""
    sources: int
    """Distinct sources."""
    records: int
    size: int
    """Source entries: the size of the day tree."""
    root: str
    """Of the day tree."""
    adapters: tuple[str, ...]
    """`<name>@<version>` each, sorted, none twice."""
    pseudonym_key: str | None
    policy: str
    time: datetime
    """Aware, UTC, whole seconds."""
    nonce: str
    handover: tuple[str, str] | None = None
    """Of an entry of kind `key`: the vkeys that were in force before and are from here on."""


def source_order(entry: SourceEntry) -> tuple[str, str, int, int]:
    """Sort key of the day tree. Names are ASCII, so text sorts as its bytes do."""
    return entry.stream, entry.source, entry.generation, entry.snapshot


def format_source(entry: SourceEntry) -> bytes:
    """The entry's bytes.

    Raises:
        InputError: a field is outside the grammar.
    """
    text = _source_text(entry)
    if SOURCE_PATTERN.fullmatch(text) is None or entry.start > entry.end:
        raise InputError(f"source entry: a field is outside the grammar of docs/evidence-format.md: {entry}")
    return text.encode("ascii")


def parse_source(encoded: bytes) -> SourceEntry:
    """The entry that `format_source` wrote.

    Raises:
        ProofError: it could not have.
    """
    text = decode_ascii(encoded, "source entry")
    match = SOURCE_PATTERN.fullmatch(text)
    if match is None:
        raise ProofError(f"source entry: expected the fields of audit-source/v1 in their order, got {shown(text)}")
    return source_of(match)


def source_of(match: re.Match[str]) -> SourceEntry:
    """The entry that a match of SOURCE_PATTERN found."""
    lake, stream, source, day, generation, snapshot, position, records, start, end, *rest = match.groups()
    container, compression, growth, old_snapshot, old_position, content, exceptions, root = rest
    entry = SourceEntry(
        lake=lake,
        stream=stream,
        source=source,
        day=_parse_day(day, "source entry"),
        generation=int(generation),
        snapshot=int(snapshot),
        position=int(position),
        records=int(records),
        start=int(start),
        end=int(end),
        container=container,
        compression=compression,
        growth=growth,
        supersedes=None if old_snapshot is None else (int(old_snapshot), int(old_position)),
        content=content,
        exceptions=exceptions,
        root=root,
    )
    if entry.start > entry.end:
        raise ProofError(f"source entry of {source}: its bytes run backwards, from {start} to {end}")
    if _source_text(entry) != match[0]:
        raise ProofError(f"source entry of {source}: a number has leading zeros: expected one text each")
    return entry


def format_seal(entry: SealEntry) -> bytes:
    """The entry's bytes, 65,535 at most.

    Raises:
        InputError: a field is outside the grammar.
    """
    text = _seal_text(entry)
    match = SEAL_PATTERN.fullmatch(text)
    # A field that only looks like "none", such as the pseudonym key "-", would be read as none.
    if match is None or len(text) > MAX_ENTRY_BYTES or _seal_of(match) != entry:
        raise InputError(f"seal entry: a field is outside the grammar of docs/evidence-format.md: {entry}")
    is_sorted = list(entry.adapters) == sorted(set(entry.adapters))
    if not is_sorted or entry.segment < 1:
        raise InputError("seal entry: adapters must be sorted, none twice, and segments count from 1")
    if (entry.kind == "key") != (entry.handover is not None):
        raise InputError(f"seal entry of kind {entry.kind}: the lines `old` and `new` are of kind key, and of it alone")
    covered = (entry.sources, entry.records, entry.size, entry.root, entry.adapters, entry.pseudonym_key)
    if entry.kind in WITHOUT_SOURCES and covered != (0, 0, 0, EMPTY_ROOT.hex(), (), None):
        raise InputError(f"seal entry of kind {entry.kind}: it must cover no source")
    return text.encode("ascii")


def parse_seal(encoded: bytes) -> SealEntry:
    """The entry that `format_seal` wrote.

    Raises:
        ProofError: it could not have.
    """
    if len(encoded) > MAX_ENTRY_BYTES:
        raise ProofError(f"seal entry: expected at most {MAX_ENTRY_BYTES} bytes, got {len(encoded)}")
    text = decode_ascii(encoded, "seal entry")
    match = SEAL_PATTERN.fullmatch(text)
    if match is None:
        raise ProofError(f"seal entry: expected the fields of audit-seal/v1 in their order, got {shown(text)}")
    entry = _seal_of(match)
    try:
        again = format_seal(entry)
    except InputError as err:
        raise ProofError(f"seal of {entry.day}/{entry.segment}: {err}") from err
    if again != encoded:
        raise ProofError(f"seal of {entry.day}/{entry.segment}: a number has leading zeros: expected one text each")
    return entry


def _seal_of(match: re.Match[str]) -> SealEntry:
    kind, lake, day, segment, previous, sources, records, size, root, adapters, *rest = match.groups()
    pseudonym_key, policy, time, nonce, old, new = rest
    return SealEntry(
        kind=kind,
        lake=lake,
        day=_parse_day(day, "seal entry"),
        segment=int(segment),
        previous=previous,
        sources=int(sources),
        records=int(records),
        size=int(size),
        root=root,
        adapters=tuple(adapters.split(" ")) if adapters else (),
        pseudonym_key=pseudonym_key,
        policy=policy,
        time=_parse_time(time),
        nonce=nonce,
        handover=None if old is None else (old, new),
    )


def _source_text(entry: SourceEntry) -> str:
    supersedes = "-" if entry.supersedes is None else f"{entry.supersedes[0]}/{entry.supersedes[1]}"
    return (
        f"audit-source/v1\nlake {entry.lake}\nstream {entry.stream}\nsource {entry.source}\nday {entry.day}\n"
        f"generation {entry.generation}\nsnapshot {entry.snapshot}\nposition {entry.position}\n"
        f"records {entry.records}\nbytes {entry.start} {entry.end}\ncontainer {entry.container}\n"
        f"compression {entry.compression}\ngrowth {entry.growth}\nsupersedes {supersedes}\n"
        f"content {entry.content}\nexceptions {entry.exceptions}\nroot {entry.root}\n"
    )


def _seal_text(entry: SealEntry) -> str:
    time = entry.time.isoformat().replace("+00:00", "Z")  # of any other zone or precision the grammar is not met
    handover = "" if entry.handover is None else f"old {entry.handover[0]}\nnew {entry.handover[1]}\n"
    return (
        f"audit-seal/v1\nkind {entry.kind}\nlake {entry.lake}\nday {entry.day}\nsegment {entry.segment}\n"
        f"previous {entry.previous or '-'}\nsources {entry.sources}\nrecords {entry.records}\nsize {entry.size}\n"
        f"root {entry.root}\nadapters {' '.join(entry.adapters) or '-'}\npseudonym_key {entry.pseudonym_key or '-'}\n"
        f"policy {entry.policy}\ntime {time}\nnonce {entry.nonce}\n{handover}"
    )


def _parse_day(text: str, what: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as err:
        raise ProofError(f"{what}: {text} is not a day of the calendar") from err


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as err:
        raise ProofError(f"seal entry: {text} is not a time of the calendar") from err
