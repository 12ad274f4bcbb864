"""The log's rows: seal entries in their order, and the drafts they were made from."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.keys import PERSON_FILES
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.pseudonyms import PersonKeys

LOG_APP = "log"
CLOCK_SKEW = timedelta(minutes=5)  # between machines that seal the same lake


def seal_file(index: int) -> str:
    return f"{index}.parquet"


def draft_name(day: date, segment: int) -> str:
    return f"_seals/{day.isoformat()}/{segment}"


def handover_name(number: int) -> str:
    """Where the log publishes the handover of its `key` entry `number`, from 1."""
    return f"keys/{number}"


def read_log(seals: OpenTable) -> list[tlog.SealEntry]:
    """All entries of the log, by index.

    Raises:
        StorageError: there are fewer rows than were committed.
        ProofError: the rows are not entries 0, 1, 2, ….
    """
    return list(seals.once("log", lambda: _entries(seals)))


def _entries(seals: OpenTable) -> list[tlog.SealEntry]:
    rows = sorted(seals.read(["index", "entry"]).to_pylist(), key=lambda row: row["index"])
    committed = seals.transaction(LOG_APP)
    if len(rows) < committed:
        raise StorageError(
            f"{seals.path}: {committed} entries were committed, {len(rows)} are there; bring the newer table back"
        )
    if [row["index"] for row in rows] != list(range(committed)):
        raise ProofError(f"{seals.path}: expected the entries 0 to {committed - 1}, once each; the log was changed")
    return [tlog.parse_seal(row["entry"].encode()) for row in rows]


def read_handovers(lake: Lake) -> list[bytes]:
    """The published handovers, in order."""
    found: list[bytes] = []
    while (handover := lake.log.get(handover_name(len(found) + 1))) is not None:
        found.append(handover)
    return found


def published_keys(lake: Lake) -> tlog.LogKeys:
    """The keys of the log, followed from the lake's own by the published handovers.

    Raises:
        ProofError: a handover does not hold.
    """
    first = tlog.parse_vkey(lake.vkey)
    return tlog.follow_handovers([first], read_handovers(lake)) or tlog.LogKeys((first,), ())


def check_not_frozen(lake: Lake) -> None:
    """Check that the log goes on: nothing comes after a `freeze` entry that was signed.

    Raises:
        InputError: it ended with one.
    """
    _, mark = newest_mark(lake.marks)
    seals = lake.find(SEALS)
    if mark is None or seals is None:
        return
    last = read_seal_file(seals, mark.size - 1)
    if last.kind == "freeze":
        raise InputError(
            f"{lake.places.lake}: the log {lake.origin} was frozen at {last.time.isoformat()} and takes nothing more; "
            "see docs/recovery.md, `A log that was frozen`"
        )


def check_names_go_on(lake: Lake, log: Sequence[tlog.SealEntry], people: PersonKeys) -> None:
    """Check that people have the names that they had: another key would make others of them, and nobody would see it.

    Raises:
        InputError: the log names another key.
    """
    named = [seal.pseudonym_key for seal in log if seal.pseudonym_key is not None]
    if named and named[-1] != people.key_id:
        raise InputError(
            f"{lake.places.keys / PERSON_FILES[0]}: is not the key {named[-1]} that the log names; restore it from "
            "your backup"
        )


def read_seal_file(seals: OpenTable, index: int) -> tlog.SealEntry:
    """The entry that the file of row `index` holds, committed or not."""
    path = seals.files.path(seal_file(index))
    with decoding(path), pq.ParquetFile(seals.files.file(seal_file(index))) as file:
        rows = [(row["index"], str(row["entry"])) for row in file.read(["index", "entry"]).to_pylist()]
    if [number for number, _ in rows] != [index]:
        raise ProofError(f"{path}: expected entry {index} of the log alone")
    return tlog.parse_seal(rows[0][1].encode())


def draft_entries(lake: Lake, seal: tlog.SealEntry) -> tuple[tlog.SourceEntry, ...]:
    """The source entries under a seal, in the order of its day tree.

    Raises:
        StorageError: the draft is gone.
        ProofError: it is damaged, or the draft of another seal.
    """
    name = draft_name(seal.day, seal.segment)
    draft = lake.evidence.get(name)
    if draft is None:
        raise StorageError(f"{lake.evidence.path(name)}: missing; restore it from a backup")
    drafted, entries = tlog.parse_draft(draft, hash_nodes)
    if drafted != seal:
        raise ProofError(f"{lake.evidence.path(name)}: is the draft of another seal; restore it from a backup")
    return entries


def sealed_entries(lake: Lake, seals: Iterable[tlog.SealEntry]) -> set[str]:
    """The texts of all source entries under these seals."""
    return {tlog.format_source(entry).decode() for seal in seals for entry in draft_entries(lake, seal)}
