"""Close what came in of a day under one entry of the log, and publish the log's new head.

Order, and why a crash between any two steps is harmless: the draft decides nonce, time and membership once; the file of
the log's next row and its commit decide the index; tiles, mark and checkpoint follow from the rows. Each step is
create-only or gives the same bytes again, so whoever comes next finishes it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType

import pyarrow as pa

from audit_pipeline import tlog
from audit_pipeline.attest import NOBODY, Attesters, cosign
from audit_pipeline.attest.stamps import put_stamp
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake.adoption import check_new_commits
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.declared import RECORDS, SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.inventories import check_goes_on
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.lake.logbook import (
    CLOCK_SKEW,
    LOG_APP,
    check_names_go_on,
    check_not_frozen,
    draft_name,
    handover_name,
    read_log,
    read_seal_file,
    seal_file,
    sealed_entries,
)
from audit_pipeline.lake.marks import chain_hash, newest_mark, put_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import complete_sources
from audit_pipeline.lake.stores import Store
from audit_pipeline.lake.tables import describe_file, offer_rows, put_rows
from audit_pipeline.records import canonical
from audit_pipeline.signers import load_signers, signers_at

_ATTEMPTS = 100
_NOTHING: Mapping[str, str] = MappingProxyType({})
_REMOVE = "nothing of ours wrote it: remove it and run this day again"


@dataclass(frozen=True, slots=True)
class SealReport:
    """One seal, and the log that holds it."""

    day: date
    segment: int
    index: int
    """Of the entry in the log, from 0."""
    log_size: int
    sources: int
    records: int
    size: int
    """Source entries in the day tree."""
    root: str
    """Of the day tree."""
    entry_hash: str
    """Leaf hash of the seal entry in the log."""
    checkpoint: str
    is_new: bool
    """False where the day was sealed already and nothing came in since."""
    warnings: tuple[str, ...]
    """Which witnesses did not cosign, and why there is no timestamp."""
    checked: int
    """The commit of `records` up to which rows were compared with their entries before anything was signed."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a seal says it was made under."""

    policy: str
    pseudonym_key: str


def seal_day(
    lake: Lake,
    day: date,
    *,
    policy_digest: str,
    passphrase: bytes | None,
    today: date,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    written: Mapping[str, str] = _NOTHING,
    attesters: Attesters = NOBODY,
) -> SealReport:
    """Seal what no earlier segment of `day` covers, append the entry and publish. An empty day is sealed once.

    `written`: SHA-256 by name of the data files that ingest says it wrote; the rows of all others are compared first.

    Raises:
        InputError: the day has not begun, the key does not open, or the clock is behind the last seal.
        StorageError: the log has fewer entries than were signed, as after a restore.
        ProofError: what would be signed does not extend what was signed, or does not follow from the rows.
    """
    if day > today:
        raise InputError(f"{day}: this day has not begun (today is {today} UTC); it cannot be sealed")
    signers = load_signers(lake.places, passphrase)
    people = load_person_keys(lake.places.keys, passphrase)
    terms = _Terms(policy_digest, people.key_id)
    covered = check_goes_on(lake)
    check_log_is_ours(lake)
    check_not_frozen(lake)
    checked = check_new_commits(lake, covered.get(RECORDS.name, 0) + 1, written)
    is_new = False
    while True:
        log = read_log(lake.open(SEALS))
        check_names_go_on(lake, log, people)
        seals = [(index, seal) for index, seal in enumerate(log) if seal.day == day]
        segment = len(seals) + 1
        if lake.evidence.exists(draft_name(day, segment)):
            _check_found_draft(lake, day, segment, terms, log, now)
        elif not _draft(lake, day, seals, terms, now, entropy):
            break
        append_draft(lake, day, segment, now)
        is_new = True
    published = publish(lake, signers, now, attesters=attesters)
    mine = [
        (index, seal)
        for index, seal in enumerate(read_log(lake.open(SEALS)))
        if seal.day == day and seal.kind == "seal"
    ]
    index, seal = mine[-1]
    return SealReport(
        day=day,
        segment=seal.segment,
        index=index,
        log_size=published.size,
        sources=seal.sources,
        records=seal.records,
        size=seal.size,
        root=seal.root,
        entry_hash=tlog.leaf_hash(tlog.format_seal(seal)).hex(),
        checkpoint=published.note.decode(),
        is_new=is_new,
        warnings=published.warnings,
        checked=checked,
    )


def check_log_is_ours(lake: Lake) -> None:
    """One log serves one lake, and where something was published there is a mark."""
    vkey = lake.log.get("vkey")
    if vkey is not None and vkey.decode(errors="replace").strip() != lake.vkey:
        raise ProofError(f"{lake.log.path('vkey')}: this log is another lake's; give each lake its own log folder")
    if lake.log.exists("checkpoint") and newest_mark(lake.marks)[1] is None:
        raise ProofError(
            f"{lake.places.marks}: no mark, but {lake.log.path('checkpoint')} was published; bring the marks back from "
            "their backup, or see docs/recovery.md, `Marks that are lost`"
        )


def _draft(
    lake: Lake,
    day: date,
    seals: Sequence[tuple[int, tlog.SealEntry]],
    terms: _Terms,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
) -> bool:
    """Decide the day's next segment. False where there is nothing to seal: nothing came in since the last one."""
    covered = sealed_entries(lake, [seal for _, seal in seals])
    rows = complete_sources(lake).read(["entry", "format"], day).to_pylist()
    new = [row for row in rows if row["entry"] not in covered]
    if not new and any(seal.kind == "seal" for _, seal in seals):
        return False
    entries = sorted((tlog.parse_source(row["entry"].encode()) for row in new), key=tlog.source_order)
    time = check_time(now().astimezone(UTC).replace(microsecond=0), read_log(lake.open(SEALS)))
    seal = tlog.SealEntry(
        kind="seal",
        lake=lake.lake_id,
        day=day,
        segment=len(seals) + 1,
        previous=tlog.leaf_hash(tlog.format_seal(seals[-1][1])).hex() if seals else None,
        sources=len({entry.source for entry in entries}),
        records=sum(entry.records for entry in entries),
        size=len(entries),
        root=tlog.tree_root(tlog.hash_leaves(map(tlog.format_source, entries)), hash_nodes).hex(),
        adapters=_adapter_names(row["format"] for row in new),
        pseudonym_key=terms.pseudonym_key,
        policy=terms.policy,
        time=time,
        nonce=entropy(canonical.NONCE_BYTES).hex(),
    )
    lake.evidence.put_new(draft_name(day, seal.segment), tlog.format_draft(seal, entries, hash_nodes))
    return True  # another sealer's draft of this segment stands as well as ours


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


def _check_found_draft(
    lake: Lake,
    day: date,
    segment: int,
    terms: _Terms,
    log: Sequence[tlog.SealEntry],
    now: Callable[[], datetime],
) -> None:
    """A draft that lies there already is of a run of this policy and these adapters that died, or of nobody of ours."""
    name = draft_name(day, segment)
    read_draft(lake, day, segment, log, now)
    seal, entries = tlog.parse_draft(lake.evidence.get(name) or b"", hash_nodes)
    drafted = {tlog.format_source(entry).decode() for entry in entries}
    rows = complete_sources(lake).read(["entry", "format"], day).to_pylist()
    adapters = _adapter_names(row["format"] for row in rows if row["entry"] in drafted)
    if (seal.policy, seal.pseudonym_key, seal.adapters) != (terms.policy, terms.pseudonym_key, adapters):
        raise ProofError(f"{lake.evidence.path(name)}: is of another policy, key or adapters than this run; {_REMOVE}")


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
        raise ProofError(f"{path}: {err}; {_REMOVE}") from err
    before = [found for found in log if found.day == day]
    previous = tlog.leaf_hash(tlog.format_seal(before[-1])).hex() if before else None
    if seal.kind not in ("seal", kind):
        raise ProofError(f"{path}: a {seal.kind} entry that was begun; finish it with its command, or {_REMOVE}")
    expected = (lake.lake_id, day, segment, len(before) + 1, previous)
    if (seal.lake, seal.day, seal.segment, segment, seal.previous) != expected:
        raise ProofError(f"{path}: is not the draft of this segment; {_REMOVE}")
    if seal.time > now() + CLOCK_SKEW:
        raise ProofError(f"{path}: was made at {seal.time.isoformat()}, which is still to come; {_REMOVE}")
    latest = max((found.time for found in log), default=seal.time)
    is_empty_again = seal.kind == "seal" and not entries and any(found.kind == "seal" for found in before)
    if seal.time < latest - CLOCK_SKEW or is_empty_again:
        raise ProofError(f"{path}: is older than the log's last entry, or seals nothing; {_REMOVE}")
    known = set(complete_sources(lake).read(["entry"], day).column("entry").to_pylist())
    covered = sealed_entries(lake, before)
    for text in map(tlog.format_source, entries):
        if text.decode() not in known or text.decode() in covered:
            raise ProofError(f"{path}: names a source that no commit has, or that is sealed already; {_REMOVE}")
    return seal


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


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as it was published."""

    note: bytes
    size: int
    warnings: tuple[str, ...]


def publish(
    lake: Lake,
    signers: Sequence[tlog.Signer],
    now: Callable[[], datetime],
    kind: str = "seal",
    attesters: Attesters = NOBODY,
) -> Published:
    """Tiles, mark, handovers, cosigned checkpoint and its timestamp for the log as it stands."""
    marks, log = lake.marks, lake.log
    for _ in range(_ATTEMPTS):
        entries = read_log(lake.open(SEALS))
        leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
        head = tlog.Checkpoint(lake.origin, len(leaves) // 32, tlog.tree_root(leaves, hash_nodes))
        number, mark = newest_mark(marks)
        keys = tlog.keys_of(tlog.parse_vkey(lake.vkey), entries)
        _check_extends(lake, leaves, mark, keys)
        log.put_new("vkey", lake.vkey.encode() + b"\n")
        if mark is None or mark.size < head.size:
            _check_follows_from_rows(lake, entries, mark.size if mark else 0, now, kind)
            _put_tiles(log, leaves)
            after = tlog.Mark(
                lake.origin,
                chain_hash(marks, number),
                head.size,
                head.root.hex(),
                mark.inventory if mark else None,
                mark.ledger if mark else None,
            )
            if not put_mark(marks, number + 1, after):
                continue  # another sealer signed meanwhile: look again at what is there
        else:
            _put_tiles(log, leaves)
        _put_handovers(lake, entries, keys, signers)
        published = log.get("checkpoint")
        signed = _signed(head, signers_at(keys, head.size, signers), published)
        note, warnings = cosign(attesters, signed, published, leaves, keys, now, hash_nodes)
        if published != note:
            log.replace("checkpoint", note)
        # Another sealer may have signed more meanwhile: then this checkpoint took the place of a newer one.
        newest = newest_mark(marks)[1]
        if newest is not None and newest.size == head.size:
            warnings += _stamp(log, attesters, head, note, keys)
            return Published(note, head.size, tuple(warnings))
    raise StorageError(f"{log.root}: no checkpoint could be published in {_ATTEMPTS} attempts; run this day again")


def _signed(head: tlog.Checkpoint, signers: Sequence[tlog.Signer], published: bytes | None) -> bytes:
    """The note of this head. A key service is not asked for the signatures that the published one has already."""
    lines = [tlog.signature_line(head, published or b"", signer.verifier) for signer in signers]
    signed = [line for line in lines if line is not None]
    if len(signed) < len(signers):
        return tlog.sign_checkpoint(head, *signers)
    return "\n".join([tlog.format_checkpoint(head), "".join(signed)]).encode()


def _stamp(log: Store, attesters: Attesters, head: tlog.Checkpoint, note: bytes, keys: tlog.LogKeys) -> list[str]:
    """Have the checkpoint stamped, once. An authority that does not answer stops nothing."""
    if attesters.authority is None:
        return []
    line = tlog.signature_line(head, note, keys.in_force(head.size))
    try:
        put_stamp(log, head.size, f"{tlog.format_checkpoint(head)}\n{line}".encode(), attesters.authority)
    except StorageError as err:
        return [f"no timestamp: {err}"]
    return []


def _put_handovers(
    lake: Lake, entries: Sequence[tlog.SealEntry], keys: tlog.LogKeys, signers: Sequence[tlog.Signer]
) -> None:
    """Publish the handover of each `key` entry, once: both keys are needed."""
    there = {signer.verifier: signer for signer in signers}
    for number, size in enumerate(keys.sizes, start=1):
        if lake.log.exists(handover_name(number)):
            continue
        old, new = keys.keys[number - 1], keys.keys[number]
        if missing := [key for key in (old, new) if key not in there]:
            raise InputError(
                f"{lake.log.path(handover_name(number))}: is not there, and to make it needs the key "
                f"{missing[0].key_id.hex()}; restore the one or the other from your backup"
            )
        handover = tlog.make_handover(entries[:size], there[old], there[new], hash_nodes)
        lake.log.put_new(handover_name(number), handover)


def _check_extends(lake: Lake, leaves: bytes, mark: tlog.Mark | None, keys: tlog.LogKeys) -> None:
    """Never sign a tree that does not extend what this log has signed."""
    size = len(leaves) // 32
    published = lake.log.get("checkpoint")
    signed = [] if mark is None else [("mark", mark.size, mark.root)]
    if mark is not None and mark.origin != lake.origin:
        raise ProofError(
            f"{lake.places.marks}: the marks of {mark.origin}, not of {lake.origin}; give each log its own folder"
        )
    if published is not None:
        checkpoint, note = tlog.open_checkpoint(published, keys.keys)
        keys.check_signed(checkpoint, note)
        signed.append(("checkpoint", checkpoint.size, checkpoint.root.hex()))
    for what, signed_size, root in signed:
        if size < signed_size:
            raise StorageError(
                f"{lake.places.lake}: the log has {size} entries, its {what} says {signed_size}; "
                "it was restored from an older backup, or cut; see docs/recovery.md, `An older backup`"
            )
        found = tlog.tree_root(leaves[: 32 * signed_size], hash_nodes).hex()
        if found != root:
            raise ProofError(
                f"{lake.places.lake}: the first {signed_size} entries give root {found}, its {what} says {root}"
            )


def _check_follows_from_rows(
    lake: Lake, log: Sequence[tlog.SealEntry], first: int, now: Callable[[], datetime], kind: str
) -> None:
    """Each entry that is not signed yet must be what its draft decides, and its sources must be in `sources`."""
    for index in range(first, len(log)):
        if read_draft(lake, log[index].day, log[index].segment, log[:index], now, kind) != log[index]:
            raise ProofError(f"seal {log[index].day}/{log[index].segment}: is not the entry its draft says")


def _put_tiles(log: Store, leaves: bytes) -> None:
    for path, hashes in tlog.tiles_for(leaves, hash_nodes=hash_nodes):
        if not log.put_new(path, hashes) and log.get(path) != hashes:
            raise ProofError(
                f"{log.path(path)}: differs from the log it is a tile of; restore it or remove it, then run again"
            )


def _adapter_names(formats: Iterable[str]) -> tuple[str, ...]:
    """`name@version` of the adapters that read these formats, sorted."""
    return tuple(sorted({f"{name}@{ADAPTERS[name].version}" for name in formats if name in ADAPTERS}))
