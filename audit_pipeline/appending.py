"""Drafts become entries of the log: what is found is refused unless it is what a run of ours would have drafted.

The draft decides nonce, time and membership once; the file of the log's next row and its commit decide the index. Each
step is create-only or gives the same bytes again, so whoever comes next finishes it.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import pyarrow as pa

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.data_files import describe_file, offer_rows, put_rows
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import (
    CLOCK_SKEW,
    LOG_APP,
    draft_name,
    read_log,
    read_seal_file,
    seal_file,
    sealed_entries,
)
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import complete_sources

REMOVE = "nothing of ours wrote it: remove it and run this day again"
_ATTEMPTS = 100


def append_draft(lake: Lake, day: date, segment: int, now: Callable[[], datetime], kind: str = "seal") -> None:
    """Make the draft of (day, segment) an entry of the log, unless it is one already."""
    for _ in range(_ATTEMPTS):
        seals = lake.open(SEALS)
        log = read_log(seals)
        if any((found.day, found.segment) == (day, segment) for found in log):
            return
        seal = read_draft(lake, day, segment, log, now, kind)
        index = seals.transaction(LOG_APP)
        if not seals.files.exists(seal_file(index)):
            offer_rows(seals, seal_file(index), _seal_row(index, seal))
        # Whoever's entry the file holds, it is what this index will be; if it is not ours, the next turn tries again.
        other = read_seal_file(seals, index)
        if other != seal and other != read_draft(lake, other.day, other.segment, log, now, kind):
            raise ProofError(f"{seals.files.path(seal_file(index))}: is of no draft; remove it and run this day again")
        put_rows(seals, seal_file(index), _seal_row(index, other))
        file = describe_file(seals, seal_file(index))
        seals.commit(Commit(milliseconds(other.time), LOG_APP, index + 1, (file,)), index)
    raise StorageError(
        f"{lake.places.lake}: the seal of {day} could not be appended in {_ATTEMPTS} attempts; run this day again"
    )


def read_draft(
    lake: Lake,
    day: date,
    segment: int,
    log: Sequence[tlog.SealEntry],
    now: Callable[[], datetime],
    kind: str = "seal",
) -> tlog.SealEntry:
    """The entry that the draft of (day, segment) decides, to follow on the entries of `log`.

    A log cannot take an entry back, so a draft that was planted or damaged must be refused before it is appended. One
    of another `kind` than "seal" is appended by its own command alone: else a planted one could end the log.

    Raises:
        ProofError: it is not the draft that a run of ours made for this segment.
    """
    path = lake.evidence.path(draft_name(day, segment))
    try:
        seal, entries = tlog.parse_draft(lake.evidence.get(draft_name(day, segment)) or b"", hash_nodes)
    except ProofError as err:
        raise ProofError(f"{path}: {err}; {REMOVE}") from err
    before = [found for found in log if found.day == day]
    previous = tlog.leaf_hash(tlog.format_seal(before[-1])).hex() if before else None
    if seal.kind not in ("seal", kind):
        raise ProofError(f"{path}: a {seal.kind} entry that was begun; finish it with its command, or {REMOVE}")
    expected = (lake.lake_id, day, segment, len(before) + 1, previous)
    if (seal.lake, seal.day, seal.segment, segment, seal.previous) != expected:
        raise ProofError(f"{path}: is not the draft of this segment; {REMOVE}")
    if seal.time > now() + CLOCK_SKEW:
        raise ProofError(f"{path}: was made at {seal.time.isoformat()}, which is still to come; {REMOVE}")
    latest = max((found.time for found in log), default=seal.time)
    is_empty_again = seal.kind == "seal" and not entries and any(found.kind == "seal" for found in before)
    if seal.time < latest - CLOCK_SKEW or is_empty_again:
        raise ProofError(f"{path}: is older than the log's last entry, or seals nothing; {REMOVE}")
    known = set(complete_sources(lake).read(["entry"], day).column("entry").to_pylist())
    covered = sealed_entries(lake, before)
    for text in map(tlog.format_source, entries):
        if text.decode() not in known or text.decode() in covered:
            raise ProofError(f"{path}: names a source that no commit has, or that is sealed already; {REMOVE}")
    return seal


def check_time(time: datetime, log: Sequence[tlog.SealEntry]) -> datetime:
    """The time of the next entry, which is not before the last one's.

    Raises:
        InputError: it would be.
    """
    latest = max((seal.time for seal in log), default=time)
    if time < latest:
        raise InputError(
            f"the clock says {time.isoformat()}, the last seal is of {latest.isoformat()}; set the clock right"
        )
    return time


def _seal_row(index: int, seal: tlog.SealEntry) -> pa.Table:
    row = {
        "index": index,
        "day": seal.day,
        "kind": seal.kind,
        "segment": seal.segment,
        "sources": seal.sources,
        "records": seal.records,
        "root": seal.root,
        "sealed_at": seal.time,
        "entry": tlog.format_seal(seal).decode(),
    }
    return pa.Table.from_pylist([row], schema=SEALS.schema)
